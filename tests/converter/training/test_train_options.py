"""What training takes as the original's does: kernels, hidden layers, weights, HierShrink, embedders, their cache."""

import json
import sys
import types

import numpy as np
import pytest

from modelpick.converter import convert, load_estimator
from modelpick.converter.algorithms import TABLE
from modelpick.converter.formats.outcomes import Settings
from modelpick.converter.training.embedder import NAMES, embed
from modelpick.converter.training.embeddings import read_embeddings
from modelpick.converter.training.records import read_records
from modelpick.converter.training.train import train, trainer, training_data
from modelpick.converter.training.tune import tune
from modelpick.runtime import DocumentError, Selector
from support import reference
from support.command import modelpick
from support.recorded import DATA, encoded, record

pytestmark = pytest.mark.filterwarnings("ignore::modelpick.converter.DocumentWarning")


def trained(algorithm, version=2, **settings):
    training = training_data(read_records(DATA), Settings(**settings))
    return training, train(training, trainer(algorithm, version))


@pytest.mark.parametrize("version", [1, 2])
def test_a_linear_svm_is_trained(version, tmp_path):
    training, document = trained("svm", version, kernel="linear")
    assert document["kernel_type"] == "Linear"
    assert convert(json.dumps(document).encode(), tmp_path / "a.onnx", samples=60).passed
    with Selector.load(tmp_path / "a.onnx") as selector:
        picked = selector.select_batch(training.features)
    if version == 1:
        assert len(document["linear_classifiers"]) == 4
        assert not document["rbf_classifiers"]
        assert picked == reference.select(document, training.features)
    else:
        assert picked == [reference.svc(document, query)[0] for query in training.features]
    tried = tune(training, trainer("svm", version))
    assert {one.settings.gamma for one in tried} == {1.0}
    assert {one.settings.kernel for one in tried} == {"linear"}


@pytest.mark.parametrize("hidden", [(5,), (7, 5), (6, 5, 4)])
def test_an_mlp_has_the_hidden_layers_that_are_asked(hidden, tmp_path):
    training, document = trained("mlp", hidden=hidden)
    assert document["hidden_sizes"] == list(hidden)
    linear = [layer for layer in document["layers"] if layer["type"] == "linear"]
    assert [layer["out_features"] for layer in linear] == [*hidden, document["n_classes"]]
    assert convert(json.dumps(document).encode(), tmp_path / "a.onnx", samples=60).passed
    with Selector.load(tmp_path / "a.onnx") as selector:
        assert selector.select_batch(training.features) == reference.select(document, training.features)


def test_quality_weight_is_the_share_of_quality_in_what_is_learned():
    # The dear model is better by 0.2, and takes 90 seconds: by quality alone it is the best, by speed alone never.
    data = encoded(
        *(
            record(query=f"q{i}", model_name=name, performance=p, response_time=seconds, embedding=[float(i % 4), 1.0])
            for i in range(40)
            for name, p, seconds in (("dear", 0.7, 90.0), ("quick", 0.5, 0.1))
        )
    )
    for name, version in (("kmeans", 1), ("svm", 1), ("mlp", 2)):
        picks = {}
        for weight in (1.0, None, 0.2):
            settings = Settings(quality_weight=weight, clusters=2)
            training = training_data(read_records(data), settings, one_hot=False)
            document = train(training, trainer(name, version))
            picks[weight] = set(load_estimator(json.dumps(document).encode()).predict(training.features))
        assert picks == {1.0: {"dear"}, None: {"dear"}, 0.2: {"quick"}}


def test_hiershrink_is_trained_by_the_originals_recipe(tmp_path):
    training, document = trained("hiershrink", latency_weight=0.3)
    assert (len(document["coarse_centroids"]), len(document["fine_centroids"])) == (20, 56)  # 56 questions
    assert len(document["training"]) == 224
    assert document["cost_weight"] == 0.3
    assert convert(json.dumps(document).encode(), tmp_path / "a.onnx", samples=60).passed
    with Selector.load(tmp_path / "a.onnx") as selector:
        for query in training.features[::20]:
            scores = reference.hiershrink_scores(document, query)
            assert selector.scores(query) == pytest.approx(scores, abs=1e-12)
            assert selector.select(query) == max(scores, key=scores.get)


def objective(**settings):
    trained("kmeans", **settings)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"objective_quality": -1.0}, "objective.weights.quality: expected `float` >= 0"),
        ({"objective_quality": 0.0, "objective_latency": 0.0}, "objective.weights: expected at least one above 0"),
        ({"latency_scale_ms": 0.0}, "objective.latency_scale_ms: expected `float` > 0"),
        ({"cost_scale": -1.0}, "objective.cost_scale: expected `float` > 0"),
        ({"objective_cost": 0.5}, "objective_cost: expected records with costs, got none"),
    ],
    ids=str,
)
def test_the_objective_is_checked_as_the_original_checks_it(settings, message):
    with pytest.raises(DocumentError) as refusal:
        objective(**settings)
    assert str(refusal.value) == message


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


def test_every_setting_is_read_by_an_algorithm():
    read = {name for rules in TABLE.values() for name in rules.settings}
    assert read | {"seed", "objective"} == set(Settings._fields)


@pytest.fixture
def transformers(monkeypatch):
    """Stand in for sentence-transformers: remembers what is loaded, and embeds texts by their length."""
    loaded = []

    class SentenceTransformer:
        def __init__(self, name, **options):
            loaded.append((name, options))

        def encode(self, texts, normalize_embeddings=False, **options):
            vectors = np.array([[len(text), 1.0] for text in texts], np.float32)
            return vectors / np.linalg.norm(vectors, axis=1, keepdims=True) if normalize_embeddings else vectors

    module = types.ModuleType("sentence_transformers")
    module.SentenceTransformer = SentenceTransformer
    monkeypatch.setitem(sys.modules, "sentence_transformers", module)
    return loaded


def test_an_embedder_scales_to_unit_length_and_knows_the_names_of_the_originals_pages(transformers):
    vectors = embed(["a", "abc"], "qwen3")
    assert np.linalg.norm(vectors, axis=1) == pytest.approx([1.0, 1.0])
    embed(["a"], "owner/another")
    assert [name for name, _ in transformers] == ["Qwen/Qwen3-Embedding-0.6B", "owner/another"]
    assert not any("trust_remote_code" in options for _, options in transformers)
    assert {"qwen3", "gte", "mpnet", "e5", "bge"} <= set(NAMES)


def test_the_trainers_own_cache_is_read(tmp_path):
    rng = np.random.default_rng(0)
    cached = {text: rng.normal(size=7).astype(np.float32) for text in ("one", "zwei é", "三")}
    np.savez(tmp_path / "embeddings_qwen3.npz", embeddings=cached)
    found = read_embeddings(tmp_path / "embeddings_qwen3.npz", ["三", "one", "four"])
    np.testing.assert_array_equal(found[:2], [cached["三"], cached["one"]])
    assert np.isnan(found[2]).all()


class Harm:
    """What a pickle could do."""

    def __reduce__(self):
        return (open, ("harm", "w"))


CACHES = {
    "a call": {"one": Harm()},
    "a matrix": {"one": np.zeros((2, 2), np.float32)},
    "objects": {"one": np.array([Harm(), None])},
    "no dictionary": [1, 2],
    "no vectors": {"one": "two"},
    "no queries": {1: np.zeros(2, np.float32)},
    "ragged": {"one": np.zeros(2, np.float32), "two": np.zeros(3, np.float32)},
    "whole numbers": {"one": np.zeros(2, np.int64)},
    "nothing": {},
}


@pytest.mark.parametrize("name", CACHES)
def test_a_cache_of_anything_else_is_refused_and_does_nothing(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    np.savez("cache.npz", embeddings=CACHES[name])
    with pytest.raises(DocumentError):
        read_embeddings(tmp_path / "cache.npz", ["one"])
    assert [path.name for path in tmp_path.iterdir()] == ["cache.npz"]
