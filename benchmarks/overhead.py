"""Measures what the gateway adds to a request, compared with its backend called directly; see README.md."""

import asyncio
import json
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table
from script import Results, benchmark
from servers import POSTGRES, ROOT, Postgres, free_port, started

from modelpick.converter import load_estimator, to_artifact
from modelpick.converter.encoders.make import make_encoder
from modelpick.converter.training.records import read_records
from modelpick.converter.training.train import train, trainer, training_data
from modelpick.runtime.text import Encoder

CALLERS = (1, 64)
FULL = {"seconds": 3.0, "turns": 5}
SMOKE = {"seconds": 1.0, "turns": 2}
BACKEND = """
import json, sys, uvicorn
choice = {"index": 0, "message": {"role": "assistant", "content": "word " * 100}}
body = {"id": "1", "object": "chat.completion", "created": 1, "model": "m", "choices": [choice]}
body = json.dumps(body).encode()
headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]

async def app(scope, receive, send):
    while (await receive()).get("more_body"):
        pass
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})

uvicorn.run(app, port=int(sys.argv[1]), log_level="warning", lifespan="off")
"""


def make_pair(folder: Path) -> list[str]:
    """Convert the sample encoder, train a selector on the sample questions with it, and return its models."""
    make_encoder(ROOT / "models/encoder", folder / "encoder.onnx")
    records = [json.loads(line) for line in (ROOT / "models/benchmark.jsonl").read_text().splitlines()]
    vectors = Encoder.load(folder / "encoder.onnx").embed([record["query"] for record in records])
    lines = [json.dumps({**row, "embedding": vector.tolist()}) for row, vector in zip(records, vectors, strict=True)]
    training = training_data(read_records("\n".join(lines).encode()), one_hot=False)
    document = json.dumps(train(training, trainer("kernel_ridge"))).encode()
    (folder / "artifacts").mkdir()
    (folder / "artifacts/router.onnx").write_bytes(to_artifact(load_estimator(document)))
    return list(training.benchmark.model_names)


def write_gateway(file: Path, models: list[str], backend: int, url: str) -> None:
    """Write the file of a gateway whose models one backend serves, and which writes decisions to a database."""
    text = 'artifacts = "artifacts"\nselector = "router"\nencoder = "encoder.onnx"\n'
    text += f'[decisions]\nurl = "{url}"\n'
    for model in models:
        text += f'[[backends]]\nname = "{model}"\nbase_url = "http://127.0.0.1:{backend}/v1"\n'
    file.write_text(text)


async def load(port: int, body: bytes, callers: int, seconds: float) -> list[float]:
    """Ask from a number of connections, each again once it is answered; return the seconds of each request."""
    head = f"POST /v1/chat/completions HTTP/1.1\r\nHost: h\r\nContent-Length: {len(body)}\r\n\r\n".encode()
    taken: list[float] = []
    end = time.perf_counter() + seconds

    async def caller() -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        while (start := time.perf_counter()) < end:
            writer.write(head + body)
            answer = await reader.readuntil(b"\r\n\r\n")
            fields = dict(line.lower().split(b": ", 1) for line in answer.split(b"\r\n")[1:-2])
            await reader.readexactly(int(fields[b"content-length"]))
            if not answer.startswith(b"HTTP/1.1 200"):
                raise RuntimeError(answer)
            taken.append(time.perf_counter() - start)
        writer.close()

    await asyncio.gather(*(caller() for _ in range(callers)))
    return taken


def measure(plan: dict[str, Any]) -> dict[str, dict[int, dict[str, float]]]:
    """Measure the backend, and the gateway with a named and with a picked model: milliseconds, and requests a second.

    A picked model is measured by the database that decisions are written to. All take turns; of several turns the one
    with the lowest median counts.
    """
    with tempfile.TemporaryDirectory() as name, ExitStack() as stack:
        folder, backend = Path(name), free_port()
        models = make_pair(folder)
        (folder / "backend.py").write_text(BACKEND)
        stack.enter_context(started(folder / "backend.py", str(backend), port=backend))
        databases = {"no database": "", "SQLite": "sqlite:///decisions.sqlite"}
        if POSTGRES:
            (folder / "postgres").mkdir()
            postgres = Postgres(folder / "postgres")
            postgres.start()
            stack.callback(postgres.stop)
            databases["PostgreSQL"] = postgres.url
        gateways = {name: free_port() for name in databases}
        for name, port in gateways.items():
            file = folder / f"{name}.toml"
            write_gateway(file, models, backend, databases[name])
            serve: list[str | Path] = ["-m", "modelpick.gateway", file, "--port", str(port), "--log-level", "warning"]
            stack.enter_context(started(*serve, port=port))
        prompt = json.loads((ROOT / "models/questions.jsonl").read_text().splitlines()[0])["query"]
        named, auto = (
            json.dumps({"model": model, "messages": [{"role": "user", "content": prompt}]}).encode()
            for model in (models[0], "auto")
        )
        asked = {
            "backend": (backend, named),
            "gateway, named": (gateways["no database"], named),
            **{f"gateway, auto, {name}": (port, auto) for name, port in gateways.items()},
        }
        measured: dict[str, dict[int, dict[str, float]]] = {name: {} for name in asked}
        for callers in CALLERS:
            for _ in range(plan["turns"]):
                for name, (port, body) in asked.items():
                    taken = sorted(asyncio.run(load(port, body, callers, plan["seconds"])))
                    found = {
                        "p50": taken[len(taken) // 2] * 1e3,
                        "p99": taken[len(taken) * 99 // 100] * 1e3,
                        "per_second": len(taken) / plan["seconds"],
                    }
                    measured[name][callers] = min(found, measured[name].get(callers, found), key=lambda one: one["p50"])
    return measured


def show(results: Results) -> None:
    """Print the table."""
    table = Table("asked", *(f"{callers} at once: p50, p99 ms (a second)" for callers in CALLERS))
    for name, by_callers in results["callers"].items():
        cells = [f"{m['p50']:.2f}, {m['p99']:.2f} ({m['per_second']:,.0f})" for m in by_callers.values()]
        table.add_row(name, *cells)
    Console(width=120).print(table)


if __name__ == "__main__":
    benchmark(__doc__, "gateway.json", (FULL, SMOKE), lambda plan: {"callers": measure(plan)}, show)
