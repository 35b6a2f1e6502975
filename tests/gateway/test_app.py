"""The gateway, called by OpenAI's client, with stub backends behind it."""

import asyncio
import hashlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
from contextlib import ExitStack
from pathlib import Path
from threading import Event, Thread

import httpx
import openai
import pytest

from modelpick.converter import convert
from modelpick.gateway.config import ConfigError, read
from modelpick.runtime import Selector
from modelpick.runtime.text import TextSelector
from support.command import modelpick
from support.gateways import (
    CODE,
    COST,
    POEM,
    QUALITY,
    SENT,
    ask,
    ask_and_leave,
    client_of,
    is_ready,
    make_pair,
    replace,
    served,
)
from support.stubs import WORDS, completion, shown
from support.waiting import until

ROOT = Path(__file__).parents[2]
QUERIES = [json.loads(line) for line in (ROOT / "models/queries.jsonl").read_text().splitlines()]
QUESTIONS = [json.loads(line) for line in (ROOT / "models/questions.jsonl").read_text().splitlines()]


@pytest.fixture(scope="module")
def folder(tmp_path_factory, backends):
    """The gateway's file, and what it names."""
    folder = tmp_path_factory.mktemp("gateway")
    (folder / "artifacts").mkdir()
    for name in ("knn", "mlp"):
        convert(ROOT / f"models/{name}.json", folder / f"artifacts/{name}.onnx", samples=0)
    artifact, encoder = make_pair(8)
    (folder / "artifacts/router.onnx").write_bytes(artifact)
    (folder / "encoder.onnx").write_bytes(encoder)
    os.environ["STUB_KEY"] = "secret"
    file = """
artifacts = "artifacts"
selector = "router"
encoder = "encoder.onnx"

[limits]
body_bytes = 100_000
failures = 1_000_000
"""
    for name, backend in backends.items():
        file += f'[[backends]]\nname = "{name}"\nbase_url = "http://127.0.0.1:{backend.port}/v1"\n'
    file += 'key_env = "STUB_KEY"\nmodel = "large-2026"\ninput_price = 2.0\noutput_price = 10\nanswer_tokens = 1000\n'
    (folder / "gateway.toml").write_text(file)
    return folder


@pytest.fixture(scope="module")
def url(folder):
    with served(read(folder / "gateway.toml")) as url:
        yield url


@pytest.fixture(scope="module")
def impatient(folder):
    """A client of a gateway with tight time limits."""
    config = read(folder / "gateway.toml")
    limits = config.limits.model_copy(update={"first_byte_seconds": 0.5, "total_seconds": 1.5})
    with served(config.model_copy(update={"limits": limits})) as url, client_of(url) as client:
        yield client


@pytest.fixture
def client(url):
    with client_of(url) as client:
        yield client


@pytest.fixture(scope="module")
def web(url):
    with httpx.Client(base_url=url, timeout=10) as web:
        yield web


def test_auto_is_what_the_selector_picks(client, folder, backends):
    with TextSelector.load(folder / "artifacts/router.onnx", folder / "encoder.onnx") as selector:
        for messages, best in ((CODE, "large"), (POEM, "small")):
            explained = selector.explain(messages=messages)
            assert explained["model"] == best
            found, headers = ask(client, messages)
            assert found.choices[0].message.content == "".join(WORDS)
            assert headers["x-modelpick-model"] == best
            quality = explained["outcomes"][best]["quality"]
            assert float(headers["x-modelpick-quality"]) == pytest.approx(quality, rel=1e-5)
            ((seen, body),) = backends[best].seen
            assert (json.loads(body)["messages"], json.loads(body)["model"]) == (messages, SENT.get(best, best))
            assert seen.get("authorization") == ("Bearer secret" if best == "large" else None)
            backends[best].seen.clear()


def test_the_cost_is_predicted_from_records_or_by_price(client):
    _, headers = ask(client, POEM)
    assert float(headers["x-modelpick-cost"]) == pytest.approx(COST["small"], rel=0.02)
    # The prompt has 3 tokens; an answer has 1,000, unless it may not.
    for more, cost in (({}, (3 * 2 + 1000 * 10) / 1e6), ({"max_tokens": 50}, (3 * 2 + 50 * 10) / 1e6)):
        _, headers = ask(client, CODE, **more)
        assert float(headers["x-modelpick-cost"]) == pytest.approx(cost)


def test_other_names_pass_through_byte_for_byte(client, web, backends):
    asked = b'{"model":  "small", "messages": [], "odd": 1e3}'
    answer = web.post("/v1/chat/completions", content=asked)
    assert answer.content == json.dumps(completion("small")).encode()
    assert (answer.headers["x-request-id"], "set-cookie" in answer.headers) == ("r-small", False)
    assert answer.headers["x-modelpick-model"] == "small"
    ((seen, body),) = backends["small"].seen
    assert (body, "authorization" in seen, "cookie" in seen) == (asked, False, False)
    with pytest.raises(openai.NotFoundError) as refused:
        ask(client, CODE, "gpt-9")
    assert (refused.value.code, refused.value.param) == ("model_not_found", "model")
    assert "'gpt-9'" in refused.value.message
    assert [model.id for model in client.models.list()] == ["auto", *COST]


def test_header_bytes_pass_as_they_are(web, backends):
    odd = [(b"Accept", b"\xff"), (b"Accept-Encoding", b"\xff"), (b"Authorization", b"\xff"), (b"X-Odd", b"\xff")]
    assert web.post("/v1/chat/completions", json={"model": "small"}, headers=odd).status_code == 200
    seen = backends["small"].seen.pop()[0]
    assert (seen["accept"], seen["accept-encoding"], "x-odd" in seen) == ("\xff", "identity", False)


LIES = {
    "status 999": b"HTTP/1.1 999 X\r\nContent-Length: 2\r\n\r\n{}",
    "status 199": b"HTTP/1.1 099 X\r\nContent-Length: 2\r\n\r\n{}",
    "no HTTP": b"hello\r\n\r\n",
}


@pytest.mark.parametrize("lie", LIES)
def test_backends_that_lie_are_no_answer(client, backends, lie):
    backends["large"].mode = LIES[lie]
    assert ask(client, CODE)[1]["x-modelpick-model"] == "medium"
    with pytest.raises(openai.InternalServerError) as failed:
        ask(client, CODE, "large")
    assert (failed.value.status_code, failed.value.code) == (502, "no_backend")


def test_headers_of_the_backend_and_its_hop_stay_there(web, backends):
    kept = b"X-Request-Id: 7\r\nRetry-After: 3\r\nContent-Type: application/json\r\n"
    dropped = (
        b"x-modelpick-model: SPOOFED\r\nAlt-Svc: h3\r\nConnection: keep-alive, X-Hop\r\nX-Hop: secret\r\n"
        b"Keep-Alive: 5\r\nStrict-Transport-Security: max-age=9\r\nClear-Site-Data: *\r\nServer: s\r\nVia: v\r\n"
    )
    chunked = b"Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n"
    backends["small"].mode = b"HTTP/1.1 200 OK\r\n" + kept + dropped + chunked
    answer = web.post("/v1/chat/completions", json={"model": "small"})
    assert (answer.status_code, answer.content) == (200, b"{}")
    own = {"date", "server", "transfer-encoding"}
    assert set(answer.headers) - own == {"x-request-id", "retry-after", "content-type", "x-modelpick-model"}
    assert (answer.headers["x-modelpick-model"], answer.headers["server"]) == ("small", "uvicorn")


def test_streams_pass_byte_for_byte_as_they_come(client, web):
    with client.chat.completions.create(model="auto", messages=POEM, stream=True) as stream:
        assert [chunk.choices[0].delta.content for chunk in stream] == WORDS
    body = {"model": "auto", "messages": POEM, "stream": True}
    with web.stream("POST", "/v1/chat/completions", json=body) as stream:
        assert stream.headers["content-type"] == "text/event-stream"
        chunks = list(stream.iter_raw())
    assert b"".join(chunks) == b"".join(shown("small"))
    assert len(chunks) > 2


@pytest.mark.parametrize("mode", ["refuse", "drop", "headers", 503, 429])
def test_the_next_best_is_tried_when_a_backend_fails_before_the_first_byte(client, backends, mode):
    backends["large"].mode = mode
    if mode == "refuse":
        backends["large"].refuse()
    try:
        for stream in (False, True):
            _, headers = ask(client, CODE, stream=stream)
            assert headers["x-modelpick-model"] == "medium"
            assert float(headers["x-modelpick-quality"]) == pytest.approx(0.6, abs=0.05)
        assert mode == "refuse" or len(backends["large"].seen) == 2
    finally:
        if mode == "refuse":
            backends["large"].listen()


def test_the_next_best_is_tried_after_the_time_limit(impatient, backends):
    backends["large"].mode = "hang"
    _, headers = ask(impatient, CODE)
    assert headers["x-modelpick-model"] == "medium"
    backends["small"].mode = "hang"
    with pytest.raises(openai.InternalServerError) as failed:
        ask(impatient, CODE, "small")
    assert failed.value.status_code == 504
    until(lambda: backends["large"].gone == backends["small"].gone == 1)


def test_what_the_last_backend_answers_is_passed_on(client, backends):
    for backend, mode in zip(backends.values(), (503, "drop", "drop"), strict=True):
        backend.mode = mode
    with pytest.raises(openai.InternalServerError) as failed:
        ask(client, CODE)  # the last by utility is small
    assert (failed.value.status_code, failed.value.response.headers["x-request-id"]) == (503, "r-small")
    backends["small"].mode = "drop"
    with pytest.raises(openai.InternalServerError) as failed:
        ask(client, CODE)
    assert (failed.value.status_code, failed.value.code) == (502, "no_backend")
    assert failed.value.message.index("large") < failed.value.message.index("medium")
    backends["small"].mode = 400  # the client's own fault: no other is tried
    with pytest.raises(openai.BadRequestError):
        ask(client, POEM)
    assert len(backends["medium"].seen) == 2


def test_a_backend_killed_in_the_middle_of_a_stream_is_seen(client, backends):
    backends["small"].mode = "break"
    words = []
    with pytest.raises((httpx.RemoteProtocolError, openai.APIConnectionError)):
        for chunk in client.chat.completions.create(model="auto", messages=POEM, stream=True):
            words.append(chunk.choices[0].delta.content)
    assert words == WORDS[:2]
    backends["small"].mode = "answer"
    assert ask(client, POEM)[0].choices


def test_a_stalled_stream_ends_with_the_total_time(impatient, backends):
    backends["small"].mode = "stall"
    start = time.monotonic()
    with pytest.raises((httpx.RemoteProtocolError, openai.APIConnectionError)):
        list(impatient.chat.completions.create(model="auto", messages=POEM, stream=True))
    assert time.monotonic() - start > 1.4


@pytest.mark.parametrize("mode", ["stall", "hang"])
def test_the_backend_is_let_go_when_the_client_is_gone(url, backends, mode):
    backend = backends["small"]
    backend.mode = mode
    ask_and_leave(url, {"model": "small", "messages": POEM, "stream": True}, backend)
    until(lambda: backend.gone)  # sooner than any time limit


def test_64_clients_at_once(url, backends):
    async def one(client, number):
        messages, best = ((CODE, "large"), (POEM, "small"))[number % 2]
        if number % 4 < 2:
            answer = await client.chat.completions.create(model="auto", messages=messages)
            return answer.choices[0].message.content, answer.model, best
        stream = await client.chat.completions.create(model="auto", messages=messages, stream=True)
        chunks = [chunk async for chunk in stream]
        return "".join(chunk.choices[0].delta.content for chunk in chunks), chunks[0].model, best

    async def everyone():
        async with openai.AsyncOpenAI(base_url=f"{url}/v1", api_key="-", max_retries=0) as client:
            return await asyncio.gather(*(one(client, number) for number in range(64)))

    for content, model, best in asyncio.run(everyone()):
        assert (content, model) == ("".join(WORDS), SENT.get(best, best))


BAD_CHATS = [
    (b"", 400, "JSON"),
    (b"{", 400, "JSON"),
    (b"\xff", 400, "JSON"),
    (b"[1]", 400, "object"),
    (b"[" * 50_000, 400, "JSON"),
    (b"{}", 400, "model"),
    (b'{"model": 3}', 400, "model"),
    (b'{"model": NaN}', 400, "JSON"),
    (b'{"model": "\\ud800"}', 400, "JSON"),
    (b'{"model": "large", "model": "small"}', 400, "'model' twice"),
    (b'{"mod\\u0065l": "large", "model": "small"}', 400, "'model' twice"),
    (b'{"Model": "large", "model": "small"}', 400, "'model' twice"),
    ('{"model": "small", "me\u017f\u017fages": [], "messages": []}'.encode(), 400, "'messages' twice"),
    (b'{"model": "small", "messages": [{"role": "user", "content": "a", "content": "b"}]}', 400, "'content' twice"),
    (b'{"model": "small", "messages": [{"role": "user", "content": "a", "Content": "b"}]}', 400, "'content' twice"),
    (b'{"model": "auto"}', 400, "messages"),
    (b'{"model": "auto", "messages": null}', 400, "messages"),
    (b'{"model": "auto", "messages": []}', 400, "messages"),
    (b'{"model": "auto", "messages": [1]}', 400, "messages[0]"),
    (b'{"model": "auto", "messages": [{"role": "user", "content": 3}]}', 400, "content"),
    (b'{"model": "auto", "messages": [{"role": "user", "content": "\\udfff"}]}', 400, "JSON"),
    (b'{"model": "auto", "messages": [{"role": "user", "content": "poem"}], "top_p": NaN}', 400, "JSON"),
    (b'{"model": "auto", "messages": [{"role": "user", "content": "code"}], "top_p": 1e400}', 400, "finite"),
    (b'{"model": "small", "messages": [{"role": "user", "content": "%s"}]}' % (b"x" * 100_000), 413, "100000 bytes"),
]


@pytest.mark.parametrize(("body", "status", "message"), BAD_CHATS, ids=lambda it: str(it)[:60])
def test_bad_chats_are_refused(web, body, status, message):
    answer = web.post("/v1/chat/completions", content=body)
    error = answer.json()["error"]
    assert (answer.status_code, error["type"]) == (status, "invalid_request_error")
    assert message in error["message"]


def test_errors_have_one_shape(web):
    for method, path, status in (("GET", "/nothing", 404), ("GET", "/v1/chat/completions", 405)):
        answer = web.request(method, path)
        assert (answer.status_code, set(answer.json()["error"])) == (status, {"message", "type", "param", "code"})


def test_a_body_without_a_length_is_limited_too(web):
    answer = web.post("/select/knn", content=(b" " * 1000 for _ in range(200)))
    assert (answer.status_code, answer.json()["error"]["code"]) == (413, "request_too_large")


def test_no_pages_are_served(web):
    assert [web.get(path).status_code for path in ("/docs", "/redoc", "/openapi.json")] == [404] * 3


def test_connections_without_a_request_are_closed_and_limited(folder):
    limits = read(folder / "gateway.toml").limits.model_copy(update={"connections": 3, "header_seconds": 0.3})
    config = read(folder / "gateway.toml").model_copy(update={"limits": limits})
    with served(config) as url, ExitStack() as stack:
        address = httpx.URL(url)
        held = [stack.enter_context(socket.create_connection((address.host, address.port))) for _ in range(4)]
        held[0].sendall(b"GET /healthz HTTP/1.1\r\nX-a: ")
        assert [one.recv(1) for one in held] == [b""] * 4
        with httpx.Client() as web:
            for pause in (0, 0.5):  # which a connection that asked may take
                time.sleep(pause)
                assert web.get(f"{url}/healthz").status_code == 200


def test_a_body_that_does_not_end_is_refused(impatient):
    address = impatient.base_url
    with socket.create_connection((address.host, address.port)) as client:
        client.sendall(b"POST /select/knn HTTP/1.1\r\nHost: h\r\nContent-Length: 10\r\n\r\n{")
        assert client.recv(1_000).startswith(b"HTTP/1.1 408 ")


def test_a_hot_swap_under_load_fails_no_request(client, url, folder):
    stop, failures, picked = Event(), [], []

    def load():
        with client_of(url) as one:
            while not stop.is_set():
                try:
                    picked.append(ask(one, POEM)[1]["x-modelpick-model"])
                except Exception as error:
                    failures.append(error)

    old = [(folder / name).read_bytes() for name in ("artifacts/router.onnx", "encoder.onnx")]
    turned = {topic: QUALITY[other] for topic, other in (("code", "poem"), ("poem", "code"))}
    threads = [Thread(target=load) for _ in range(4)]
    for thread in threads:
        thread.start()
    try:
        for (artifact, encoder), best in ((make_pair(12, turned), "large"), (old, "small")):
            replace(folder / "artifacts/router.onnx", artifact)
            time.sleep(0.7)  # looked at while only one of the two is new: the old pair serves on
            assert picked[-1] != best
            replace(folder / "encoder.onnx", encoder)
            until(lambda best=best: picked[-1] == best)
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    assert failures == []
    assert {*picked} == {"small", "large"}


def test_select_picks_for_vectors(web, folder):
    for name in ("knn", "mlp"):
        with Selector.load(folder / f"artifacts/{name}.onnx") as selector:
            for query, question in zip(QUERIES, QUESTIONS, strict=True):
                expected = {"model": selector.select(query)}
                assert web.post(f"/select/{name}", json={"features": query}).json() == expected
                asked = {"embedding": query[:1024], "category": question["category"]}
                assert web.post(f"/select/{name}", json=asked).json() == expected
                asked["candidates"] = [selector.model_names[-1]]
                assert web.post(f"/select/{name}", json=asked).json() == {"model": selector.model_names[-1]}


BAD_QUERIES = [
    (b'{"features": [1.0]}', "expected 1038 numbers, got shape (1,)"),
    (json.dumps({"embedding": [1.0] * 768, "category": "math"}).encode(), "got 768 numbers and 14 categories"),
    (b"{}", "expected features, or an embedding"),
    (json.dumps({"features": QUERIES[0], "candidates": ["gpt-9"]}).encode(), "got 'gpt-9'"),
    (b'{"embedding": NaN}', "embedding"),
    (b'{"embedding": [NaN]}', "embedding.0"),
    (b'{"features": 1e400}', "features"),
    (b'{"features": [1e400]}', "features.0"),
    (b'{"features": ["1"]}', "features.0"),
    (b'{"category": "\\ud800"}', "JSON"),
    (b'{"embeddings": [1.0]}', "embeddings"),
    (b"[]", "object"),
    (b"{", "JSON"),
    (b'{"features": [%s]}' % (b"1" * 5_000), "number"),
]


@pytest.mark.parametrize(("body", "message"), BAD_QUERIES, ids=lambda it: str(it)[:60])
def test_select_refuses_bad_queries(web, body, message):
    answer = web.post("/select/knn", content=body)
    assert answer.status_code == 422
    assert message in answer.json()["error"]["message"]


def test_select_knows_its_selectors(web):
    answer = web.post("/select/none", json={"features": QUERIES[0]})
    assert (answer.status_code, answer.json()["error"]["message"]) == (404, "expected one of knn, mlp, router")


def test_health_readiness_and_metrics(web, client, folder):
    assert web.get("/healthz").json() == {"status": "ok"}
    ready = web.get("/readyz").json()
    assert (ready["status"], ready["refusals"], sorted(ready["selectors"])) == ("ready", 0, ["knn", "mlp", "router"])
    for name, sha256 in ready["selectors"].items():
        with Selector.load(folder / f"artifacts/{name}.onnx") as selector:
            assert sha256 == selector.metadata.source_sha256
    assert ready["auto"] == ready["selectors"]["router"]
    web.post("/select/knn", json={"features": QUERIES[0]})
    ask(client, POEM)
    metrics = web.get("/metrics").text
    assert 'modelpick_selections_total{model="' in metrics
    assert 'modelpick_gateway_attempts_total{model="small",outcome="200"}' in metrics


def test_workers_share_metrics_and_finish_what_they_began(folder, backends):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [
        sys.executable,
        "-m",
        "modelpick.gateway",
        folder / "gateway.toml",
        "--port",
        str(port),
        "--workers",
        "2",
    ]
    process = subprocess.Popen(command)
    try:
        until(lambda: is_ready(f"http://127.0.0.1:{port}/readyz"))
        for _ in range(20):  # a connection each, so that both workers are asked
            body = {"model": "auto", "messages": POEM}
            assert httpx.post(f"http://127.0.0.1:{port}/v1/chat/completions", json=body).status_code == 200
        for _ in range(5):
            metrics = httpx.get(f"http://127.0.0.1:{port}/metrics").text
            assert 'modelpick_gateway_attempts_total{model="small",outcome="200"} 20.0' in metrics
        backends["small"].mode = "slow"
        found = []
        body["stream"] = True
        asking = Thread(
            target=lambda: found.append(httpx.post(f"http://127.0.0.1:{port}/v1/chat/completions", json=body))
        )
        before = len(backends["small"].seen)
        asking.start()
        until(lambda: len(backends["small"].seen) > before)
        process.send_signal(signal.SIGTERM)
        asking.join()
        assert found[0].content == b"".join(shown("small"))
        process.wait(timeout=100)
    finally:
        process.kill()


def test_what_cannot_be_loaded_is_said_in_a_line(tmp_path):
    (tmp_path / "gateway.toml").write_text('artifacts = "a"')
    command = [sys.executable, "-m", "modelpick.gateway", tmp_path / "gateway.toml"]
    alone = subprocess.run(command, capture_output=True, text=True, timeout=100)
    for done in (alone, modelpick("serve", tmp_path / "gateway.toml")):
        assert (done.returncode, done.stderr.count("\n")) == (2, 1)
        assert done.stderr.startswith(f"error: {tmp_path}/a: ")


GOOD = 'artifacts = "a"\n[[backends]]\nname = "m"\nbase_url = "http://h/v1"\n'
BAD_FILES = [
    ("artifacts = ]", "line 1"),
    ("", "artifacts: "),
    ("artefacts = 'a'\n" + GOOD, "artefacts: "),
    (GOOD + "prize = 1\n", "backends.0.prize: "),
    (GOOD + "input_price = -1\n", "backends.0.input_price"),
    (GOOD + "input_price = nan\n", "backends.0.input_price"),
    (GOOD + "key_env = 'NOT_SET'\n", "['NOT_SET']"),
    (GOOD.replace("http", "ftp"), "backends.0.base_url"),
    (GOOD.replace("//h", "//user:secret@h"), "backends.0.base_url: Value error, expected it without user and password"),
    ("a = " + "[" * 100_000, "nested so deep"),
    (GOOD.replace('"m"', '"auto"'), "not 'auto'"),
    (GOOD + GOOD.partition("\n")[2], "['m']"),
    ("encoder = 'e'\n" + GOOD, "expected selector and encoder, or neither"),
    ("[limits]\nbody_bytes = 0\n", "artifacts"),
]


@pytest.mark.parametrize(("text", "message"), BAD_FILES, ids=lambda it: it[:40])
def test_files_are_refused_in_a_line(tmp_path, text, message):
    file = tmp_path / "gateway.toml"
    file.write_text(text)
    with pytest.raises(ConfigError) as refused:
        read(file)
    assert str(refused.value).startswith(f"{file}: ")
    assert message in str(refused.value)
    assert "\n" not in str(refused.value)
    assert "secret" not in str(refused.value)


def test_a_byte_order_mark_is_none_of_the_file(tmp_path):
    file = tmp_path / "gateway.toml"
    file.write_text(GOOD, encoding="utf-8-sig")
    assert [backend.name for backend in read(file).backends] == ["m"]


def test_models_are_retrieved_one_by_one(client):
    assert [client.models.retrieve(name).id for name in ("auto", "small")] == ["auto", "small"]
    with pytest.raises(openai.NotFoundError) as refused:
        client.models.retrieve("gpt-9")
    assert refused.value.code == "model_not_found"


def test_probes_may_ask_for_headers_alone(web):
    assert [web.head(path).status_code for path in ("/healthz", "/readyz")] == [200, 200]


def test_other_endpoints_are_refused_by_name(client):
    for call in (client.embeddings.create, client.completions.create, client.responses.create):
        with pytest.raises(openai.NotFoundError) as refused:
            call(model="small", input="a") if call != client.completions.create else call(model="small", prompt="a")
        assert refused.value.code == "unknown_url"
        assert "is not served, but /v1/chat/completions, " in refused.value.message


def test_clients_have_keys_where_the_file_says_so(folder, backends):
    keys = {"client_keys": (hashlib.sha256(b"right").hexdigest(),)}
    with served(read(folder / "gateway.toml").model_copy(update=keys)) as url, httpx.Client(base_url=url) as web:
        body = {"model": "small", "messages": []}
        for given in ({}, {"Authorization": "Bearer wrong"}, {"Authorization": "right"}, {"Authorization": b"\xff"}):
            for method, path in (("POST", "/v1/chat/completions"), ("GET", "/v1/models"), ("POST", "/select/knn")):
                answer = web.request(method, path, headers=given, json=body if method == "POST" else None)
                assert (answer.status_code, answer.json()["error"]["code"]) == (401, "invalid_api_key")
        with openai.OpenAI(base_url=f"{url}/v1", api_key="right", max_retries=0) as client:
            assert client.chat.completions.create(**body).choices
        assert "authorization" not in backends["small"].seen[0][0]
        assert {web.get(path).status_code for path in ("/healthz", "/readyz", "/metrics")} == {200}
