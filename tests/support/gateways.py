"""Gateways for tests: a selector and an encoder of three words, a file, a server in a thread, and clients."""

import json
import socket
import time
from contextlib import contextmanager, suppress
from functools import lru_cache
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Thread

import httpx
import numpy as np
import openai
import uvicorn
from safetensors.numpy import save_file

from modelpick.converter import load_estimator, to_artifact
from modelpick.converter.encoders.make import make_encoder
from modelpick.converter.formats.outcomes import Settings
from modelpick.converter.training.records import read_records
from modelpick.converter.training.train import train, trainer, training_data
from modelpick.gateway.app import create
from modelpick.gateway.config import read
from modelpick.gateway.connections import limited
from modelpick.gateway.decisions import Decision
from modelpick.runtime.text import Encoder
from support.waiting import until

# What three models achieve on two topics, and what an answer costs.
QUALITY = {"code": {"small": 0.2, "medium": 0.6, "large": 0.9}, "poem": {"small": 0.9, "medium": 0.5, "large": 0.3}}
COST = {"small": 0.001, "medium": 0.002, "large": 0.01}
# What a backend calls its model, where that is not its name.
SENT = {"large": "large-2026"}
CODE, POEM = ([{"role": "user", "content": text}] for text in ("code code please", "poem please"))


def make_pair(width, quality=QUALITY):
    """Make an encoder of three words and a width, and train a selector with it: artifact and encoder, made once."""
    return _pair_of(width, json.dumps(quality))


@lru_cache
def _pair_of(width, quality):
    with TemporaryDirectory() as folder:
        return _trained(Path(folder), width, json.loads(quality))


def _trained(source, width, quality):
    vocabulary = {word: row for row, word in enumerate(("[UNK]", "code", "poem", "please"))}
    tokenizer = {
        "model": {"type": "WordLevel", "vocab": vocabulary, "unk_token": "[UNK]"},
        "pre_tokenizer": {"type": "Whitespace"},
    }
    (source / "tokenizer.json").write_text(json.dumps({"version": "1.0", **tokenizer}))
    (source / "config.json").write_text('{"model_type": "model2vec"}')
    save_file({"embeddings": np.eye(4, width, dtype=np.float32)}, source / "model.safetensors")
    make_encoder(source, source / "encoder.onnx")
    texts = [f"{topic} {topic} {'please ' * number}" for topic in quality for number in range(6)]
    embeddings = Encoder.load(source / "encoder.onnx").embed(texts)
    rows = [
        {"query": text, "model_name": model, "performance": good, "cost": COST[model], "embedding": vector.tolist()}
        for text, vector in zip(texts, embeddings, strict=True)
        for model, good in quality[text.split()[0]].items()
    ]
    training = training_data(
        read_records("\n".join(map(json.dumps, rows)).encode()), Settings(ridge=0.01), one_hot=False
    )
    model = json.dumps(train(training, trainer("kernel_ridge"))).encode()
    return to_artifact(load_estimator(model)), (source / "encoder.onnx").read_bytes()


def free_port():
    """Return a port that is free now."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


def replace(path, data):
    """Put a file in the place of another, at once."""
    path.with_suffix(".new").write_bytes(data)
    path.with_suffix(".new").rename(path)


@contextmanager
def served(config):
    """Serve a gateway from a thread, and yield its address."""
    http = limited(config.limits)
    server = uvicorn.Server(uvicorn.Config(create(config), port=0, log_level="warning", http=http))
    serving = Thread(target=server.run)
    serving.start()
    until(lambda: server.started)
    yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    server.should_exit = True
    serving.join()


def client_of(url):
    return openai.OpenAI(base_url=f"{url}/v1", api_key="the client's", max_retries=0, timeout=10)


def ask(client, messages, model="auto", **more):
    """Return the answer, and the headers of the pick."""
    raw = client.chat.completions.with_raw_response.create(model=model, messages=messages, **more)
    return raw.parse(), {key: value for key, value in raw.headers.items() if key.startswith("x-modelpick")}


def is_ready(url):
    """Return whether a probe of a gateway answers 200."""
    with suppress(httpx.HTTPError):
        return httpx.get(url).status_code == 200
    return False


def ask_and_leave(url, body, backend):
    """Send a request for a chat, and close the connection once the backend hangs or stalls."""
    data, address = json.dumps(body).encode(), httpx.URL(url)
    with socket.create_connection((address.host, address.port)) as client:
        head = b"POST /v1/chat/completions HTTP/1.1\r\nHost: h\r\nContent-Type: application/json\r\n"
        client.sendall(head + b"Content-Length: %d\r\n\r\n%b" % (len(data), data))
        until(lambda: backend.seen)
        received = b""
        while backend.mode == "stall" and received.count(b"data: ") < 2:  # all that comes before it stalls
            received += client.recv(10_000)


def write_gateway(folder, backends, text="", more=None):
    """Write a gateway's file and what it names; ``more`` has lines of a backend's table by its name. The file."""
    (folder / "artifacts").mkdir()
    artifact, encoder = make_pair(8)
    (folder / "artifacts/router.onnx").write_bytes(artifact)
    (folder / "encoder.onnx").write_bytes(encoder)
    file = f'artifacts = "artifacts"\nselector = "router"\nencoder = "encoder.onnx"\n{text}\n'
    for name, backend in backends.items():
        file += f'[[backends]]\nname = "{name}"\nbase_url = "http://127.0.0.1:{backend.port}/v1"\n'
        file += (more or {}).get(name, "")
    (folder / "gateway.toml").write_text(file)
    return folder / "gateway.toml"


@contextmanager
def gateway(*arguments, **more):
    """Serve what `write_gateway` writes: its folder, and a client."""
    file = write_gateway(*arguments, **more)
    with served(read(file)) as url, client_of(url) as client:
        yield client


def made(**more):
    """Make a decision."""
    given = {
        "id": "0" * 32,
        "at": time.time(),
        "artifact": "a",
        "encoder": "e",
        "conversation": "c",
        "reason": "picked",
    }
    given |= {"model": "m", "default": "m", "propensity": 1.0, "candidates": {}, "excluded": {}, "prompt_tokens": 7}
    return Decision(**given | more)
