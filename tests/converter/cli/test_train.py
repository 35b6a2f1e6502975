"""The command `train`."""

import gzip
import hashlib
import json
from pathlib import Path

import numpy as np
import pytest

from modelpick.converter.cli import train as _train_command  # noqa: F401
from modelpick.converter.training.records import read_records
from modelpick.converter.training.train import trainer, training_data
from modelpick.converter.training.tune import tune
from support.command import modelpick
from support.recorded import DATA, ROOT, ROUTING, encoded, record

pytestmark = pytest.mark.filterwarnings("ignore::modelpick.converter.DocumentWarning")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            ["--algorithm", "knn", "--clusters", 3],
            "--clusters: expected an algorithm that takes it, kmeans native/1",
        ),
        (["--algorithm", "kmeans", "--quality-weight", 0.5], "--quality-weight: expected an algorithm that takes it"),
        (["--algorithm", "kmeans", "--cost-weight", 0.5], "--cost-weight: expected --tune or --algorithm auto"),
        (
            ["--algorithm", "mlp", "--objective-cost", 1],
            "--objective-cost: expected an algorithm that takes it, kmeans n",
        ),
        (
            ["--algorithm", "mlp", "--hidden", "8,x"],
            "--hidden: expected widths, 1 or more each, such as 256,128, got '8",
        ),
        (["--algorithm", "mlp", "--hidden", "0"], "--hidden: expected widths"),
    ],
    ids=str,
)
def test_the_command_refuses_what_no_algorithm_takes(options, message, tmp_path):
    done = modelpick("train", "--data", DATA, "-o", tmp_path / "out", *options)
    assert done.returncode == 2
    assert f"error: {message}" in done.stderr
    assert not (tmp_path / "out").exists()


def test_the_command_passes_the_originals_options_on(tmp_path):
    asked = ("--algorithm", "svm", "--algorithm", "mlp", "--algorithm", "kmeans", "--kernel", "Linear")
    more = ("--hidden", "4,3", "--objective-latency", 0, "--latency-scale-ms", 500)
    done = modelpick("train", "--data", DATA, "-o", tmp_path, *asked, *more)
    assert done.returncode == 0, done.stderr
    svm, mlp, kmeans = (json.loads((tmp_path / f"{name}_model.json").read_text()) for name in ("svm", "mlp", "kmeans"))
    assert (svm["kernel_type"], mlp["hidden_sizes"]) == ("Linear", [4, 3])
    assert (kmeans["objective"]["weights"]["latency"], kmeans["objective"]["latency_scale_ms"]) == (0.0, 500.0)


def test_the_command_trains_the_same_files_each_time(tmp_path):
    for folder in ("one", "other"):
        done = modelpick(
            "train",
            "--data",
            DATA,
            "-o",
            tmp_path / folder,
            "--seed",
            20260101,
            "--clusters",
            14,
            "--format-version",
            1,
        )
        assert done.returncode == 0, done.stderr
    for name in ("knn", "kmeans", "svm", "mlp"):
        data = (tmp_path / f"one/{name}_model.json").read_bytes()
        assert data == (tmp_path / f"other/{name}_model.json").read_bytes()
        shipped = ROOT / f"models/{'svm_rbf' if name == 'svm' else name}.json"
        if name in {"knn", "kmeans"}:  # the others' last digits may differ on other processors
            assert json.loads(data) == json.loads(shipped.read_text())
        assert json.loads(data).keys() == json.loads(shipped.read_text()).keys()


def test_the_command_trains_what_is_asked(tmp_path):
    done = modelpick("train", "--data", DATA, "-o", tmp_path, "--algorithm", "knn", "--tune")
    assert done.returncode == 0, done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["knn_model.json"]
    tuned = tune(training_data(read_records(DATA)), trainer("knn"))
    (best,) = (tried.settings.k for tried in tuned if tried.is_best)
    assert json.loads((tmp_path / "knn_model.json").read_text())["k"] == best
    assert max(tried.score for tried in tuned) == next(tried.score for tried in tuned if tried.is_best)


def test_the_command_passes_the_settings_on(tmp_path):
    asked = ("--algorithm", "svm", "--algorithm", "mlp", "--C", 0.5, "--hidden", 3)
    assert modelpick("train", "--data", DATA, "-o", tmp_path, *asked).returncode == 0
    svm, mlp = (json.loads((tmp_path / f"{name}_model.json").read_text()) for name in ("svm", "mlp"))
    assert (svm["C"], mlp["hidden_sizes"]) == (0.5, [3])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("train", "--data", "missing.jsonl", "-o", "out"), "missing.jsonl: cannot be read"),
        (
            ("train", "--data", "text.jsonl", "-o", "out"),
            "text.jsonl:1: embedding: expected one in a record",
        ),
        (("train", "--data", "text.jsonl", "-o", "out", "--embeddings", "no.npz"), "no.npz: cannot be read"),
        (
            ("train", "--data", "text.jsonl", "-o", "out", "--embeddings", "text.jsonl"),
            "text.jsonl: expected .npz",
        ),
        (("train", "--data", "text.jsonl", "-o", "out", "--embeddings", "a", "--embedder", "b"), "expected one of"),
        (("train", "--data", "text.jsonl", "-o", "out", "--embedder", "no/such"), "sentence-transformers|no/such"),
        (("evaluate", "missing.onnx", "--data", str(DATA)), "missing.onnx: cannot be read"),
        (("evaluate", "missing.onnx", "--data", "text.jsonl"), "missing.onnx: cannot be read"),
    ],
)
def test_the_commands_refuse_in_one_line(arguments, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("text.jsonl").write_bytes(encoded(record(), record(model_name="b"), record(query="r")))
    done = modelpick(*arguments)
    assert done.returncode == 2
    *warnings, line = done.stderr.splitlines()
    assert all(warning.startswith("warning: ") for warning in warnings)
    assert line.startswith("error: ")
    assert any(part in line for part in message.split("|"))
    assert not Path("out").exists()


@pytest.mark.skipif(not ROUTING.exists(), reason="needs the shared data")
def test_the_command_takes_embeddings_from_a_file(tmp_path):
    with gzip.open(ROUTING / "llmrouter_test500.jsonl.gz") as file:
        lines = [next(file) for _ in range(270)]
    (tmp_path / "thirty.jsonl").write_bytes(b"".join(lines))
    embeddings = ROUTING / "embeddings.npz"
    done = modelpick(
        "train", "--data", tmp_path / "thirty.jsonl", "--embeddings", embeddings, "-o", tmp_path, "--algorithm", "knn"
    )
    assert (done.returncode, done.stderr) == (0, "")
    key = hashlib.sha1(json.loads(lines[0])["query"].encode()).hexdigest()[:16]
    with np.load(embeddings) as arrays:
        expected = arrays["embedding"][arrays["key"] == key][0]
    assert json.loads((tmp_path / "knn_model.json").read_text())["embeddings"][0][:384] == expected.tolist()
