"""Files of embeddings, also those that say they hold far more than they do."""

import json
import struct
import zipfile
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from modelpick.converter.training.embeddings import embedding_key, read_embeddings
from support.catalogue import kmeans
from support.command import modelpick

RECORD = {"query": "q", "model_name": "a", "performance": 1}


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("k.json").write_text(json.dumps(kmeans([[1, 2]])))
    Path("r.jsonl").write_text(json.dumps(RECORD))
    assert modelpick("convert", "k.json", "-o", "k.onnx", "--no-verify").returncode == 0


def npy(shape, data=b"", kind="<f8"):
    header = f"{{'descr': '{kind}', 'fortran_order': False, 'shape': {shape}, }}".encode()
    header += b" " * (64 - (11 + len(header)) % 64) + b"\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header + data


ARRAYS = {
    "negative": npy("(-5, 2)", bytes(80)),
    "huge": npy("(100000000000, 2)", bytes(80)),
    "beyond": npy("(4611686018427387904, 4611686018427387904)", bytes(80)),
    "objects": npy("(1, 2)", bytes(16), "|O"),
    "cut": npy("(1, 2)", bytes(8)),
    "packed": npy("(16384, 1024)", bytes(2**27)),
}


@pytest.mark.parametrize("array", ARRAYS.values(), ids=ARRAYS)
def test_arrays_that_lie_are_refused_in_a_line(array):
    with zipfile.ZipFile("e.npz", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("key.npy", npy("(1,)", "a".encode("utf-32-le"), "<U1"))
        archive.writestr("embedding.npy", array)
    Path("q.npy").write_bytes(array[:300])
    for arguments in (
        ("train", "--data", "r.jsonl", "--embeddings", "e.npz", "-o", "t"),
        ("select", "k.onnx", "--input", "q.npy", "--output", "p.jsonl"),
    ):
        done = modelpick(*arguments)
        assert (done.returncode, done.stdout, len(done.stderr.splitlines())) == (2, "", 1)
        assert done.stderr.startswith(("error: e.npz: expected", "error: q.npy: cannot be read"))


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
@pytest.mark.parametrize("order", ["C", "F"])
def test_arrays_as_numpy_saves_them_are_read(save, order):
    rows = np.asarray(np.random.default_rng(0).normal(size=(3, 4)).astype(np.float16), order=order)
    save("e.npz", key=np.array([embedding_key(query) for query in "abc"]), embedding=rows)
    assert read_embeddings(Path("e.npz"), ["c", "a"]).tolist() == rows[[2, 0]].tolist()


@pytest.mark.parametrize("arguments", [("--input", "t.parquet", "--output", "p.jsonl"), ()])
def test_a_column_stands_once_in_a_table(arguments):
    column = pa.array([[1.0, 2.0]])
    pq.write_table(pa.table([column, column], names=["features", "features"]), "t.parquet")
    command = ("select", "k.onnx", *arguments) if arguments else ("train", "--data", "t.parquet", "-o", "t")
    done = modelpick(*command)
    assert (done.returncode, done.stderr) == (2, "error: t.parquet: expected each column once, got 'features' twice\n")


def test_a_table_has_no_more_rows_than_bytes():
    pq.write_table(pa.table({"features": pa.nulls(2_000_000)}), "t.parquet")
    for command in (("train", "--data", "t.parquet", "-o", "t"), ("select", "k.onnx", "--input", "t.parquet")):
        done = modelpick(*command, *(("--output", "p.jsonl") if command[0] == "select" else ()))
        assert (done.returncode, "expected at most a row a byte, got 2,000,000 in" in done.stderr) == (2, True)
