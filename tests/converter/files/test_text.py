"""Files that say they hold far more than they do, or do hold it in next to no bytes: one line each, and early."""

import gzip
import json
from pathlib import Path

import numpy as np
import pytest

from modelpick.converter.files import text
from support.catalogue import kmeans
from support.command import modelpick

RECORD = {"query": "q", "model_name": "a", "performance": 1}


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("k.json").write_text(json.dumps(kmeans([[1, 2]])))
    Path("r.jsonl").write_text(json.dumps(RECORD))
    assert modelpick("convert", "k.json", "-o", "k.onnx", "--no-verify").returncode == 0


COMMANDS = {
    "select": ("select", "k.onnx", "q.jsonl.gz"),
    "in bulk": ("select", "k.onnx", "--input", "q.jsonl.gz", "--output", "p.jsonl"),
    "train": ("train", "--data", "q.jsonl.gz", "-o", "t"),
}


@pytest.mark.parametrize("command", COMMANDS.values(), ids=COMMANDS)
@pytest.mark.parametrize("content", [b"\n", b"[1, 2]\n"])
def test_gzip_is_unpacked_so_far(monkeypatch, command, content):
    monkeypatch.setattr(text, "UNPACKED_FREELY", 2**20)
    Path("q.jsonl.gz").write_bytes(gzip.compress(content * 2**21))
    done = modelpick(*command)
    assert done.returncode == 2
    assert done.stderr.splitlines()[-1].startswith("error: q.jsonl.gz: expected at most 100 times its size")
    assert not Path("p.jsonl").exists()


def test_gzip_that_is_text_is_read_whole():
    lines = [json.dumps([float(row), 1.0]) for row in np.random.default_rng(0).normal(size=20_000)]
    Path("q.jsonl.gz").write_bytes(gzip.compress("\n".join(lines).encode()))
    assert modelpick("select", "k.onnx", "--input", "q.jsonl.gz", "--output", "p.jsonl").returncode == 0
    assert len(Path("p.jsonl").read_text().splitlines()) == 20_000
