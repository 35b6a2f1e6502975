"""Evaluation on benchmark records, through the command and through Python."""

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
from modelpick.converter.evaluation.picks import picks_worst_first
from modelpick.converter.evaluation.plot import plot
from modelpick.converter.evaluation.policies import Objective, Policy, chosen, roles, routed
from modelpick.converter.evaluation.verdict import all_pay, verdicts
from modelpick.converter.formats.outcomes import Settings
from modelpick.converter.statistics.bootstrap import BOOTSTRAPS
from modelpick.converter.training.records import read_records
from modelpick.converter.training.train import train, trainer, training_data
from modelpick.runtime import DocumentError, FeatureError, ModelpickError, Selector
from modelpick.runtime.decision.shrinkage import model_means
from support import reference
from support.command import modelpick
from support.outcomes import with_outcomes
from support.recorded import DATA, ROOT, ROUTING, encoded, record
from support.recorded import routed as routed_records

BENCHMARK = read_records(DATA)
pytestmark = pytest.mark.filterwarnings("ignore::modelpick.converter.DocumentWarning")


@pytest.fixture(scope="module")
def artifacts(tmp_path_factory):
    folder = tmp_path_factory.mktemp("artifacts")
    for name in ("knn", "kmeans"):
        convert(ROOT / f"models/{name}.json", folder / f"{name}.onnx", samples=0)
    return [folder / "knn.onnx", folder / "kmeans.onnx"]


def evaluated(artifacts, benchmark=BENCHMARK, **asked):
    return evaluate_policies(routed(artifacts, benchmark), benchmark, **asked)


def recorded(quality, cost=None, seconds=None, names="abc"):
    """Benchmark of given outcomes, None for what is unknown."""
    lines = []
    for i, row in enumerate(quality):
        for j, value in enumerate(row):
            fields = {"cost": cost[i][j] if cost else None, "response_time": seconds[i][j] if seconds else None}
            if value is not None:
                lines.append(record(query=f"q{i}", model_name=names[j], performance=value, **fields))
    return read_records(encoded(*lines))


def policy(picks, benchmark, label="p", keep=None):
    models = np.array([benchmark.model_names.index(pick) for pick in picks])
    return Policy(label, chosen(models, len(benchmark.model_names)), list(picks), "p", keep)


def by_name(evaluation):
    return {result.name: result for result in evaluation.results}


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
    for suffix in ("svg", "png"):
        plot(evaluation, tmp_path / f"plot.{suffix}")
        assert (tmp_path / f"plot.{suffix}").stat().st_size > 1000
    assert "codellama-7b" in (tmp_path / "plot.svg").read_text()
    with pytest.raises(ModelpickError, match=r"expected a name that ends in \.svg or \.png"):
        plot(evaluation, tmp_path / "plot.gif")


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
    for artifact, policy in zip(artifacts, found, strict=True):
        with Selector.load(artifact) as selector:
            for query, pick in enumerate(policy.picks):
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
        metadata, n_features_in_, model_names = SimpleNamespace(outcomes=(), encoder=None), 1, ("a", "b")

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
    # Its hull goes from b by keep=0.5 to a, beside the line from b to a.
    one = evaluation.frontiers[1]
    assert one.over_singles.value == pytest.approx((1 - 0.75) / 2)
    found = verdicts(evaluation)
    assert [verdict.pays for verdict in found] == [False, True, True] * 2
    assert found[0].text == "call a instead: +0.000 [+0.000, +0.000] over it"
    assert found[1].text.startswith("a's quality (100.0 % [100.0, 100.0]) for 37.5 % [3")
    assert found[2].text.startswith("75.0 % [6")
    assert "] of a's quality for 56.2 % [5" in found[2].text
    assert found[2].text.endswith("] less cost")
    assert all_pay(points, found)
    assert not all_pay(points[:1], found[:1])


def test_verdicts_are_plain():
    rng = np.random.default_rng(0)
    n = 400
    quality = np.round(rng.random((n, 2)), 3) + np.array([0.125, 0.0])
    dear, equal = (recorded(quality.tolist(), [[cost, 1.0]] * n, names="ab") for cost in (4.0, 1.0))
    best, chance = ("".join("ab"[model] for model in models) for models in (quality.argmax(1), rng.integers(2, size=n)))
    for benchmark, less in ((dear, True), (equal, False)):
        good, bad = verdicts(evaluate_policies([policy(best, benchmark), policy(chance, benchmark, "q")], benchmark))
        assert good.pays
        assert good.text.startswith("+0.1")
        assert "] over always calling a" in good.text
        assert good.text.endswith("] less cost") == less
        assert not bad.pays
        assert bad.text.startswith("send 5" if less else "call a instead: -0.")
    utility = Objective(cost_weight=0.01)
    (good,) = verdicts(evaluate_policies([policy(best, dear)], dear, objective=utility))
    assert "] utility over always calling a" in good.text


def without_nan(evaluation):
    lines = [*evaluation.reasons(), *(verdict.text for verdict in verdicts(evaluation))]
    return not any("nan" in line for line in lines)


def test_what_is_not_above_0_has_no_parts():
    """Rewards below 0: a policy that is better would seem to keep less."""
    n = 60
    quality = [[-1.0, -0.7 if i % 2 else -2.7] for i in range(n)]
    benchmark = recorded(quality, [[20.0, 1.0]] * n, names="ab")
    evaluation = evaluate_policies([policy("ab" * (n // 2), benchmark)], benchmark)
    found = by_name(evaluation)["p"]
    assert found.gain.value == pytest.approx(0.15)
    assert np.isnan([found.kept.value, found.kept.low, found.kept.high]).all()
    assert "quality kept: the mean quality of a is not surely above 0" in evaluation.reasons()
    (verdict,) = verdicts(evaluation)
    assert verdict.pays
    assert verdict.text.startswith("+0.150 [+0.1")
    frugal = evaluate_policies([policy("ab" * (n // 2), benchmark)._replace(keep=None)], benchmark, learned=benchmark)
    assert without_nan(frugal)


def test_a_mean_that_samples_put_below_0_has_no_parts_either():
    rng = np.random.default_rng(0)
    quality = np.column_stack([rng.normal(size=60), rng.normal(size=60)])
    quality[:, 0] += 0.05 - quality[:, 0].mean()
    benchmark = recorded(quality.tolist(), names="ab")
    found = by_name(
        evaluate_policies([policy("b" * 60, benchmark)], benchmark, learned=recorded([[1.0, 0.0]], names="ab"))
    )
    assert found["a"].quality.value == pytest.approx(0.05)
    assert np.isnan(found["p"].kept.value)


def test_one_question_has_no_interval_and_pays_nothing():
    benchmark = recorded([[1.0, 0.0]], [[1.0, 9.0]], names="ab")
    evaluation = evaluate_policies([policy("a", benchmark)], benchmark, learned=recorded([[0.0, 1.0]], names="ab"))
    found = by_name(evaluation)["p"]
    assert found.gain.value == 1
    assert np.isnan([found.gain.low, found.gain.high, found.quality.low, evaluation.frontiers[0].aiq.low]).all()
    (verdict,) = verdicts(evaluation)
    assert not verdict.pays
    assert verdict.text.startswith("its gain over always calling b is +1.000 [—]: 1 query has no interval")
    assert without_nan(evaluation)


def test_policies_that_no_question_tells_apart_are_not_compared():
    benchmark = recorded([[1.0, None, 0.5], [None, 0.0, 0.5]] * 20)
    two = [policy("b" * 40, benchmark), policy("a" * 40, benchmark, "q")]
    evaluation = evaluate_policies(two, benchmark)
    assert np.isnan(by_name(evaluation)["p"].gain.value)
    text = "no question has answers of its pick and of a: about 30 would tell them apart"
    assert f"gain, quality kept, gap closed: {text}" in evaluation.reasons()
    judged = verdicts(evaluation)
    assert judged[0].text == f"its gain over always calling a is unknown: {text}"
    assert not any(verdict.pays for verdict in judged)
    assert np.isnan(evaluation.differences[0].quality.value)
    assert without_nan(evaluation)


def test_lists_picks_worst_first():
    benchmark = recorded([[1.0, 0.25], [0.5, 0.5], [None, 1.0], [0.0, 0.5]], [[1, 2]] * 4, names="ab")
    found = picks_worst_first([policy("baaa", benchmark)], benchmark, Objective())
    assert [(pick.query, pick.pick, pick.best, pick.regret) for pick in found] == [
        ("q0", "b", "a", 0.75),
        ("q3", "a", "b", 0.5),
        ("q1", "a", "a", 0.0),
        ("q2", "a", "b", None),
    ]
    assert found[0].outcome["quality"] == 0.25
    assert (found[0].outcome["cost"], found[0].outcome["seconds"]) == (2, None)
    assert found[3].outcome is None


def test_refuses_to_evaluate_what_does_not_fit(artifacts):
    with pytest.raises(DocumentError, match="expected picks among"):
        evaluated(artifacts, BENCHMARK._replace(model_names=["a", "b", "c", "d"]))
    with pytest.raises(FeatureError, match="expected 1038 features, got 1000 numbers and 14 categories"):
        evaluated(artifacts, BENCHMARK._replace(embeddings=BENCHMARK.embeddings[:, :1000]))
    with pytest.raises(DocumentError, match="expected records with the cost or response time"):
        evaluated(artifacts, objective=Objective(cost_weight=1.0))


def test_the_commands_evaluate_and_compare(artifacts, tmp_path):
    picks = tmp_path / "picks.jsonl"
    shared = ["evaluate", *artifacts, "--data", DATA]
    done = modelpick(*shared, "--json", "--plot", tmp_path / "plot.svg", "--picks", picks, "--train-data", DATA)
    assert done.returncode == 0
    told = "56 of 56 questions stand in its training records: what it does on others is unknown"
    assert done.stderr == "".join(f"warning: {name}: {told}\n" for name in ("knn", "kmeans"))
    found = json.loads(done.stdout)
    results = {result["name"]: result for result in found["results"]}
    assert results["knn"]["quality"]["value"] == pytest.approx(by_name(evaluated(artifacts))["knn"].quality.value)
    unknown = {"value": None, "low": None, "high": None, "reason": "no cost of its picks is known"}
    assert results["knn"]["cost"] == unknown
    assert [verdict["policy"] for verdict in found["verdicts"]] == ["knn", "kmeans"]
    assert (tmp_path / "plot.svg").exists()
    lines = [json.loads(line) for line in picks.read_text().split("\n")[:-1]]
    regrets = [line["regret"] for line in lines]
    assert len(lines) == 2 * 56
    assert regrets == sorted(regrets, reverse=True)
    done = modelpick(*shared, "--pair", "codellama-7b", "mistral-7b", "--fail-unless-pays")
    assert not any(verdict["pays"] for verdict in found["verdicts"])
    assert done.returncode == 1
    for text in ("oracle", "random", "mistral-7b", "quality by category", "share of selections", "APGR"):
        assert text in done.stdout
    assert done.stdout.splitlines()[-2:] == [f"{one['policy']}: {one['text']}" for one in found["verdicts"]]
    assert not re.search(r"-0\.0+( %|%|\b(?!\d))", done.stdout)


def test_the_command_compares_picks(artifacts, tmp_path):
    queries = ROOT / "models/queries.jsonl"
    done = modelpick("diff", *artifacts, "--queries", queries, "--json")
    found = json.loads(done.stdout)
    rows = [json.loads(line) for line in queries.read_text().splitlines()]
    with Selector.load(artifacts[0]) as knn, Selector.load(artifacts[1]) as kmeans:
        picks = list(zip(knn.select_batch(rows), kmeans.select_batch(rows), strict=True))
    expected = [{"query": i, "a": a, "b": b, "why": "other scores"} for i, (a, b) in enumerate(picks) if a != b]
    assert (found["queries"], found["different"], found["picks"]) == (8, len(expected), expected)
    assert f"{len(expected)} of 8 queries differ" in modelpick("diff", *artifacts, "--queries", queries).stdout
    assert modelpick("diff", *artifacts, "--queries", tmp_path / "none").returncode == 2


@pytest.mark.skipif(not ROUTING.exists(), reason="needs the shared data")
def test_on_real_records_singles_come_out_as_computed_apart():
    benchmark = read_records(ROUTING / "llmrouter_test500.jsonl.gz")
    evaluation = evaluate_policies([], benchmark)
    assert evaluation.baseline == "llama-3.1-nemotron-51b-instruct"
    assert roles(benchmark, Objective())["cheapest"] == "gemma-2-9b-it"
    assert evaluation.frontiers[0].aiq.value == pytest.approx(0.5282, abs=5e-5)
