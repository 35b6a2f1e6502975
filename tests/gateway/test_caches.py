"""What backends find in their caches is learned, and counts where a conversation may leave its model."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelpick.gateway.caches import ASSUMED, Caches
from modelpick.gateway.config import read
from support.gateways import CODE, ask, client_of, served, write_gateway
from support.stubs import completion


@given(st.lists(st.tuples(st.integers(0, 5_000), st.integers(1, 5_000)), max_size=60))
def test_the_share_is_that_of_all_tokens_and_of_an_assumption(answers):
    caches, found, sent = Caches(), 0.0, 0.0
    for one, of in answers:
        caches.learn("m", one, of)
        found, sent = found + min(one, of), sent + of
    assert caches.share("m") == pytest.approx((ASSUMED + found) / (ASSUMED + sent))
    assert caches.share("another") == 1.0


def test_later_answers_count_more():
    caches = Caches()
    for found, low, high in ((0, 0.0, 0.01), (10_000, 0.9, 1.0)):
        for _ in range(600):
            caches.learn("m", found, 10_000)
        assert low <= caches.share("m") <= high


LONG = [{"role": "system", "content": "please " * 4_000}, *CODE]
TURN = [{"role": "assistant", "content": "so"}, {"role": "user", "content": "poem please"}]


@pytest.mark.parametrize(
    ("seconds", "cached", "expected"),
    [(300, 4_000, "kept"), (300, 0, "changed"), (0.001, 4_000, "changed")],
)
def test_a_conversation_leaves_a_model_whose_cache_is_cold(tmp_path, backends, seconds, cached, expected):
    """4,000 tokens at 100 a million, of which a cache spares a half, are worth 0.8 by a weight of 4; leaving, 0.6."""
    details = {"prompt_tokens_details": {"cached_tokens": cached}}
    usage = {"prompt_tokens": 4_010, "completion_tokens": 10, **details}
    body = json.dumps({**completion("large"), "usage": usage}).encode()
    head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
    backends["large"].mode = head % len(body) + body
    prices = dict.fromkeys(("large", "medium", "small"), "input_price = 100\noutput_price = 0\n")
    text = f'[conversations]\ncache_seconds = {seconds}\n[decisions]\nurl = ""\n'
    weight = {"x-modelpick-cost-weight": "4"}
    with served(read(write_gateway(tmp_path, backends, text, prices))) as url, client_of(url) as client:
        messages = LONG
        for _ in range(6):  # which teach what the backend finds
            assert ask(client, messages, extra_headers=weight)[1]["x-modelpick-model"] == "large"
            messages = [*messages, TURN[0], {"role": "user", "content": "code please"}]
        headers = ask(client, [*messages, *TURN], extra_headers=weight)[1]
    assert (headers["x-modelpick-reason"], headers["x-modelpick-model"]) == (
        expected,
        "large" if expected == "kept" else "small",
    )
