"""Verdicts: whether an artifact is worth calling, in a sentence."""

import re

import numpy as np
import pytest

from modelpick.converter.evaluation.drift import Drift
from modelpick.converter.evaluation.evaluate import evaluate_policies
from modelpick.converter.evaluation.policies import Objective
from modelpick.converter.evaluation.seen import Seen
from modelpick.converter.evaluation.verdict import all_pay, headlines, verdicts
from support.policies import by_name, policy, recorded

pytestmark = pytest.mark.filterwarnings("ignore::modelpick.converter.DocumentWarning")


def judged(policies, benchmark, **asked):
    return verdicts(evaluate_policies(policies, benchmark, **asked))


def two_models(n=200, seed=0):
    """Recorded qualities of a and b, of which a is the better by 12 points, and what an oracle picks."""
    rng = np.random.default_rng(seed)
    quality = np.round(rng.random((n, 2)), 3) * 0.8 + np.array([0.1, 0.0])
    return quality, "".join("ab"[model] for model in quality.argmax(1)), rng


def test_a_verdict_names_what_is_gained_what_is_saved_and_what_got_worse():
    quality, best, rng = two_models(400)
    n = len(quality)
    chance = "".join("ab"[model] for model in rng.integers(2, size=n))
    slow = {"seconds": [[1.0, 3.0]] * n}
    dear, equal = (recorded(quality.tolist(), [[cost, 1.0]] * n, names="ab", **slow) for cost in (4.0, 1.0))
    good, bad = judged([policy(best, dear), policy(chance, dear, "q")], dear)
    number, interval = r"\d+", r"\[\d+, \d+\]"
    points = r"\+\d+\.\d points of quality \[\d+\.\d, \d+\.\d\]"
    assert re.fullmatch(
        rf"Worth calling: {points} over always calling a for {number} % {interval} less cost, "
        rf"but seconds \+{number} % {interval}\.",
        good.text,
    )
    gained = float(re.search(r"\+([\d.]+) points", good.text)[1])
    assert gained == pytest.approx(100 * (quality.max(1).mean() - quality[:, 0].mean()), abs=0.05)
    assert (good.pays, good.answer, good.mark, good.beware) == (True, "worth calling", "✓", [])
    assert (bad.pays, bad.mark) == (False, "✗")
    share = chance.count("a") / n
    assert re.fullmatch(
        rf"Not worth calling: always sending {100 * max(share, 1 - share):.0f} % to . and \d+ % to ., at random, "
        r"has the same cost and is \d+\.\d points of quality \[\d+\.\d, \d+\.\d\] better\.",
        bad.text,
    )
    assert bad.compared == bad.text
    good, bad = judged([policy(best, equal), policy(chance, equal, "q")], equal)
    assert "less" not in good.text
    assert re.match(r"Not worth calling: always calling a is \d+\.\d points of quality \[", bad.text)
    (good,) = judged([policy(best, dear)], dear, objective=Objective(cost_weight=0.01))
    assert " points of utility [" in good.text


def test_an_artifacts_headline_is_its_default_picks_or_its_operating_point_that_keeps_the_most():
    quality = two_models()[0]
    n = len(quality)
    # For a tenth, b answers three questions of four as well.
    quality[:, 1] = np.where(np.arange(n) % 4, quality[:, 0], quality[:, 0] / 2)
    benchmark = recorded(quality.tolist(), [[1.0, 0.1]] * n, names="ab")
    kept = "".join("b" if i % 4 and i % 3 else "a" for i in range(n))
    more = "".join("b" if i % 4 or i < n / 8 else "a" for i in range(n))
    never = policy("a" * n, benchmark)
    points = [policy(picks, benchmark, f"p keep={keep:g}", keep) for picks, keep in ((more, 0.9), (kept, 1))]
    evaluation = evaluate_policies([never, *points], benchmark)
    (found,) = headlines(evaluation)
    assert found.policy == "p"
    assert re.fullmatch(
        r"Worth calling: the same quality as always calling a for \d+ % \[\d+, \d+\] less cost with keep=1\.",
        found.text,
    )
    assert re.fullmatch(
        r"Compared with always calling a, at the operating point keep=1 \(the cheapest that promises 100 % of a's "
        r"quality; not the default\): the same quality for \d+ % \[\d+, \d+\] less cost\. It is worth calling\.",
        found.compared,
    )
    assert [one.pays for one in verdicts(evaluation)] == [False, True, True]
    assert all_pay([never, *points], evaluation, ())
    assert all_pay([never, *points], evaluation, (0.9, 1))
    assert not all_pay([never, never._replace(keep=0.5)], evaluate_policies([never], benchmark), (0.5,))
    (alone,) = headlines(evaluate_policies([never], benchmark))
    other = recorded((quality + np.array([0, 0.2])).tolist(), [[1.0, 0.1]] * n, names="ab")
    best = policy("b" * n, other)
    (both,) = headlines(evaluate_policies([best, points[1]], other, learned=benchmark))
    assert re.fullmatch(
        r"Worth calling: \+.* points of quality .* over always calling a for 90 % \[90, 90\] less cost; "
        r"or \+.* points of quality .* for \d+ % \[\d+, \d+\] less cost with keep=1\.",
        both.text,
    )
    assert re.match(
        r"Compared with always calling a, by default: \+.*; at the operating point keep=1 \(", both.compared
    )
    (low,) = headlines(evaluate_policies([never._replace(label="p keep=0.5", keep=0.5)], benchmark))
    assert low.compared.startswith(
        "Not worth calling, at the operating point keep=0.5 (the cheapest that promises 50 % of a's quality; "
        "not the default): always calling a is as good or better: "
    )
    assert alone.compared == alone.text
    assert alone.text == "Not worth calling: always calling a is as good or better: +0.0 points of quality [0.0, 0.0]."


def test_questions_that_are_too_few_are_said_with_how_many_would_do():
    """Of as many questions as it says, at least two of three draws tell; of the few, hardly any."""
    rng = np.random.default_rng(3)

    def drawn(n):
        quality = np.clip(0.5 + 0.2 * rng.normal(size=(n, 2)), 0, 1)
        quality[:, 1] = np.clip(quality[:, 0] + 0.03 + 0.2 * rng.normal(size=n), 0, 1)
        benchmark = recorded(quality.tolist(), names="ab")
        learned = recorded([[1.0, 0.0]], names="ab")
        return judged([policy("b" * n, benchmark)], benchmark, learned=learned)[0]

    few = next(one for one in (drawn(60) for _ in range(20)) if one.answer == "cannot tell" and "(+3" in one.text)
    found = re.fullmatch(
        r"Cannot tell: 60 questions; about ([\d,]+) would do \(\+3.* over always calling a\)\.", few.text
    )
    needed = int(found[1].replace(",", ""))
    assert 200 < needed < 800
    assert sum(drawn(needed).pays for _ in range(5)) >= 3
    assert not few.pays


def test_what_makes_a_verdict_less_sure_is_told():
    quality, best, _ = two_models(20)
    benchmark = recorded(quality.tolist(), names="ab")
    sparse = recorded([*quality[:-2].tolist(), [0.5, None], [0.5, None]], names="ab")
    far = Drift(20, 0.23, [0.0] * 11, [1.0] * 11, [0.1] * 10)
    drifted = policy(best[:-2] + "bb", sparse)._replace(drift=far)
    (verdict,) = judged([drifted], sparse)
    assert verdict.beware == [
        "23 % of the questions lie farther out than 99 % of its training questions: they are of another kind",
        "the quality of 10.0 % of its calls is not known",
        "intervals from fewer than 30 questions are narrower than they should be",
    ]
    evaluation = evaluate_policies([policy(best, benchmark)._replace(drift=far)], benchmark)
    evaluation.seen = [Seen("p", 5, 25, 20), Seen("q", 9, 25, 20)]
    (verdict,) = headlines(evaluation)
    assert verdict.beware[0] == "5 of 25 questions stand in its training records: measured on the 20 others"
    assert len(verdict.beware) == 3


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
    assert verdict.text.startswith("Worth calling: +0.150 [+0.1")
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
    assert verdict.text == "Cannot tell: 1 query has no interval: 2 or more have."
    assert without_nan(evaluation)


def test_policies_that_no_question_tells_apart_are_not_compared():
    benchmark = recorded([[1.0, None, 0.5], [None, 0.0, 0.5]] * 20)
    two = [policy("b" * 40, benchmark), policy("a" * 40, benchmark, "q")]
    evaluation = evaluate_policies(two, benchmark)
    assert np.isnan(by_name(evaluation)["p"].gain.value)
    text = "no question has answers of its pick and of a: about 30 would tell them apart"
    assert f"gain, quality kept, gap closed: {text}" in evaluation.reasons()
    found = verdicts(evaluation)
    assert found[0].text == f"Cannot tell: {text}."
    assert not any(verdict.pays for verdict in found)
    assert np.isnan(evaluation.differences[0].quality.value)
    assert without_nan(evaluation)
