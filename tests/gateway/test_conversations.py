"""A conversation keeps its model, unless another is worth more than the warm cache."""

import time

import pytest

from modelpick.gateway.config import Conversations as Settings
from modelpick.gateway.config import read
from modelpick.gateway.conversations import Conversations, key_of
from modelpick.gateway.database import Database, Turn
from modelpick.gateway.decisions import Answered
from support.gateways import CODE, POEM, ask, client_of, made, served, write_gateway
from support.waiting import until

# Answers cost alike, so that utilities differ as qualities do: of code large 0.9, medium 0.6, small 0.2, of poems small
# 0.9, medium 0.5, large 0.3.
PRICES = dict.fromkeys(("large", "medium", "small"), "input_price = 100\noutput_price = 0\n")
LONG = [{"role": "system", "content": "please " * 1_000}, *CODE]


@pytest.fixture(scope="module")
def client(tmp_path_factory, backends):
    file = write_gateway(tmp_path_factory.mktemp("gateway"), backends, more=PRICES)
    with served(read(file)) as url, client_of(url) as client:
        yield client


def then(messages, text, role="user"):
    said = {"role": "assistant", "content": "so"}
    if role == "tool":
        call = {"id": "1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
        return [*messages, {**said, "tool_calls": [call]}, {"role": "tool", "content": text, "tool_call_id": "1"}]
    return [*messages, said, {"role": role, "content": text}]


def asked(client, messages, weight=0, **headers):
    headers = {"x-modelpick-cost-weight": str(weight), **headers}
    found = ask(client, messages, extra_headers=headers)[1]
    return found["x-modelpick-model"], found["x-modelpick-reason"]


# 1,000 tokens at 100 a million, of which the cache spares a half, are worth 0.05 by a weight of 1; a poem by small
# instead of large is worth 0.6.
@pytest.mark.parametrize(
    ("weight", "expected"), [(0, ("small", "changed")), (8, ("small", "changed")), (16, ("large", "kept"))]
)
def test_it_stays_where_the_cache_is_worth_more(client, weight, expected):
    begun = [{"role": "system", "content": f"{weight}"}, *LONG]
    assert asked(client, begun, weight) == ("large", "picked")
    assert asked(client, then(begun, "code please"), weight) == ("large", "kept")
    assert asked(client, then(begun, "poem please"), weight) == expected


def test_it_stays_during_a_tool_loop(client):
    poem = [{"role": "system", "content": "tools"}, *CODE, {"role": "user", "content": "poem please"}]
    assert asked(client, poem[:2]) == ("large", "picked")
    assert asked(client, then(poem, "42", "tool")) == ("large", "tools")
    assert asked(client, then(then(poem, "42", "tool"), "poem please")) == ("small", "changed")


def test_a_header_names_it(client):
    assert asked(client, POEM, **{"x-conversation-id": "a"}) == ("small", "picked")
    assert asked(client, POEM, **{"x-conversation-id": "a"}) == ("small", "kept")
    assert asked(client, CODE, **{"x-conversation-id": "b"}) == ("large", "picked")


def test_where_another_answered_its_cache_is_the_warm_one(client, backends):
    begun = [{"role": "system", "content": "fails"}, *LONG]
    backends["large"].mode = 503
    assert asked(client, begun, 8)[0] == "medium"
    backends["large"].mode = "answer"
    assert asked(client, then(begun, "code please"), 8) == ("medium", "kept")


def test_a_model_that_cannot_serve_the_request_is_left(tmp_path, backends):
    file = write_gateway(tmp_path, backends, more={"large": "accepts = []\n", "medium": 'accepts = ["tools"]\n'})
    with served(read(file)) as url, client_of(url) as client:
        assert ask(client, CODE)[1]["x-modelpick-model"] == "large"
        tool = {"type": "function", "function": {"name": "f", "parameters": {}}}
        assert ask(client, then(CODE, "code please"), tools=[tool])[1]["x-modelpick-model"] == "medium"


def test_it_expires_and_the_oldest_is_forgotten():
    turns = Conversations(Settings(expire_seconds=60, remembered=2), None)
    now = time.time()
    turns.remember("old", Turn("m", now - 61, 5))
    assert turns.last("old") is None
    for key in "abc":
        turns.remember(key, Turn(key, now, 5))
    assert [turns.last(key) is None for key in "abc"] == [True, False, False]


def test_its_key_depends_on_what_names_it():
    first, again = CODE, then(CODE, "poem")
    assert key_of(None, first, "") == key_of(None, again, "")
    keys = [
        key_of(None, first, ""),
        key_of(None, POEM, ""),
        key_of(None, first, "client"),
        key_of("a", first, ""),
        key_of("b", first, ""),
        key_of(None, [{"role": "user", "content": "\ud800"}], ""),
    ]
    assert len({*keys}) == len(keys)
    assert all(len(key) == 32 for key in keys)


def test_replicas_share_it_through_their_database(tmp_path):
    database = Database(f"sqlite:///{tmp_path}/d.sqlite")
    turns = Conversations(Settings(), database)
    assert turns.last("c") is None
    database.write([made()])
    assert turns.last("c")[::2] == ("m", 7)
    database.write([Answered("0" * 32, "other", 200, True, 0.1, 0.2)])  # it failed, and another answered
    assert turns.last("c").model == "other"
    database.write([made(id="1" * 32, at=time.time() + 1, model="tried", default="m")])
    assert turns.last("c").model == "m"  # what was explored is not what is kept
    turns.remember("c", Turn("newer", time.time() + 2, 5))
    assert turns.last("c").model == "newer"


def test_a_database_that_fails_is_not_asked_again_at_once(tmp_path, caplog):
    database = Database(f"sqlite:///{tmp_path}/d.sqlite")
    turns = Conversations(Settings(), database)
    turns.remember("c", Turn("m", time.time(), 5))
    database.close()
    for file in tmp_path.iterdir():
        file.unlink()
    tmp_path.rmdir()
    assert [turns.last("c").model for _ in range(3)] == ["m"] * 3
    assert caplog.text.count("the database does not tell") == 1


def test_two_gateways_share_it(tmp_path, backends):
    text = f'[decisions]\nurl = "sqlite:///{tmp_path}/shared.sqlite"\nbatch_seconds = 0.01\n'
    ones = [tmp_path / name for name in ("one", "two")]
    for one in ones:
        one.mkdir()
    files = [write_gateway(one, backends, text) for one in ones]
    with served(read(files[0])) as first, served(read(files[1])) as second:
        with client_of(first) as client:
            assert asked(client, POEM, **{"x-conversation-id": "c"}) == ("small", "picked")
        database = Database(f"sqlite:///{tmp_path}/shared.sqlite", reads=True)
        until(lambda: database.last_turn(key_of("c", [], ""), 0))
        with client_of(second) as client:
            assert asked(client, POEM, **{"x-conversation-id": "c"}) == ("small", "kept")
