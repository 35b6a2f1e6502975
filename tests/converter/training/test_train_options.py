"""What training takes as the original's does: kernels, hidden layers, weights, HierShrink, embedders, their cache."""

import json

import pytest

from modelpick.converter import convert, load_estimator
from modelpick.converter.algorithms import TABLE
from modelpick.converter.formats.outcomes import Settings
from modelpick.converter.training.records import read_records
from modelpick.converter.training.train import train, trainer, training_data
from modelpick.converter.training.tune import tune
from modelpick.runtime import DocumentError, Selector
from support import reference
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


def test_every_setting_is_read_by_an_algorithm():
    read = {name for rules in TABLE.values() for name in rules.settings}
    assert read | {"seed", "objective"} == set(Settings._fields)
