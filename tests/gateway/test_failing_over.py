"""Which answers serve, and whose turn is next."""

import contextlib
import json

import httpx
import openai
import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelpick.gateway.breaker import Breaker
from modelpick.gateway.config import read
from modelpick.gateway.failing_over import Verdict, rule
from support.gateways import CODE, ask, client_of, served, write_gateway
from support.stubs import WORDS, events
from support.waiting import until

JSON, STREAM = b"application/json", b"text/event-stream"


@pytest.fixture(scope="module")
def url(tmp_path_factory, backends):
    text = "[limits]\nfailures = 1000\nidle_seconds = 0.6\nfirst_byte_seconds = 2\n"
    sizes = {"large": "context_tokens = 1000\n", "medium": "context_tokens = 900\n", "small": "context_tokens = 2000\n"}
    file = write_gateway(tmp_path_factory.mktemp("gateway"), backends, text, sizes)
    with served(read(file)) as url:
        yield url


@pytest.fixture(scope="module")
def client(url):
    with client_of(url) as client:
        yield client


def reply(status, body, *headers, kind="application/json"):
    lines = [f"HTTP/1.1 {status} X", f"Content-Type: {kind}", f"Content-Length: {len(body)}", *headers]
    return "\r\n".join([*lines, "", ""]).encode() + body


ERROR = b'{"error": {"message": "sk-abc is wrong", "code": "x"}}'
FAILED = {
    **{f"{status}": reply(status, ERROR) for status in (401, 402, 403, 404, 408, 425, 429, 500, 503, 529)},
    **{f"{status}": reply(status, b"", "Location: http://127.0.0.1:9/") for status in (301, 307, 308)},
    "200 and an error": reply(200, ERROR),
    "200 and nothing": reply(200, b""),
    "200 and no chunk": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "an error as first event": reply(200, b": hi\n\ndata: " + ERROR + b"\n\ndata: [DONE]\n\n", kind=STREAM.decode()),
    "an event of errors": reply(200, b"event: error\ndata: {}\n\n", kind="text/event-stream; charset=utf-8"),
    "comments alone": reply(200, b": hi\n\n: hi\n\n", kind=STREAM.decode()),
    "too long": reply(400, b'{"error": {"code": "context_length_exceeded"}}'),
}


@pytest.mark.parametrize("mode", FAILED)
def test_auto_goes_on_to_the_next_best(client, backends, mode):
    backends["large"].mode = FAILED[mode]
    found, headers = ask(client, CODE)
    assert headers["x-modelpick-model"] == ("small" if mode == "too long" else "medium")  # medium holds less
    assert found.choices[0].message.content == "".join(WORDS)


@pytest.mark.parametrize("mode", ["401", "307", "200 and no chunk", "comments alone"])
def test_what_no_client_may_see_is_a_502_that_names_the_backend(client, backends, mode):
    backends["large"].mode = FAILED[mode]
    with pytest.raises(openai.InternalServerError) as failed:
        ask(client, CODE, "large")
    assert (failed.value.status_code, failed.value.code) == (502, "no_backend")
    assert "large: " in failed.value.message
    assert "sk-abc" not in failed.value.response.text
    assert "location" not in failed.value.response.headers


def test_the_clients_own_fault_is_passed_on_at_once(client, backends):
    backends["large"].mode = reply(400, ERROR)
    with pytest.raises(openai.BadRequestError) as failed:
        ask(client, CODE)
    assert failed.value.response.content == ERROR
    assert backends["medium"].seen == []


def test_an_answer_that_says_when_to_ask_again_is_kept(client, backends):
    backends["large"].mode = reply(429, ERROR, "Retry-After: 7")
    backends["medium"].mode, backends["small"].mode = 503, "drop"
    with pytest.raises(openai.RateLimitError) as failed:
        ask(client, CODE)
    assert (failed.value.response.headers["retry-after"], failed.value.response.content) == ("7", ERROR)
    assert len(backends["small"].seen) >= 1


def test_a_stream_waits_for_its_first_event_and_passes_byte_for_byte(url, backends):
    stream = b": PROCESSING\n\n" + b"".join(events("large"))
    backends["large"].mode = reply(200, stream, kind=STREAM.decode())
    body = {"model": "auto", "messages": CODE, "stream": True}
    answer = httpx.post(f"{url}/v1/chat/completions", json=body)
    assert (answer.content, answer.headers["x-modelpick-model"]) == (stream, "large")


def test_a_connection_that_closes_as_the_request_arrives_is_made_again(client, backends):
    assert ask(client, CODE)[1]["x-modelpick-model"] == "large"
    seen = len(backends["large"].seen)
    backends["large"].mode = "close once"
    assert ask(client, CODE)[1]["x-modelpick-model"] == "large"
    assert len(backends["large"].seen) == seen + 2


def test_connections_that_a_burst_needed_are_closed(url, backends):
    for backend in backends.values():
        backend.mode = "slow"
    before = len(backends["large"]._open)
    body = {"model": "large", "messages": CODE}
    with contextlib.ExitStack() as stack:
        from concurrent.futures import ThreadPoolExecutor

        pool = stack.enter_context(ThreadPoolExecutor(20))
        list(pool.map(lambda _: httpx.post(f"{url}/v1/chat/completions", json=body), range(20)))
    assert len(backends["large"]._open) > before + 5
    until(lambda: not backends["large"]._open)


def test_a_backend_that_fails_again_and_again_is_asked_last(tmp_path, backends):
    file = write_gateway(tmp_path, backends, "[limits]\nfailures = 2\nprobe_seconds = 0.5\n")
    with served(read(file)) as url, client_of(url) as client:
        backends["large"].mode = 503
        for _ in range(6):
            assert ask(client, CODE)[1]["x-modelpick-model"] == "medium"
        assert len(backends["large"].seen) == 2
        backends["medium"].mode = backends["small"].mode = 500  # then it is asked in spite of all
        with pytest.raises(openai.InternalServerError):
            ask(client, CODE)
        assert len(backends["large"].seen) == 3
        for backend in backends.values():
            backend.mode = "answer"
        until(lambda: ask(client, CODE)[1]["x-modelpick-model"] == "large")


def test_a_breaker_opens_is_probed_and_closes():
    now = [0.0]
    breaker = Breaker("breaker", failures=3, seconds=10, clock=lambda: now[0])
    for _ in range(3):
        assert breaker.take()
        breaker.failed()
    assert not breaker.take()
    now[0] = 10.0
    assert [breaker.take(), breaker.take()] == [True, False]  # one probe at a time
    breaker.failed()
    now[0] = 29.9
    assert not breaker.take()
    now[0] = 30.0
    assert breaker.take()
    breaker.served()
    assert all(breaker.take() for _ in range(5))
    for _ in range(3):
        breaker.failed(retry_after=100)
    now[0] = 129.9
    assert not breaker.take()
    now[0] = 130.0
    assert breaker.take()


@given(st.integers(0, 1000), st.sampled_from([JSON, STREAM, b""]), st.binary(max_size=200))
def test_every_answer_has_a_rule_and_no_odd_status_reaches_a_client(status, kind, first):
    verdict = rule(status, kind, first).verdict
    if not 200 <= status < 600 or 300 <= status < 400 or status == 401:
        assert verdict is Verdict.HIDDEN
    if verdict is Verdict.SERVES:
        assert first.strip() or status >= 400


@pytest.mark.parametrize(
    "message",
    [
        "This model's maximum context length is 8192 tokens. However, you requested 9000 tokens.",
        "prompt is too long: 210000 tokens > 200000 maximum",
        "Input is too long for requested model.",
        "the request exceeds the available context size",
        "Please reduce the length of the messages or completion.",
    ],
)
def test_refusals_of_what_is_too_long_are_known(message):
    body = json.dumps({"error": {"message": message}}).encode()
    assert rule(400, JSON, body).verdict is Verdict.TOO_LONG
    assert rule(400, JSON, b'{"error": {"message": "temperature: expected 0 to 2"}}').verdict is Verdict.SERVES


def test_only_so_long_is_waited_for_a_first_event(client, backends):
    backends["large"].mode = "hang"
    assert ask(client, CODE, stream=True)[1]["x-modelpick-model"] == "medium"
