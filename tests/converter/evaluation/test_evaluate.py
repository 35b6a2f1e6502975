"""Evaluation on benchmark records, through the command and through Python."""

import json

import numpy as np
import pytest

from modelpick.converter import convert
from modelpick.converter.evaluation.evaluate import evaluate_policies
from modelpick.converter.evaluation.policies import Objective, roles, routed
from modelpick.converter.formats.outcomes import Settings
from modelpick.converter.statistics.bootstrap import BOOTSTRAPS
from modelpick.converter.training.records import read_records
from modelpick.converter.training.train import train, trainer, training_data
from modelpick.runtime import DocumentError, FeatureError, Selector
from support import reference
from support.outcomes import with_outcomes
from support.policies import BENCHMARK, by_name, evaluated, policy, recorded
from support.recorded import ROOT, ROUTING
from support.recorded import routed as routed_records

pytestmark = pytest.mark.filterwarnings("ignore::modelpick.converter.DocumentWarning")


def test_evaluates(artifacts, tmp_path):
    evaluation = evaluated(artifacts)
    results = by_name(evaluation)
    n, m = BENCHMARK.quality.shape
    assert list(results) == [
        *("oracle", "knn", "kmeans", "mix at knn", "mix at kmeans", *BENCHMARK.model_names, "random"),
    ]
    assert (evaluation.queries, evaluation.axis, evaluation.roles_from) == (56, "seconds", "hindsight")
    document = json.loads((ROOT / "models/kmeans.json").read_text())
    picked = [
        BENCHMARK.model_names.index(name) for name in reference.select(document, training_data(BENCHMARK).features)
    ]
    got, best = BENCHMARK.quality[range(n), picked], BENCHMARK.quality.max(axis=1)
    time = BENCHMARK.seconds[range(n), picked]
    base = int(BENCHMARK.quality.mean(axis=0).argmax())
    single, single_time = BENCHMARK.quality[:, base], BENCHMARK.seconds[:, base]
    assert evaluation.baseline == BENCHMARK.model_names[base]
    draws = np.random.default_rng(0).integers(n, size=(BOOTSTRAPS, n))
    statistics = {
        "quality": lambda i: got[i].mean(),
        "seconds": lambda i: time[i].mean(),
        "regret": lambda i: (best - got)[i].mean(),
        "best_share": lambda i: (got == best)[i].mean(),
        "gain": lambda i: (got - single)[i].mean(),
        "kept": lambda i: got[i].mean() / single[i].mean(),
        "saved": lambda i: 1 - time[i].mean() / single_time[i].mean(),
        "gap_closed": lambda i: (got - single)[i].mean() / (best - single)[i].mean(),
    }
    kmeans = results["kmeans"]
    for name, statistic in statistics.items():
        found = kmeans.estimate(name)
        assert found.value == pytest.approx(statistic(np.arange(n))), name
        samples = [statistic(draw) for draw in draws]
        assert [found.low, found.high] == pytest.approx(np.percentile(samples, [2.5, 97.5])), name
    assert np.isnan(kmeans.outcomes["cost"].value)
    assert results["oracle"].quality.value == pytest.approx(best.mean())
    assert results["oracle"].regret.value == 0
    assert results["random"].quality.value == pytest.approx(BENCHMARK.quality.mean())
    shares = np.bincount(picked, minlength=m) / n
    assert kmeans.selections == pytest.approx(dict(zip(BENCHMARK.model_names, shares, strict=True)))
    math = np.array(BENCHMARK.categories) == "math"
    assert kmeans.categories["math"].quality == pytest.approx(got[math].mean())
    assert kmeans.categories["math"].queries == math.sum()
    (pair,) = evaluation.differences
    assert pair.quality.value == pytest.approx(abs(results["knn"].quality.value - kmeans.quality.value))


def test_sparse_records_count_where_they_are_known():
    benchmark = recorded([[1.0, 0.0], [0.5, None], [None, 1.0], [0.0, 0.5]], names="ab")
    results = by_name(evaluate_policies([policy("bbba", benchmark)], benchmark))
    found = results["p"]
    assert found.coverage == 0.75
    assert found.quality.value == pytest.approx((0 + 1 + 0) / 3)
    assert found.regret.value == pytest.approx((1 + 0 + 0.5) / 3)
    base = results["p"], evaluate_policies([], benchmark).baseline
    other = benchmark.quality[:, benchmark.model_names.index(base[1])]
    got = np.array([0, np.nan, 1, 0])
    assert found.gain.value == pytest.approx(np.nanmean(got - other))
    assert results["oracle"].coverage == 1
    assert results["oracle"].quality.value == pytest.approx((1 + 0.5 + 1 + 0.5) / 4)
    assert (found.categories["math"].queries, results["a"].coverage) == (3, 0.75)


def test_picks_without_any_record_lower_the_coverage(artifacts):
    names = [f"not {name}" if name == "mistral-7b" else name for name in BENCHMARK.model_names]
    other = BENCHMARK._replace(model_names=names)
    found = by_name(evaluate_policies(routed(artifacts, other, candidates=BENCHMARK.model_names), other))["knn"]
    whole = by_name(evaluated(artifacts))["knn"]
    assert found.coverage == pytest.approx(1 - whole.selections["mistral-7b"])
    assert 0 < found.coverage < 1


def test_artifacts_pick_among_the_models_that_a_question_has(artifacts):
    """As a service asks its pool: never what has no record, never better than the best of the question's models."""
    rng = np.random.default_rng(0)
    n, m = BENCHMARK.quality.shape
    gone = np.arange(m) == rng.integers(m, size=n)[:, None]  # one of the four from each question
    recorded = np.where(gone[:, None], np.nan, BENCHMARK.recorded)
    sparse = BENCHMARK._replace(recorded=recorded, failures=np.where(gone, np.nan, BENCHMARK.failures))
    found = routed(artifacts, sparse)
    features = training_data(BENCHMARK).features
    for artifact, one in zip(artifacts, found, strict=True):
        with Selector.load(artifact) as selector:
            for query, pick in enumerate(one.picks):
                pool = [name for name, lost in zip(BENCHMARK.model_names, gone[query], strict=True) if not lost]
                assert pick == selector.select(features[query], candidates=pool)
    evaluation = evaluate_policies(found, sparse)
    for result in evaluation.of("artifact"):
        assert result.coverage == 1
        assert result.quality.value + result.regret.value == pytest.approx(evaluation.results[0].quality.value)
    for result in evaluation.results:
        assert result.quality.value <= result.best.value + 1e-12
        assert result.regret.value >= 0


def test_records_of_other_models_are_no_error(artifacts):
    """Of one of the artifact's models, and one that it does not know."""
    names = [*BENCHMARK.model_names[:1], "x", "y", "z"]
    found = by_name(evaluated(artifacts, BENCHMARK._replace(model_names=names)))
    for name in ("knn", "kmeans"):
        assert found[name].coverage == 1
        assert found[name].selections[names[0]] == 1


@pytest.fixture(scope="module")
def outcome_artifact(tmp_path_factory):
    """Predicts outcomes: dear is the best single model, of which cheap is as good on half of the queries."""
    target = tmp_path_factory.mktemp("outcomes") / "ridge.onnx"
    training = training_data(read_records(routed_records()), Settings(ridge=0.1))
    convert(json.dumps(train(training, trainer("kernel_ridge"))).encode(), target, samples=0)
    return target


def test_artifacts_that_predict_outcomes_pick_by_the_objective(outcome_artifact):
    benchmark = read_records(routed_records(seed=1))
    objective = Objective(cost_weight=0.05)
    plain, weighed, kept = (
        routed([outcome_artifact], benchmark, **asked)
        for asked in ({}, {"objective": objective}, {"objective": objective, "keeps": [0.95]})
    )
    with Selector.load(outcome_artifact) as selector:
        features = training_data(benchmark).features
        assert list(plain[0].picks) == selector.select_batch(features)
        assert list(weighed[0].picks) == selector.select_batch(features, objective=objective)
        assert list(kept[1].picks) == selector.select_batch(features, keep=0.95)
    assert [policy.label for policy in kept] == ["ridge", "ridge keep=0.95"]
    utility = benchmark.quality - 0.05 * benchmark.cost
    found = by_name(evaluate_policies(weighed, benchmark, objective=objective))["ridge"]
    assert found.gain.value == pytest.approx(
        (weighed[0].chances * utility).sum(axis=1).mean() - utility[:, benchmark.model_names.index("cheap")].mean()
    )
    assert found.gain.low > 0


def test_the_best_single_model_is_the_one_that_artifacts_record(outcome_artifact, artifacts):
    """In hindsight it would be bad."""
    benchmark = read_records(routed_records(seed=1))
    benchmark = with_outcomes(
        benchmark, quality=np.where(np.array(benchmark.model_names) == "bad", 1.0, benchmark.quality)
    )
    for objective, best in ((Objective(), "dear"), (Objective(cost_weight=0.05), "cheap")):
        evaluation = evaluate_policies(
            routed([outcome_artifact], benchmark, objective=objective), benchmark, objective=objective
        )
        assert (evaluation.baseline, evaluation.roles_from) == (best, "artifacts")
        roles_of = {result.name: result.roles for result in evaluation.of("single")}
        assert {role: name for name, found in roles_of.items() for role in found} == {
            "strongest": "dear",
            "cheapest": "cheap",
            "best": best,
        }
    policies = routed([outcome_artifact], benchmark)
    other = [policies[0]._replace(recorded=dict.fromkeys(policies[0].recorded, "cheap"))]
    assert evaluate_policies([*policies, *other], benchmark).roles_from == "hindsight"  # they disagree
    assert evaluated(artifacts).roles_from == "hindsight"  # none records it


def test_refuses_to_evaluate_what_does_not_fit(artifacts):
    with pytest.raises(DocumentError, match="expected picks among"):
        evaluated(artifacts, BENCHMARK._replace(model_names=["a", "b", "c", "d"]))
    with pytest.raises(FeatureError, match="expected 1038 features, got 1000 numbers and 14 categories"):
        evaluated(artifacts, BENCHMARK._replace(embeddings=BENCHMARK.embeddings[:, :1000]))
    with pytest.raises(DocumentError, match="expected records with the cost or response time"):
        evaluated(artifacts, objective=Objective(cost_weight=1.0))


@pytest.mark.skipif(not ROUTING.exists(), reason="needs the shared data")
def test_on_real_records_singles_come_out_as_computed_apart():
    benchmark = read_records(ROUTING / "llmrouter_test500.jsonl.gz")
    evaluation = evaluate_policies([], benchmark)
    assert evaluation.baseline == "llama-3.1-nemotron-51b-instruct"
    assert roles(benchmark, Objective())["cheapest"] == "gemma-2-9b-it"
    assert evaluation.frontiers[0].aiq.value == pytest.approx(0.5282, abs=5e-5)
