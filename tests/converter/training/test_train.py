"""Training on benchmark records, through the command and through Python."""

import gzip
import hashlib
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import reference
from recorded import DATA, ROOT, ROUTING, encoded, record

from modelpick.converter import build_estimator, convert, load_document
from modelpick.converter.training.records import read_benchmark
from modelpick.converter.training.train import TRAINERS, train, training_data
from modelpick.converter.training.tune import tune
from modelpick.runtime import Selector

pytestmark = pytest.mark.filterwarnings("ignore::modelpick.converter.DocumentWarning")


def modelpick(*arguments):
    command = [sys.executable, "-m", "modelpick.converter", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=120)


@pytest.mark.parametrize("algorithm", TRAINERS)
def test_trains_models_that_convert_and_fit_their_data(algorithm, tmp_path):
    training = training_data(read_benchmark(DATA), clusters=14)
    document = train(training, algorithm)
    (tmp_path / "model.json").write_text(json.dumps(document))
    for semantics in ("native", "trainer"):
        assert convert(tmp_path / "model.json", tmp_path / "model.onnx", samples=60, semantics=semantics).passed
        with Selector.load(tmp_path / "model.onnx") as selector:
            picked = selector.select_batch(training.features)
            if semantics == "native":
                assert picked == reference.select(document, training.features)
        names = training.benchmark.model_names
        qualities = [training.benchmark.quality[i, names.index(name)] for i, name in enumerate(picked)]
        chance, best = training.benchmark.quality.mean(), training.benchmark.quality.max(axis=1).mean()
        if algorithm != "knn":  # whose five rows are mostly those of one query
            assert np.mean(qualities) > chance + 0.3 * (best - chance)


@pytest.mark.parametrize("models", [["a"], ["a", "b"]])
@pytest.mark.parametrize("algorithm", TRAINERS)
def test_trains_on_few_models(algorithm, models):
    rng = np.random.default_rng(0)
    data = encoded(
        *(
            record(query=f"q{i}", model_name=model, performance=float(rng.random()), embedding=rng.random(5).tolist())
            for i in range(12)
            for model in models
        )
    )
    document = train(training_data(read_benchmark(data), clusters=20), algorithm)
    picked = build_estimator(load_document(json.dumps(document).encode())).predict(rng.random((30, 19)))
    assert set(picked) <= set(models)


def test_the_command_trains_the_same_files_each_time(tmp_path):
    for folder in ("one", "other"):
        done = modelpick("train", "--data", DATA, "-o", tmp_path / folder, "--seed", 20260101, "--clusters", 14)
        assert done.returncode == 0, done.stderr
    for name in ("knn", "kmeans", "svm", "mlp"):
        data = (tmp_path / f"one/{name}.json").read_bytes()
        assert data == (tmp_path / f"other/{name}.json").read_bytes()
        shipped = ROOT / f"models/{'svm_rbf' if name == 'svm' else name}.json"
        if name in {"knn", "kmeans"}:  # the others' last digits may differ on other processors
            assert json.loads(data) == json.loads(shipped.read_text())
        assert json.loads(data).keys() == json.loads(shipped.read_text()).keys()


def test_the_command_trains_what_is_asked(tmp_path):
    done = modelpick("train", "--data", DATA, "-o", tmp_path, "--algorithm", "knn", "--tune", "queries")
    assert done.returncode == 0, done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["knn.json"]
    tuned = tune(training_data(read_benchmark(DATA)), "queries")
    assert json.loads((tmp_path / "knn.json").read_text())["k"] == max(tuned, key=tuned.get)


def test_tuning_sees_no_query_on_both_sides():
    """Outcomes are those of the query alone: whoever knew the held-out ones would always be right."""
    rng = np.random.default_rng(0)
    data = encoded(
        *(
            record(query=f"q{i}", model_name=model, performance=float(model == best), embedding=[float(i)])
            for i, best in enumerate(rng.choice(["a", "b"], 200))
            for model in "ab"
        )
    )
    for semantics in ("native", "queries"):
        for quality in tune(training_data(read_benchmark(data)), semantics).values():
            assert 0.3 < quality < 0.7


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
        (("evaluate", "missing.onnx", "--data", "text.jsonl"), "text.jsonl:1: embedding: expected one in a record"),
    ],
)
def test_the_commands_refuse_in_one_line(arguments, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("text.jsonl").write_bytes(encoded(record(), record(model_name="b"), record(query="r")))
    done = modelpick(*arguments)
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert line.startswith("error: ")
    assert any(part in line for part in message.split("|"))
    assert not Path("out").exists()


@pytest.mark.skipif(not ROUTING.exists(), reason="needs the shared data")
def test_the_command_takes_embeddings_from_a_file(tmp_path):
    with gzip.open(ROUTING / "llmrouter_test500.jsonl.gz") as file:
        lines = [next(file) for _ in range(90)]
    (tmp_path / "ten.jsonl").write_bytes(b"".join(lines))
    embeddings = ROUTING / "embeddings.npz"
    done = modelpick(
        "train", "--data", tmp_path / "ten.jsonl", "--embeddings", embeddings, "-o", tmp_path, "--algorithm", "knn"
    )
    assert (done.returncode, done.stderr) == (0, "")
    key = hashlib.sha1(json.loads(lines[0])["query"].encode()).hexdigest()[:16]
    with np.load(embeddings) as arrays:
        expected = arrays["embedding"][arrays["key"] == key][0]
    assert json.loads((tmp_path / "knn.json").read_text())["embeddings"][0][:384] == expected.tolist()
