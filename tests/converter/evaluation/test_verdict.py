"""Verdicts: whether an artifact is worth calling, in a line."""

import numpy as np
import pytest

from modelpick.converter.evaluation.evaluate import evaluate_policies
from modelpick.converter.evaluation.policies import Objective
from modelpick.converter.evaluation.verdict import verdicts
from support.policies import by_name, policy, recorded

pytestmark = pytest.mark.filterwarnings("ignore::modelpick.converter.DocumentWarning")


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
