"""Measures what training takes on many questions: seconds and memory of `modelpick train`, in a process of its own.

Questions and outcomes are generated: embeddings around 200 topics, on which ten models are differently good.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from script import Plan, Results, benchmark

from modelpick.converter.training.embeddings import embedding_key

FULL: Plan = {"questions": [15_000, 42_000, 150_000], "models": 10, "width": 384, "landmarks": 1_000}
SMOKE: Plan = {"questions": [2_000], "models": 3, "width": 32, "landmarks": 100}
TOPICS = 200


def generate(folder: Path, questions: int, plan: Plan) -> None:
    """Write records and their embeddings."""
    rng = np.random.default_rng(0)
    topics = rng.normal(size=(TOPICS, plan["width"]))
    topic = rng.integers(TOPICS, size=questions)
    embeddings = topics[topic] + 0.8 * rng.normal(size=(questions, plan["width"]))
    embeddings /= np.linalg.norm(embeddings, axis=1, keepdims=True)
    chances = rng.beta(2, 2, size=(TOPICS, plan["models"]))[topic]
    quality = (rng.random(chances.shape) < chances).astype(int)
    costs = 1e-4 * 2.0 ** np.arange(plan["models"])
    with (folder / "records.jsonl").open("w") as file:
        for number, row in enumerate(quality.tolist()):
            for model, right in enumerate(row):
                record = {"query": f"question {number}", "model_name": f"model-{model}", "performance": right}
                file.write(json.dumps({**record, "cost": costs[model], "response_time": 1.0 + model}) + "\n")
    keys = np.array([embedding_key(f"question {number}") for number in range(questions)])
    np.savez(folder / "embeddings.npz", key=keys, embedding=embeddings.astype(np.float32))


def measure(questions: int, plan: Plan) -> dict[str, Any]:
    """Train on generated questions: seconds, and the most resident MB."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        generate(folder, questions, plan)
        arguments = [
            "--data",
            folder / "records.jsonl",
            "--embeddings",
            folder / "embeddings.npz",
            "-o",
            folder / "out",
        ]
        arguments += ["--algorithm", "kernel_ridge", "--landmarks", str(plan["landmarks"]), "--features", "embedding"]
        start = time.perf_counter()
        process = subprocess.Popen([sys.executable, "-m", "modelpick", "train", *map(str, arguments)])
        _, status, used = os.wait4(process.pid, 0)
        if status:
            raise SystemExit(f"training on {questions:,} questions failed: {status}")
        return {
            "questions": questions,
            "seconds": time.perf_counter() - start,
            "processor": used.ru_utime + used.ru_stime,
            "megabytes": used.ru_maxrss / 1e3,
            "document": (folder / "out" / "kernel_ridge_model.json").stat().st_size / 1e6,
        }


def measure_all(plan: Plan) -> Results:
    """Measure each number of questions."""
    return {"training": [measure(questions, plan) for questions in plan["questions"]]}


def show(results: Results) -> None:
    """Print a line for each number of questions."""
    for found in results["training"]:
        Console().print(", ".join(f"{name} {value:,.0f}" for name, value in found.items()))


if __name__ == "__main__":
    benchmark(__doc__, "training_scale.json", (FULL, SMOKE), measure_all, show)
