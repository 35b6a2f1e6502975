"""Models that their records do not tell apart."""

import numpy as np

from modelpick.converter.evaluation.evaluate import MANY, SELDOM, evaluate_policies
from modelpick.converter.evaluation.policies import roles
from modelpick.converter.statistics.bootstrap import WANTED
from modelpick.converter.statistics.equals import alike, equal_models
from modelpick.runtime import Objective
from support.policies import policy, recorded


def drawn(n, models=4, seed=0):
    """Records of which models b and d are equal."""
    quality = np.random.default_rng(seed).random((n, models))
    quality[:, 3] = quality[:, 1]
    return recorded(quality.tolist(), np.ones((n, models)).tolist(), names="abcdefghijklmnopqrstuvwxyz")


def test_models_of_equal_records_are_named_by_the_first():
    assert equal_models(drawn(WANTED)) == {"b": ["d"]}
    assert equal_models(drawn(WANTED - 1)) == {}
    dearer = drawn(WANTED)
    dearer.cost[0, 3] = 2.0
    assert equal_models(dearer) == {}
    unknown = drawn(WANTED)
    unknown.recorded[0][:, [1, 3]] = np.nan
    assert equal_models(unknown) == {}
    unknown = drawn(WANTED + 1)
    unknown.recorded[0][:, [1, 3]] = np.nan
    assert equal_models(unknown) == {"b": ["d"]}


def test_an_evaluation_says_whether_artifacts_call_them():
    benchmark = drawn(WANTED)
    called, others = "b" * WANTED, "d" * WANTED
    assert evaluate_policies([policy(called, benchmark)], benchmark).alike() == [
        "d has the same records as b, and no artifact calls it"
    ]
    assert evaluate_policies([policy(others, benchmark)], benchmark).alike() == ["d has the same records as b"]
    assert alike("a", ["b", "c", "d"]) == "b, c and d have the same records as a"
    assert alike("a", [f"m{i}" for i in range(40)]).endswith("m10, m11 and 28 more have the same records as a")


def test_of_equal_models_the_first_is_the_best():
    for seed in range(20):
        benchmark = drawn(401, 26, seed)
        benchmark.recorded[:, 0, [1, 3]] += 1.0
        benchmark.recorded[:, 1, [1, 3]] *= 0.1
        assert roles(benchmark, Objective()) == dict.fromkeys(("strongest", "cheapest", "best"), "b")


def test_of_many_models_those_that_artifacts_call_are_shown():
    benchmark = drawn(200, MANY + 3)
    name = benchmark.model_names
    picks = name[0] * 197 + name[1] * 2 + name[2]
    evaluation = evaluate_policies([policy(picks, benchmark)], benchmark)
    assert 2 / 200 >= SELDOM > 1 / 200
    assert evaluation.shown_models() == name[:2]
    shown = {one.name for one in evaluation.shown_results()}
    assert shown >= {name[0], name[1], "oracle", "random", evaluation.baseline}
    assert len(evaluation.results) - len(shown) == len(name) - len({*name[:2], *roles_of(evaluation)})
    few = drawn(WANTED, MANY)
    evaluation = evaluate_policies([policy("a" * WANTED, few)], few)
    assert (evaluation.shown_models(), evaluation.shown_results()) == (few.model_names, evaluation.results)


def roles_of(evaluation):
    return {one.name for one in evaluation.of("single") if one.roles}
