"""The example service, started and called over HTTP."""

import json
import os
import socket
import subprocess
import sys
import time
from pathlib import Path

import httpx
import pytest

from modelpick.converter import convert
from modelpick.runtime import Selector

ROOT = Path(__file__).parents[2]
QUERIES = [json.loads(line) for line in (ROOT / "models/queries.jsonl").read_text().splitlines()]
QUESTIONS = [json.loads(line) for line in (ROOT / "models/questions.jsonl").read_text().splitlines()]


@pytest.fixture(scope="module")
def artifacts(tmp_path_factory):
    folder = tmp_path_factory.mktemp("artifacts")
    for name in ("knn", "mlp"):
        convert(ROOT / f"models/{name}.json", folder / f"{name}.onnx", samples=0)
    return folder


@pytest.fixture(scope="module")
def service(artifacts):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "uvicorn", "--app-dir", ROOT / "examples/service", "app:app", "--port", str(port)]
    process = subprocess.Popen(command, env=os.environ | {"MODELPICK_ARTIFACTS": str(artifacts)})
    with httpx.Client(base_url=f"http://127.0.0.1:{port}") as client:
        for _ in range(200):
            try:
                client.get("/healthz")
                break
            except httpx.ConnectError:
                time.sleep(0.1)
        yield client
    process.terminate()
    process.wait(timeout=20)


def test_selects(service, artifacts):
    for name in ("knn", "mlp"):
        with Selector.load(artifacts / f"{name}.onnx") as selector:
            for query, question in zip(QUERIES, QUESTIONS, strict=True):
                expected = {"model": selector.select(query)}
                assert service.post(f"/select/{name}", json={"features": query}).json() == expected
                asked = {"embedding": query[:1024], "category": question["category"]}
                assert service.post(f"/select/{name}", json=asked).json() == expected
                asked["candidates"] = [selector.model_names[-1]]
                assert service.post(f"/select/{name}", json=asked).json() == {"model": selector.model_names[-1]}


def test_refuses_bad_queries_and_lives_on(service):
    for asked, message in (
        ({"features": [1.0]}, "expected 1038 numbers, got shape (1,)"),
        ({"embedding": [1.0] * 768, "category": "math"}, "got 768 numbers and 14 categories"),
        ({}, "expected 1038 numbers"),
        ({"features": QUERIES[0], "candidates": ["gpt-9"]}, "got 'gpt-9'"),
    ):
        answer = service.post("/select/knn", json=asked)
        assert answer.status_code == 422
        assert message in answer.json()["error"]
    assert service.post("/select/none", json={"features": QUERIES[0]}).status_code == 404
    assert service.get("/healthz").json() == {"status": "ok"}


def test_tells_readiness_and_metrics(service, artifacts):
    ready = service.get("/readyz").json()
    assert (ready["status"], ready["refusals"], sorted(ready["selectors"])) == ("ready", 0, ["knn", "mlp"])
    with Selector.load(artifacts / "knn.onnx") as selector:
        assert ready["selectors"]["knn"] == selector.metadata.source_sha256
    service.post("/select/knn", json={"features": QUERIES[0]})
    assert 'modelpick_selections_total{model="' in service.get("/metrics").text
