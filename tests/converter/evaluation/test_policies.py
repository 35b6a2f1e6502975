"""Policies that artifacts are compared with: single models, mixes, the oracle, operating points."""

import json
import re
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelpick.converter import convert
from modelpick.converter.evaluation import policies
from modelpick.converter.evaluation.evaluate import evaluate_policies
from modelpick.converter.evaluation.plot import plot
from modelpick.converter.evaluation.policies import Objective, roles, routed
from modelpick.converter.evaluation.verdict import all_pay, verdicts
from modelpick.converter.training.records import read_records
from modelpick.converter.training.train import train, trainer, training_data
from modelpick.runtime import DocumentError
from modelpick.runtime.decision.shrinkage import model_means
from support.outcomes import with_outcomes
from support.policies import BENCHMARK, by_name, evaluated, policy, recorded
from support.recorded import encoded, record

pytestmark = pytest.mark.filterwarnings("ignore::modelpick.converter.DocumentWarning")


def test_the_static_mix_is_at_the_mean_price_what_is_beaten():
    benchmark = recorded([[0.0, 0.5, 1.0]] * 8, [[1, 2, 5]] * 8)
    results = by_name(evaluate_policies([policy("aaaaaacc", benchmark)], benchmark))
    picked, mix = results["p"], results["mix at p"]
    assert mix.outcomes["cost"].value == picked.outcomes["cost"].value == 2
    assert mix.selections == {"a": 0, "b": 1, "c": 0}
    assert picked.over_mix.value == pytest.approx(0.25 - 0.5)
    dearest = by_name(evaluate_policies([policy("cccccccc", benchmark)], benchmark))["mix at p"]
    assert dearest.selections["c"] == 1
    between = by_name(evaluate_policies([policy("bbbbbbbc", benchmark)], benchmark))["mix at p"]
    assert between.selections == pytest.approx({"a": 0, "b": 7 / 8, "c": 1 / 8})


def test_without_response_times_the_oracle_is_the_best(artifacts, tmp_path):
    for seconds in (BENCHMARK.seconds * 0, BENCHMARK.seconds * np.nan):
        evaluation = evaluated(artifacts, with_outcomes(BENCHMARK, seconds=seconds))
        assert evaluation.results[0].quality.value == pytest.approx(BENCHMARK.quality.max(axis=1).mean())
        assert evaluation.results[0].best_share.value == 1
        assert verdicts(evaluation)
        plot(evaluation, tmp_path / "plot.svg")


ORACLES = {
    "the cheaper": ([[1, 1, 0]], [[2, 1, 0]], [[1, 2, 0]], "b"),
    "then the faster": ([[1, 1, 0]], [[2, 2, 0]], [[2, 1, 0]], "b"),
    "then the first": ([[0, 1, 1]], [[0, 2, 2]], [[0, 1, 1]], "b"),
    "unknown costs most": ([[1, 1, 0]], [[None, 9, 0]], [[0, 9, 0]], "b"),
}


@pytest.mark.parametrize(("quality", "cost", "seconds", "best"), ORACLES.values(), ids=ORACLES)
def test_of_equally_good_models_the_oracle_takes(quality, cost, seconds, best):
    benchmark = recorded(quality, cost, seconds)
    found = evaluate_policies([], benchmark).results[0]
    assert [name for name, share in found.selections.items() if share] == [best]


def test_the_objective_decides_what_is_best():
    benchmark = recorded([[1.0, 0.75, 0.0]] * 4, [[4, 1, 0]] * 4, [[1, 1, 0]] * 4)
    picked = policy("abab", benchmark)
    plain, frugal, hasty = (
        by_name(evaluate_policies([picked], benchmark, objective=objective))
        for objective in (Objective(), Objective(cost_weight=0.125), Objective(seconds_weight=2))
    )
    assert [list(found["oracle"].selections.values()).index(1) for found in (plain, frugal, hasty)] == [0, 1, 2]
    assert plain["p"].regret.value == pytest.approx(0.125)
    assert frugal["p"].regret.value == pytest.approx((0.625 - 0.5) / 2)
    assert frugal["b"].roles == ["best"]
    assert frugal["a"].roles == ["strongest"]
    assert frugal["c"].roles == ["cheapest"]


def failing(n=60):
    """A model that fails in no time, for nothing, and one that takes half a minute; embeddings tell nothing."""
    rng = np.random.default_rng(0)
    for i in range(n):
        embedding = rng.normal(size=3).tolist()
        good = {"performance": 0.2 + 0.1 * rng.random(), "response_time": 30.0, "cost": 0.02}
        bad = {"performance": None, "success": False, "response_time": 0.1, "cost": 0.001}
        for name, fields in (("bad", bad), ("good", good)):
            yield record(query=f"q{i}", model_name=name, embedding=embedding, **fields)


WEIGHTS = [Objective(), Objective(seconds_weight=0.01), Objective(cost_weight=1e3, seconds_weight=10.0)]


@pytest.mark.parametrize("objective", WEIGHTS, ids=str)
def test_a_failed_answer_never_outranks_one_that_works(objective, tmp_path):
    benchmark = read_records(encoded(*failing()))
    assert roles(benchmark, objective)["best"] == "good"
    for name in ("kernel_ridge", "knn"):
        rules = trainer(name, semantics="queries" if name == "knn" else "native")
        document = json.dumps(train(training_data(benchmark), rules)).encode()
        convert(document, tmp_path / f"{name}.onnx", samples=0, semantics="queries" if name == "knn" else "native")
    found = routed([tmp_path / "kernel_ridge.onnx", tmp_path / "knn.onnx"], benchmark, objective=objective)
    always_bad = policy(["bad"] * 60, benchmark, "b")
    evaluation = evaluate_policies([*found, always_bad], benchmark, objective=objective)
    results = by_name(evaluation)
    for name in ("oracle", "kernel_ridge", "knn"):
        assert results[name].selections == {"bad": 0, "good": 1}
        assert results[name].success.value == 1
    assert evaluation.baseline == "good"
    assert results["bad"].success.value == 0
    assert results["bad"].outcomes["cost"].value == pytest.approx(0.001)  # it was paid
    assert np.isnan(results["bad"].outcomes["seconds"].value)  # and no evidence of speed
    assert results["b"].gain.value <= 0
    assert not verdicts(evaluation)[-1].pays


@given(st.data())
def test_no_weights_prefer_a_failed_answer(data):
    shape = (4, 3)
    number = st.floats(-2, 2)
    quality, cost, seconds = (
        np.array(data.draw(st.lists(number, min_size=12, max_size=12))).reshape(shape) for _ in range(3)
    )
    failures = np.array(data.draw(st.lists(st.booleans(), min_size=12, max_size=12))).reshape(shape).astype(float)
    outcomes = {"quality": np.where(failures == 1, 0.0, quality), "cost": np.abs(cost), "seconds": np.abs(seconds)}
    benchmark = with_outcomes(recorded(np.zeros(shape).tolist()), **outcomes)._replace(failures=failures)
    objective = Objective(data.draw(st.floats(0, 100)), data.draw(st.floats(0, 100)))
    utility = benchmark.utilities(objective)
    best = policies.best_models(benchmark, utility)
    for row in np.flatnonzero((failures == 0).any(axis=1)):
        worked = failures[row] == 0
        assert utility[row, worked].min() >= utility[row, ~worked].max(initial=-np.inf) - 1e-9
        assert worked[best[row]]


def test_the_best_single_model_is_learned_elsewhere():
    benchmark = recorded([[1.0, 0.0]] * 9, [[1, 2]] * 9, names="ab")
    learned = recorded([[0.0, 0.5, 1.0]] * 9, [[2, 1, 0]] * 9)
    evaluation = evaluate_policies([policy("a" * 9, benchmark)], benchmark, learned=learned)
    assert (evaluation.baseline, evaluation.roles_from) == ("b", "training records")
    assert by_name(evaluation)["b"].roles == ["strongest", "cheapest", "best"]
    assert by_name(evaluation)["p"].gain.value == 1
    with pytest.raises(DocumentError, match="expected training records of a, b, got them of x"):
        evaluate_policies([], benchmark, learned=learned._replace(model_names=["x", "y", "z"]))


def test_a_model_of_three_easy_records_is_not_the_best():
    easy = np.arange(100) < 10
    quality = np.column_stack(
        [np.where(easy, 1.0, 0.4), np.where(easy, 0.9, 0.2), np.where(np.arange(100) < 3, 1.0, np.nan)]
    )
    means = model_means(quality)
    assert means.argmax() == 0
    assert np.nanmean(quality, axis=0).argmax() == 2
    complete = quality[:, :2]
    assert np.diff(model_means(complete)) == pytest.approx(np.diff(complete.mean(axis=0)), rel=0.2)
    assert np.isnan(model_means(quality * np.nan)).all()


@pytest.fixture
def pointed(monkeypatch):
    """A selector with operating points: it calls a for every query, and b for a share of them that keep leaves."""

    class Pointed:
        features = type("", (), {"build_batch": staticmethod(lambda embeddings, categories: np.asarray(embeddings))})
        metadata = SimpleNamespace(outcomes=(), encoder=None, distances=())
        n_features_in_, model_names = 1, ("a", "b")

        @classmethod
        def load(cls, path):
            return cls()

        def __enter__(self):
            return self

        def __exit__(self, *_):
            pass

        def select_batch(self, matrix, *, candidates=None, keep=1.0):
            return ["a" if i < keep * len(matrix) else "b" for i in range(len(matrix))]

    monkeypatch.setattr(policies, "Selector", Pointed)


def test_each_operating_point_is_a_policy(pointed):
    n = 200
    benchmark = recorded([[1.0, float(i >= n / 2)] for i in range(n)], [[4.0, 1.0]] * n, names="ab")._replace(
        embeddings=np.zeros((n, 1))
    )
    points = routed(["x/one.onnx", "two.onnx"], benchmark, keeps=[0.5, 0.25])
    labels = [f"{name}{keep}" for name in ("one", "two") for keep in ("", " keep=0.5", " keep=0.25")]
    assert [point.label for point in points] == labels
    evaluation = evaluate_policies(points, benchmark)
    assert [one.name for one in evaluation.frontiers] == ["single models", "one", "two"]
    half = by_name(evaluation)["one keep=0.5"]
    assert half.quality.value == 1
    assert half.saved.value == pytest.approx(1 - 2.5 / 4)
    # Its hull goes from b by keep=0.5 to a, instead of straight from b to a.
    one = evaluation.frontiers[1]
    assert one.over_singles.value == pytest.approx((1 - 0.75) / 2)
    found = verdicts(evaluation)
    assert [verdict.pays for verdict in found] == [False, True, True] * 2
    assert (
        found[0].text == "Not worth calling: always calling a is as good or better: +0.0 points of quality [0.0, 0.0]."
    )
    assert re.fullmatch(
        r"Worth calling: the same quality as always calling a for 38 % \[3\d, 4\d\] less cost with keep=0\.5\.",
        found[1].text,
    )
    assert re.fullmatch(
        r"Worth calling: 75 % \[6\d, 8\d\] of the quality of always calling a for 56 % \[5\d, 6\d\] less cost with "
        r"keep=0\.25\.",
        found[2].text,
    )
    assert all_pay(points, evaluation, [0.5, 0.25])
    assert all_pay(points, evaluation, ())
    assert not all_pay(points[:1], evaluate_policies(points[:1], benchmark), ())
