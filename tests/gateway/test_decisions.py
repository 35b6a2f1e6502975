"""Decisions and outcomes: written once, off the path of requests, with a bound; and read back as records."""

import json
import sqlite3
import time
from contextlib import suppress

import httpx
import numpy as np
import openai
import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import REGISTRY
from sqlalchemy.exc import OperationalError

from modelpick.gateway.config import Decisions, read
from modelpick.gateway.database import Database
from modelpick.gateway.decisions import Answered, Outcome
from modelpick.gateway.recorder import Recorder
from modelpick.gateway.usage import Passing
from modelpick.runtime.deciding import new_id
from modelpick.runtime.text import Encoder, TextSelector
from support.command import modelpick
from support.gateways import (
    POEM,
    QUALITY,
    ask,
    ask_and_leave,
    client_of,
    made,
    make_pair,
    replace,
    served,
    write_gateway,
)
from support.stubs import USAGE, WORDS, completion, events, shown
from support.waiting import until

QUICK = "[decisions]\nbatch_seconds = 0.01\n"


def rows(folder, table):
    with sqlite3.connect(folder / "decisions.sqlite") as database:
        database.row_factory = sqlite3.Row
        return [dict(row) for row in database.execute(f"SELECT * FROM modelpick_{table}")]


def dropped(kind):
    return REGISTRY.get_sample_value("modelpick_gateway_rows_total", {"kind": kind, "outcome": "dropped"}) or 0.0


def test_a_decision_and_its_answer_are_written(tmp_path, backends):
    more = {"small": "input_price = 1\noutput_price = 100\n", "large": "accepts = []\n"}
    body = json.dumps({**completion("small"), "usage": USAGE}).encode()
    backends["small"].mode = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s" % (
        len(body),
        body,
    )
    secret = [{"role": "user", "content": "poem SECRET"}]
    with served(read(write_gateway(tmp_path, backends, QUICK, more))) as url, client_of(url) as client:
        tool = {"type": "function", "function": {"name": "f", "parameters": {}}}
        headers = ask(client, secret, tools=[tool])[1]
        until(lambda: rows(tmp_path, "answers"))
    (decision,), (answer,) = rows(tmp_path, "decisions"), rows(tmp_path, "answers")
    assert decision["id"] == headers["x-modelpick-decision"] == answer["decision_id"]
    with TextSelector.load(tmp_path / "artifacts/router.onnx", tmp_path / "encoder.onnx") as selector:
        assert decision["artifact"] == selector.metadata.source_sha256
        assert decision["encoder"] == selector.encoder.digest
    assert (decision["model"], decision["default"], decision["propensity"]) == ("small", "small", 1.0)
    assert (decision["reason"], decision["embedding"], decision["text"]) == ("picked", None, None)
    assert json.loads(decision["excluded"]) == {"large": "takes no tools"}
    candidates = json.loads(decision["candidates"])
    assert set(candidates) == {"small", "medium"}
    assert candidates["small"]["quality"] == pytest.approx(float(headers["x-modelpick-quality"]), rel=1e-5)
    assert abs(decision["at"] - time.time()) < 60
    assert (answer["model"], answer["status"], answer["success"], answer["failures"]) == ("small", 200, 1, "{}")
    assert (answer["prompt_tokens"], answer["completion_tokens"], answer["cached_tokens"]) == (1000, 10, 400)
    assert answer["cost"] == pytest.approx(((1000 - 400 / 2) * 1 + 10 * 100) / 1e6)
    assert 0 < answer["first_byte_seconds"] <= answer["seconds"] < 10
    for file in tmp_path.glob("decisions.sqlite*"):
        assert b"SECRET" not in file.read_bytes()
        assert b"the client's" not in file.read_bytes()  # its key


@pytest.mark.parametrize(
    ("modes", "expected"),
    [
        ({"small": 503}, ("medium", 200, 1, {"small": "status 503"})),
        ({"small": "drop", "medium": 500, "large": "drop"}, ("medium", 500, 0, {"small": "RemoteProtocolError"})),
        ({"small": "drop", "medium": "drop", "large": "drop"}, (None, 502, 0, {"small": "RemoteProtocolError"})),
        ({"small": "break"}, ("small", 200, 0, {})),
    ],
)
def test_failures_are_written_too(tmp_path, backends, modes, expected):
    for name, mode in modes.items():
        backends[name].mode = mode
    with served(read(write_gateway(tmp_path, backends, QUICK))) as url, client_of(url) as client:
        with suppress(openai.OpenAIError, httpx.HTTPError):
            list(client.chat.completions.create(model="auto", messages=POEM, stream=True))
        until(lambda: rows(tmp_path, "answers"))
    (answer,) = rows(tmp_path, "answers")
    model, status, success, failures = expected
    assert (answer["model"], answer["status"], answer["success"]) == (model, status, success)
    assert failures.items() <= json.loads(answer["failures"]).items()


@pytest.mark.parametrize("mode", ["hang", "stall"])
def test_a_client_that_leaves_is_no_success_and_no_record(tmp_path, backends, mode):
    backends["small"].mode = mode
    text = '[decisions]\nbatch_seconds = 0.01\nstore = "text"\n'
    with served(read(write_gateway(tmp_path, backends, text))) as url:
        ask_and_leave(url, {"model": "auto", "messages": POEM, "stream": True}, backends["small"])
        until(lambda: rows(tmp_path, "answers"))
    assert [(row["status"], row["success"]) for row in rows(tmp_path, "answers")] == [(499, 0)]
    done = modelpick("records", f"sqlite:///{tmp_path}/decisions.sqlite", "-o", str(tmp_path / "records.jsonl"))
    assert "got none, 1 decisions without a client that stayed" in done.stderr


def test_outcomes_come_any_time_later_and_the_last_counts(tmp_path, backends):
    with served(read(write_gateway(tmp_path, backends, QUICK))) as url, client_of(url) as client:
        decision = ask(client, POEM)[1]["x-modelpick-decision"]
        for said in (
            {"quality": 0.5},
            {"quality": 0.25},
            {"signal": "thumbs_up"},
            {"signal": "judge", "quality": 0.75},
        ):
            for _ in range(2):
                answer = httpx.post(f"{url}/v1/outcomes", json={"decision_id": decision, **said})
                assert answer.status_code == 202
        until(lambda: len(rows(tmp_path, "outcomes")) == 3)
        for bad in (
            {},
            {"decision_id": decision},
            {"decision_id": "1", "quality": 1},
            {"decision_id": decision, "quality": 2},
            {"decision_id": decision, "signal": "unheard"},
            {"decision_id": decision, "quality": 1, "text": "?"},
        ):
            refused = httpx.post(f"{url}/v1/outcomes", json=bad)
            assert (refused.status_code, refused.json()["error"]["type"]) == (422, "invalid_request_error")
    found = {row["signal"]: row["quality"] for row in rows(tmp_path, "outcomes")}
    assert found == {"quality": 0.25, "thumbs_up": 1.0, "judge": 0.75}


def test_rows_are_written_once_and_forgotten(tmp_path):
    database = Database(f"sqlite:///{tmp_path}/decisions.sqlite")
    old, new = made(id=new_id(), at=time.time() - 10 * 86_400), made(id=new_id())
    answers = [Answered(one.id, "m", 200, True, 0.1, 0.2) for one in (old, new)]
    for _ in range(2):
        database.write([old, new, *answers, Outcome(old.id, "quality", 0.5, 0.0)])
    assert [len(rows(tmp_path, table)) for table in ("decisions", "answers", "outcomes")] == [2, 2, 1]
    assert database.forget(days=9) == 1
    assert [len(rows(tmp_path, table)) for table in ("decisions", "answers", "outcomes")] == [1, 1, 0]
    assert [one.decision.id for one in database.records()] == [new.id]


class Failing:
    """A database that is down until told otherwise."""

    def __init__(self):
        self.is_down, self.written, self.forget = True, [], lambda days: 0

    def begin(self, *_):
        if self.is_down:
            raise OperationalError("", {}, Exception("down"))

    end = begin

    def write(self, rows):
        self.begin()
        self.written += rows


def test_rows_wait_while_the_database_is_down_and_what_is_too_much_is_counted(caplog, tmp_path):
    database, before = Failing(), dropped("decision")
    recorder = Recorder(database, Decisions(batch_seconds=0.01, waiting=10, counts=tmp_path))
    ids = [new_id() for _ in range(30)]
    put = [recorder.put("decision", lambda one=one: made(id=one)) for one in ids]
    until(lambda: "decisions wait" in caplog.text)
    kept = [one for one, was in zip(ids, put, strict=True) if was]
    assert dropped("decision") - before == put.count(False) > 0
    database.is_down = False
    until(lambda: len(database.written) == len(kept))
    recorder.close(5)
    assert [row.id for row in database.written] == kept
    assert caplog.text.count("decisions wait") == 1


def test_what_is_left_at_the_end_is_counted(caplog, tmp_path):
    database, before = Failing(), dropped("decision")
    recorder = Recorder(database, Decisions(batch_seconds=0.01, counts=tmp_path / "counts"))
    for _ in range(3):
        recorder.put("decision", made)
    recorder.close(0.2)
    assert dropped("decision") - before == 3
    assert "3 rows were not written" in caplog.text
    database.is_down = False


def test_a_row_that_is_refused_is_no_others_matter(tmp_path):
    database, before = Database(f"sqlite:///{tmp_path}/decisions.sqlite"), dropped("decision")
    recorder = Recorder(database, Decisions(batch_seconds=0.01, counts=tmp_path / "counts"))
    recorder.put("decision", lambda: made(id=None))
    recorder.put("decision", lambda: 1 / 0)
    recorder.put("decision", lambda: made(id="2" * 32))
    recorder.close(5)
    assert [row["id"] for row in rows(tmp_path, "decisions")] == ["2" * 32]
    assert dropped("decision") - before == 2


def test_a_row_that_cannot_be_finished_does_not_end_the_writing(tmp_path):
    class PanicException(BaseException):
        pass

    def panic():
        raise PanicException

    database = Database(f"sqlite:///{tmp_path}/decisions.sqlite")
    recorder = Recorder(database, Decisions(batch_seconds=0.01, counts=tmp_path / "counts"))
    recorder.put("decision", panic)
    recorder.put("decision", made)
    until(lambda: rows(tmp_path, "decisions"))
    recorder.close(5)


def test_exploring_is_by_conversation_with_its_propensity(tmp_path, backends):
    with served(read(write_gateway(tmp_path, backends, f"explore = 0.5\n{QUICK}"))) as url, client_of(url) as client:
        first = {}
        for key in map(str, range(30)):
            for _ in range(2):
                headers = ask(client, POEM, extra_headers={"x-conversation-id": key})[1]
                assert first.setdefault(key, headers["x-modelpick-model"]) == headers["x-modelpick-model"]
        until(lambda: len(rows(tmp_path, "decisions")) == 60)
    assert set(first.values()) == {"small", "medium", "large"}
    for row in rows(tmp_path, "decisions"):
        assert row["default"] == "small"
        assert row["propensity"] == (0.5 if row["model"] == "small" else 0.25)
        assert (row["reason"] == "explored") == (row["model"] != "small")


def test_a_selector_in_the_shadow_picks_for_the_record(tmp_path, backends):
    turned = {topic: QUALITY[other] for topic, other in (("code", "poem"), ("poem", "code"))}
    artifact, encoder = make_pair(12, turned)
    (tmp_path / "shadow.onnx").write_bytes(artifact)
    (tmp_path / "shadow-encoder.onnx").write_bytes(encoder)
    text = f'shadow = "shadow.onnx"\nshadow_encoder = "shadow-encoder.onnx"\n{QUICK}'
    with served(read(write_gateway(tmp_path, backends, text))) as url, client_of(url) as client:
        assert ask(client, POEM)[1]["x-modelpick-model"] == "small"
        until(lambda: rows(tmp_path, "decisions"))
        metrics = httpx.get(f"{url}/metrics").text
    ((model, shadow),) = ((row["model"], row["shadow"]) for row in rows(tmp_path, "decisions"))
    assert (model, shadow) == ("small", "large")
    assert 'modelpick_gateway_shadow_total{outcome="differs"} 1.0' in metrics
    assert "modelpick_gateway_shadow_difference_count 1.0" in metrics


def test_exploring_leaves_out_what_is_worse_by_more_than_the_margin(tmp_path, backends):
    text = f"explore = 0.5\nexplore_margin = 0.5\n{QUICK}"  # of poems small 0.9, medium 0.5, large 0.3
    with served(read(write_gateway(tmp_path, backends, text))) as url, client_of(url) as client:
        asked = [ask(client, POEM, extra_headers={"x-conversation-id": f"{key}"})[1] for key in range(20)]
        until(lambda: len(rows(tmp_path, "decisions")) == 20)
    assert {headers["x-modelpick-model"] for headers in asked} == {"small", "medium"}
    assert {row["propensity"] for row in rows(tmp_path, "decisions")} == {0.5}


@pytest.mark.parametrize("store", ["embedding", "text", "nothing"])
def test_serve_outcomes_records_train_swap(tmp_path, backends, store):
    """The loop: what clients say of answers makes the next selector, which the gateway takes up."""
    text = f'explore = 0.67\n[decisions]\nbatch_seconds = 0.01\nstore = "{store}"\n'
    url = f"sqlite:///{tmp_path}/decisions.sqlite"
    good = {"code": "small", "poem": "large"}  # the other way round than the selector was trained
    gateway = read(write_gateway(tmp_path, backends, text))
    with served(gateway) as address, client_of(address) as client, httpx.Client(base_url=address) as web:
        for number in range(60):
            topic = ("code", "poem")[number % 2]
            messages = [{"role": "user", "content": f"{topic} {'please ' * (number // 2)}"}]
            headers = ask(client, messages)[1]
            said = {"decision_id": headers["x-modelpick-decision"]}
            said["quality"] = 1.0 if headers["x-modelpick-model"] == good[topic] else 0.1
            if number:
                web.post("/v1/outcomes", json=said)
        until(lambda: len(rows(tmp_path, "outcomes")) == 59 and len(rows(tmp_path, "answers")) == 60)
        done = modelpick("records", url, "-o", str(tmp_path / "records.jsonl"))
        if store == "nothing":
            assert done.returncode == 2
            assert "got none, 60 decisions without anything of the prompt" in done.stderr
            return
        assert done.returncode == 0, done.stderr
        assert "59 records, 1 decisions without an outcome" in done.stderr
        records = [json.loads(line) for line in (tmp_path / "records.jsonl").read_text().splitlines()]
        assert {round(record["propensity"], 9) for record in records} == {0.33, 0.335}
        assert all(record["success"] and record["response_time"] > 0 for record in records)
        if store == "embedding":
            encoder = Encoder.load(tmp_path / "encoder.onnx")
            assert len(records[0]["embedding"]) == encoder.embedding_dim
            assert np.isclose(np.linalg.norm(encoder.embed(["poem please"])[0] - records[0]["embedding"]), 0, atol=1)
        encoder = ["--encoder", str(tmp_path / "encoder.onnx")]
        train = ["train", "--data", str(tmp_path / "records.jsonl"), "-o", str(tmp_path / "new.json"), *encoder]
        done = modelpick(*train, "--algorithm", "kernel_ridge", "--features", "embedding")
        assert done.returncode == 0, done.stderr
        done = modelpick("convert", str(tmp_path / "new.json"), "-o", str(tmp_path / "new.onnx"))
        assert done.returncode == 0, done.stderr
        new = (tmp_path / "new.onnx").read_bytes()
        before = web.get("/readyz").json()["auto"]
        replace(tmp_path / "artifacts/router.onnx", new)
        until(lambda: web.get("/readyz").json()["auto"] != before)


def test_a_signal_is_chosen_and_what_failed_has_quality_0(tmp_path):
    url = f"sqlite:///{tmp_path}/decisions.sqlite"
    database = Database(url)
    ids = [new_id() for _ in range(4)]
    database.write([made(id=one, text=one) for one in ids])
    database.write([Answered(ids[0], "m", 200, True, 0.1, 0.2, cost=0.5), Outcome(ids[0], "judge", 0.25, 0.0)])
    database.write([Outcome(ids[0], "quality", 0.75, 0.0), Answered(ids[1], "other", 200, True, 0.1, 0.2)])
    database.write([Answered(ids[2], None, 502, False, None, 0.2)])
    file = tmp_path / "records.jsonl"
    done = modelpick("records", url, "-o", str(file))
    first, *failed = map(json.loads, file.read_text().splitlines())
    expected = {"query": ids[0], "model_name": "m", "performance": 0.5, "success": True, "propensity": 1.0}
    of_decision = {"decision_id": ids[0], "timestamp": first["timestamp"], "policy": "a", "session": "c"}
    assert first == {**expected, **of_decision, "response_time": 0.2, "cost": 0.5}
    assert abs(first["timestamp"] - time.time()) < 60
    assert [(one["model_name"], one["performance"], one["success"]) for one in failed] == [("m", 0.0, False)] * 2
    assert "3 records, 1 decisions without an answer" in done.stderr
    modelpick("records", url, "-o", str(file), "--signal", "judge")
    assert json.loads(file.read_text().splitlines()[0])["performance"] == 0.25


def test_embeddings_of_an_encoder_that_was_replaced_are_no_records(tmp_path):
    url, ids = f"sqlite:///{tmp_path}/decisions.sqlite", [new_id() for _ in range(2)]
    vector = np.ones(3, "<f4").tobytes()
    database = Database(url)
    for one, encoder in zip(ids, ("old", "new"), strict=True):
        database.write([made(id=one, encoder=encoder, embedding=vector), Outcome(one, "quality", 1.0, 0.0)])
        database.write([Answered(one, "m", 200, True, 0.1, 0.2)])
    done = modelpick("records", url, "-o", str(tmp_path / "records.jsonl"))
    assert "1 records, 1 decisions without an embedding of the newest encoder" in done.stderr
    (record,) = map(json.loads, (tmp_path / "records.jsonl").read_text().splitlines())
    assert (record["query"], record["embedding"]) == (ids[1], [1.0, 1.0, 1.0])


@pytest.mark.parametrize("url", ["nonsense://h", "mysql://h/d", "sqlite:////not/there.sqlite"])
def test_records_of_what_is_no_database_are_refused_in_a_line(tmp_path, url):
    done = modelpick("records", url, "-o", str(tmp_path / "records.jsonl"))
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)


@pytest.mark.parametrize(
    ("stream", "chunks", "found"),
    [
        (
            False,
            [b'{"usage": {"prompt_tokens": 5, ', b'"completion_tokens": 7}}'],
            {"prompt_tokens": 5, "completion_tokens": 7},
        ),
        (
            True,
            [b'data: {"usage": null}\n\n', b'data: {"usage": {"prompt_tok', b'ens": 5}}\n\ndata: [DONE]\n\n'],
            {"prompt_tokens": 5},
        ),
        (False, [b'{"usage": {"prompt_tokens": -1, "completion_tokens": "7", "x": 1}}'], {}),
        (False, [b'{"usage": ' + b"[" * 100_000], {}),
        (False, [b'{"usage": 3}'], {}),
        (True, [b"data: " + b"x" * 100_000, b'\n\ndata: {"usage": {"prompt_tokens": true}}\n\n'], {}),
    ],
    ids=range(6),
)
def test_usage_is_read_as_it_passes(stream, chunks, found):
    passing = Passing(stream)
    for chunk in chunks:
        assert passing.pass_on(chunk) == chunk
    assert passing.usage() == found


def streamed(url, model="auto", **more):
    body = {"model": model, "messages": POEM, "stream": True, **more}
    return httpx.post(f"{url}/v1/chat/completions", json=body).content


def test_tokens_of_streams_are_counted_and_clients_see_what_they_asked_for(tmp_path, backends):
    more = {"small": "input_price = 1\noutput_price = 100\n"}
    with served(read(write_gateway(tmp_path, backends, QUICK, more))) as url:
        plain, counted = (b"".join(events("small", counts)) for counts in (False, True))
        hidden = b"".join(shown("small"))
        assert streamed(url) == hidden
        assert streamed(url, stream_options={"include_usage": False}) == hidden
        assert streamed(url, stream_options={"include_usage": True}) == counted
        assert streamed(url, "small") == plain  # it reaches the backend as it came
        sent = [json.loads(body).get("stream_options") for _, body in backends["small"].seen]
        assert sent == [{"include_usage": True}] * 3 + [None]
        until(lambda: len(rows(tmp_path, "answers")) == 3)
    for answer in rows(tmp_path, "answers"):
        assert (answer["completion_tokens"], answer["cached_tokens"], answer["estimated"]) == (10, 400, 0)
        assert answer["cost"] == pytest.approx((800 * 1 + 10 * 100) / 1e6)


@pytest.mark.parametrize("told", [False, True])
def test_tokens_that_a_backend_does_not_count_are_estimated(tmp_path, backends, told, caplog):
    backends["small"].mode = "uncounted"
    more = {"small": f"input_price = 1\noutput_price = 100\n{'stream_usage = false' if told else ''}\n"}
    with served(read(write_gateway(tmp_path, backends, QUICK, more))) as url, client_of(url) as client:
        for _ in range(2):
            assert streamed(url) == b"".join(events("small"))
        assert len(backends["small"].seen) == (2 if told else 3)  # once it refused, and is not asked again
        assert ask(client, POEM)[1]["x-modelpick-model"] == "small"
        until(lambda: len(rows(tmp_path, "answers")) == 3)
    assert caplog.text.count("small refuses stream_options: say stream_usage = false") == (0 if told else 1)
    prompt = rows(tmp_path, "decisions")[0]["prompt_tokens"]
    for answer in rows(tmp_path, "answers"):
        tokens = answer["completion_tokens"]
        assert (answer["prompt_tokens"], answer["estimated"]) == (prompt, 1)
        assert abs(tokens - len("".join(WORDS)) / 4) <= 2
        assert answer["cost"] == pytest.approx((prompt + tokens * 100) / 1e6)


@given(st.lists(st.integers(1, 40), max_size=60), st.booleans())
def test_a_stream_is_cut_anywhere_and_loses_its_counts_alone(sizes, hides):
    parts = events("m", True)
    whole, passing, seen = b"".join(parts), Passing(True, hides), b""
    place = 0
    for size in [*sizes, len(whole)]:
        seen += passing.pass_on(whole[place : place + size])
        place += size
    seen += passing.rest()
    assert seen == b"".join(shown("m") if hides else parts)
    assert passing.usage() == {"prompt_tokens": 1000, "completion_tokens": 10, "cached_tokens": 400}
    assert passing.is_done
    assert passing.estimate == round(sum(len(json.dumps(word)) - 2 for word in WORDS) / 4)
