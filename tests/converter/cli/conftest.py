"""A folder of what the commands read: models, artifacts, an encoder, records; and what is taken for them."""

import json
import shutil
from pathlib import Path

import pytest

from support import command
from support.artifacts import encoded
from support.attacks import entries, parsed, resealed
from support.catalogue import kmeans
from support.folders import SMALL
from support.narrow import SMALL as NARROW
from support.narrow import artifact

MODELS = Path(__file__).parents[3] / "models"
FEW = [{"query": q, "model_name": m, "performance": 0.5, "embedding": [1.0, len(q)]} for q in ("a", "bc") for m in "xy"]


@pytest.fixture(scope="session")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("made")
    for name in ("kmeans.json", "mlp.json", "benchmark.jsonl", "queries.jsonl", "questions.jsonl"):
        shutil.copy(MODELS / name, folder)
    shutil.copytree(SMALL, folder / "encoder")
    (folder / "narrow.json").write_text(json.dumps(kmeans([[1, 2]])))
    (folder / "empty.jsonl").write_bytes(b"")
    (folder / "prompts.txt").write_text("hello\nwhat is the law\n")
    (folder / "records.csv").write_text("query,model_name,performance\nhi,a,0.5\n")
    (folder / "few.jsonl").write_text("\n".join(map(json.dumps, FEW)))
    train = ["train", "--data", folder / "benchmark.jsonl", "-o", folder / "text.json", "--encoder", folder / "e.onnx"]
    models = ("text", "kmeans", "mlp", "narrow")
    for words in (
        ["encoder", SMALL, "-o", folder / "e.onnx"],
        [*train, "--features", "embedding", "--algorithm", "kernel_ridge"],
        *(["convert", folder / f"{name}.json", "-o", folder / f"{name}.onnx"] for name in models),
    ):
        done = command.modelpick(*words)
        assert done.returncode == 0, done.stderr
    (folder / "artifacts").mkdir()
    shutil.copy(folder / "mlp.onnx", folder / "artifacts")
    newer = entries(parsed((folder / "mlp.onnx").read_bytes()), format_version="9")
    (folder / "newer.onnx").write_bytes(resealed(newer))
    return folder


@pytest.fixture
def modelpick(monkeypatch, tmp_path):
    """The command, in an empty folder."""
    monkeypatch.chdir(tmp_path)
    return command.modelpick


@pytest.fixture
def small(modelpick):
    """JSON models and their artifacts, in one folder."""
    for name, model in NARROW.items():
        Path(f"{name}.json").write_bytes(encoded(model))
        Path(f"{name}.onnx").write_bytes(artifact(name))
    return modelpick
