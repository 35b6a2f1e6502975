"""Training on benchmark records, through the command and through Python."""

import json

import numpy as np
import pytest

from modelpick.converter import convert, load_estimator
from modelpick.converter.algorithms import TABLE
from modelpick.converter.cli import train as _train_command  # noqa: F401
from modelpick.converter.formats.outcomes import Settings
from modelpick.converter.training.records import read_records
from modelpick.converter.training.train import train, training_data
from modelpick.runtime import DocumentError, Objective, Selector
from support import reference
from support.outcomes import with_outcomes
from support.recorded import DATA, encoded, record, routed

pytestmark = pytest.mark.filterwarnings("ignore::modelpick.converter.DocumentWarning")


ROWS = {f"{rules.algorithm} {rules.semantics}": rules for rules in TABLE.values() if rules.fit}


@pytest.mark.parametrize("name", ROWS)
def test_trains_models_that_convert_and_fit_their_data(name, tmp_path):
    rules = ROWS[name]
    training = training_data(read_records(DATA), Settings(clusters=14))
    document = train(training, rules)
    (tmp_path / "model.json").write_text(json.dumps(document))
    natively = "queries" if rules.unversioned == "queries" else "native"  # follows the file's version
    for semantics in dict.fromkeys((natively, "trainer") if rules.semantics == "native/1" else (natively,)):
        assert convert(tmp_path / "model.json", tmp_path / "model.onnx", samples=60, semantics=semantics).passed
        with Selector.load(tmp_path / "model.onnx") as selector:
            picked = selector.select_batch(training.features)
            if semantics == "native":
                assert selector.metadata.semantics == rules.semantics
            if semantics == "native" and rules.semantics == "native/1" and rules.algorithm in reference.SELECT:
                assert picked == reference.select(document, training.features)
        names = training.benchmark.model_names
        qualities = [training.benchmark.quality[i, names.index(name)] for i, name in enumerate(picked)]
        chance, best = training.benchmark.quality.mean(), training.benchmark.quality.max(axis=1).mean()
        if rules.algorithm not in ("knn", "hiershrink"):  # five rows are mostly of one query; few records in a cluster
            assert np.mean(qualities) > chance + 0.3 * (best - chance)


@pytest.mark.parametrize("models", [["a"], ["a", "b"]])
@pytest.mark.parametrize("name", ROWS)
def test_trains_on_few_models(name, models):
    rng, rules = np.random.default_rng(0), ROWS[name]
    vectors = rng.random((12, 5)).tolist()
    data = encoded(
        *(
            record(query=f"q{i}", model_name=model, performance=float(rng.random()), embedding=vectors[i])
            for i in range(12)
            for model in models
        )
    )
    training = training_data(read_records(data), Settings(clusters=20))
    if (name, models) == ("svm native/2", ["a"]):
        with pytest.raises(DocumentError, match="svm: expected records of two models or more"):
            train(training, rules)
        return
    document = train(training, rules)
    picked = load_estimator(json.dumps(document).encode(), semantics=rules.semantics).predict(rng.random((30, 19)))
    assert set(picked) <= set(models)


def test_kernel_ridge_is_that_of_plain_numpy():
    """Complete outcomes need one matrix; missing ones a matrix for each pattern of what is missing."""
    rng = np.random.default_rng(3)
    for missing in (0.0, 0.3):
        benchmark = read_records(routed(40))
        quality = np.where(rng.random(benchmark.quality.shape) < missing, np.nan, benchmark.quality)
        training = training_data(with_outcomes(benchmark, quality=quality), Settings(gamma=0.7, ridge=0.5))
        document = train(training, ROWS["kernel_ridge native/2"])
        estimator = load_estimator(json.dumps(document).encode())
        queries = rng.normal(size=(20, training.features.shape[1]))
        expected = reference.kernel_ridge(training.features, training.benchmark.quality, queries, 0.7, 0.5)
        np.testing.assert_allclose(estimator.decision_function(queries), expected, atol=1e-9)


def test_landmarks_predict_nearly_as_all_rows_do():
    training = training_data(read_records(routed(200)), Settings(ridge=0.5))
    few = training._replace(settings=Settings(ridge=0.5, landmarks=60))
    whole, part = (train(data, ROWS["kernel_ridge native/2"]) for data in (training, few))
    assert (len(whole["support_vectors"]), len(part["support_vectors"])) == (200, 60)
    outcomes = [
        load_estimator(json.dumps(document).encode()).decision_function(training.features) for document in (whole, part)
    ]
    assert np.abs(outcomes[0] - outcomes[1]).mean() < 0.05


@pytest.mark.parametrize("name", ["kernel_ridge native/2", "knn queries/3"])
def test_no_cost_is_predicted_below_0(name, tmp_path):
    """Costs are skewed and records sparse, so that sums of deviations reach below."""
    rng, rules = np.random.default_rng(0), ROWS[name]
    lines = []
    for i, embedding in enumerate(rng.normal(size=(120, 6))):
        for place, model in enumerate("ab"):
            cost = float(np.exp(2 * rng.normal() - 9) * (30 if place else 1))
            fields = {"cost": cost, "performance": float(rng.random()), "embedding": embedding.tolist()}
            if place or i % 3 == 0:
                lines.append(record(query=f"q{i}", model_name=model, **fields))
    document = train(training_data(read_records(encoded(*lines)), Settings(ridge=0.01), one_hot=False), rules)
    earlier = {"kernel_ridge native/2": "native/1", "knn queries/3": "queries/2"}[name]
    queries, lowest = rng.normal(size=(300, 6)), {}
    for semantics in (rules.semantics, earlier):
        (tmp_path / "model.json").write_text(json.dumps(document))
        assert convert(tmp_path / "model.json", tmp_path / "model.onnx", samples=60, semantics=semantics).passed
        with Selector.load(tmp_path / "model.onnx", objective=Objective(cost_weight=10.0)) as selector:
            found = [selector.explain(query) for query in queries]
            assert [why["model"] for why in found] == selector.select_batch(queries)
        for why in found:
            for model, got in why["outcomes"].items():
                assert why["scores"][model] == pytest.approx(got["quality"] - 10.0 * got["cost"])
        lowest[semantics] = min(got["cost"] for why in found for got in why["outcomes"].values())
    assert lowest[rules.semantics] == 0.0
    assert lowest[earlier] < 0.0  # as its artifacts always did
