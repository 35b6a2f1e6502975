"""Estimates from logs: doubly robust, exact on complete records, and a dash where answers are lacking."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelpick.converter import DocumentWarning
from modelpick.converter.evaluation.evaluate import evaluate_policies
from modelpick.converter.evaluation.simulation import chances_of, explored, simulated
from modelpick.converter.evaluation.verdict import verdicts
from modelpick.converter.formats.outcomes import Settings
from modelpick.converter.statistics.estimation import (
    GIVEN,
    GUESSED,
    Estimation,
    doubly_robust,
    effective_sample,
    estimated,
    lacking,
)
from modelpick.converter.training.train import train, trainer, training_data
from support.world import WORLD

# The log's policy -> the share of questions whose model is drawn from all.
LOGS = {"uniform": 1.0, "strong": 0.3, "hard": 0.3}


def by_name(evaluation):
    return {result.name: result for result in evaluation.results}


@pytest.mark.parametrize("policy", LOGS)
def test_intervals_of_logs_hold_what_complete_records_say(policy):
    truth = by_name(evaluate_policies([WORLD.policy], WORLD.complete))["p"]
    chances = chances_of(WORLD.complete, policy, LOGS[policy])
    held = {"gain": 0, "saved": 0, "quality": 0, "cost": 0}
    for seed in range(4):
        evaluation = evaluate_policies([WORLD.policy], simulated(WORLD.complete, chances, seed))
        assert evaluation.baseline == "strong"
        found = by_name(evaluation)["p"]
        assert found.effective_sample >= 30
        for kind in held:
            one = found.estimate(kind)
            held[kind] += one.low <= truth.estimate(kind).value <= one.high
    assert min(held.values()) >= 3, held  # of 95 % intervals


def test_a_log_that_sends_hard_questions_to_the_strong_model_misleads_means_alone():
    chances = chances_of(WORLD.complete, "hard", 0.4)
    log = simulated(WORLD.complete, chances, 1)
    strong = log.model_names.index("strong")
    truth = WORLD.complete.quality[:, strong].mean()
    found = by_name(evaluate_policies([], log))["strong"].quality
    assert abs(np.nanmean(log.quality[:, strong]) - truth) > 2 * abs(found.value - truth)
    assert found.low <= truth <= found.high


def test_complete_records_are_left_as_they_are():
    for complete in (WORLD.complete, WORLD.complete._replace(propensities=np.ones_like(WORLD.complete.quality))):
        found = estimated(complete).benchmark
        for kind in ("quality", "cost", "seconds", "failures"):
            assert np.array_equal(getattr(found, kind), getattr(complete, kind))
        evaluation = evaluate_policies([WORLD.policy], complete)
        assert evaluation.estimator == "means of the records"
        assert evaluation.results[0].effective_sample is None


@given(st.data())
def test_the_formula_is_that_of_dudik_langford_and_li(data):
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32)))
    recorded = rng.random((6, 3)) < 0.5
    propensity = rng.uniform(0.05, 1, (6, 3))
    values, predicted = np.where(recorded, rng.normal(size=(6, 3)), np.nan), rng.normal(size=(6, 3))
    found = doubly_robust(values, np.where(recorded, 1 / propensity, 0.0), predicted)
    for i, j in np.ndindex(6, 3):
        q, r, p = predicted[i, j], values[i, j], propensity[i, j]
        assert found[i, j] == pytest.approx(q + (r - q) / p if recorded[i, j] else q)
    weights = np.where(recorded, 1 / propensity, 0.0)[:, 0]
    effective, largest = effective_sample(np.eye(3)[np.zeros(6, int)], np.where(recorded, 1 / propensity, 0.0))
    assert largest == weights.max()
    assert effective == pytest.approx(weights.sum() ** 2 / (weights**2).sum() if weights.any() else 0.0)


def test_what_the_log_does_not_carry_is_a_dash_with_its_reason():
    log = simulated(WORLD.complete, chances_of(WORLD.complete, "strong", 0.0))
    results = by_name(evaluate_policies([WORLD.policy], log))
    assert results["strong"].quality.value == pytest.approx(np.nanmean(log.quality))
    weak = results["weak"]
    assert np.isnan([weak.quality.value, weak.gain.low, weak.over_mix.value]).all()
    assert weak.quality.reason.startswith("no answer of the log is of its picks: ")
    few = simulated(WORLD.complete, chances_of(WORLD.complete, "strong", 0.05), 3)
    evaluation = evaluate_policies([WORLD.policy], few)
    weak = by_name(evaluation)["weak"]
    assert 0 < weak.effective_sample < 30
    assert np.isnan(weak.quality.value)
    assert "more in the log would do" in weak.quality.reason
    for kind in ("regret", "best_share", "gap_closed"):
        assert getattr(by_name(evaluation)["strong"], kind).reason == "a log does not tell the best model of a question"
    assert not any("nan" in line for line in [*evaluation.reasons(), *(one.text for one in verdicts(evaluation))])


def test_propensities_that_were_guessed_are_told():
    log = simulated(WORLD.complete, chances_of(WORLD.complete, "uniform", 1.0))
    evaluation = evaluate_policies([WORLD.policy], log._replace(propensities=None))
    assert "propensities that were estimated" in evaluation.estimator
    (verdict,) = verdicts(evaluation)
    (told,) = verdict.beware
    assert told.startswith("the log has no propensities: they are estimated, since no dependence of the model on the q")
    assert verdict.pays
    truth = by_name(evaluate_policies([WORLD.policy], WORLD.complete))["p"]
    found = by_name(evaluation)["p"]
    assert found.gain.low <= truth.gain.value <= found.gain.high


def test_a_log_whose_choice_depends_on_the_question_is_believed_with_propensities_alone():
    log = simulated(WORLD.complete, explored(WORLD.policy.chances, 0.4), 2)
    bare = log._replace(propensities=None)
    (sure,), (unsure,) = (verdicts(evaluate_policies([WORLD.policy], one)) for one in (log, bare))
    assert (sure.answer, unsure.answer, unsure.beware) == ("worth calling", "cannot tell", [])
    assert unsure.text.startswith("Cannot tell: which model answered depends on the question, and the log has no prop")
    assert "right only if nothing else decided it" in evaluate_policies([WORLD.policy], bare).estimator
    with pytest.warns(DocumentWarning, match=r"depends on the question.*: no operating points are recorded"):
        fields = train(training_data(bare, Settings(landmarks=50)), "kernel_ridge")
    assert "operating_points" not in fields


def test_propensities_that_a_few_answers_lack_leave_the_others_believed():
    log = simulated(WORLD.complete, chances_of(WORLD.complete, "hard", 0.4), 2)
    known = log.propensities.copy()
    known[:5] = np.nan
    assert estimated(log._replace(propensities=known)).estimator == GUESSED


def test_operating_points_of_a_log_are_what_complete_records_say():
    """Hard questions went to the strong model: by plain means it is the worst, and the best by these."""
    log = simulated(WORLD.complete, chances_of(WORLD.complete, "hard", 0.4), 2)
    strong = log.model_names.index("strong")
    assert np.nanmean(log.quality, axis=0).argmax() != strong
    of_log, truth = (train(training_data(of), trainer("kernel_ridge")) for of in (log, WORLD.complete))
    assert of_log["default"] == truth["default"] == "strong"
    found, expected = (document["operating_points"]["best_single"] for document in (of_log, truth))
    assert found["model"] == "strong"
    assert found["quality"] == pytest.approx(expected["quality"], abs=0.1)
    assert abs(np.nanmean(log.quality[:, strong]) - expected["quality"]) > 0.1
    best = of_log["operating_points"]["points"][0]
    assert best["quality"][1] < expected["quality"] + 0.1
    assert best["quality"][2] - best["quality"][1] > 0.05  # as little as a log says


@pytest.mark.parametrize("said", ["never explored", "too large"])
def test_propensities_under_which_picks_had_no_chance_support_no_estimate(said):
    """The log says of each answer that it was likely, so that other answers to these questions were not."""
    log = simulated(WORLD.complete, chances_of(WORLD.complete, "hard", 0.4))
    larger = np.ones_like(log.propensities) if said == "never explored" else np.minimum(3 * log.propensities, 1)
    log = log._replace(propensities=np.where(np.isnan(log.quality), np.nan, larger))
    evaluation = evaluate_policies([WORLD.policy], log)
    for name in ("p", "weak", "strong"):
        reason = by_name(evaluation)[name].gain.reason
        assert "of its picks little or no chance: a log that explores more would tell" in reason
    (verdict,) = verdicts(evaluation)
    assert "no chance" in verdict.text
    assert not verdict.pays


def test_a_log_that_never_explored_judges_the_policy_that_wrote_it_and_no_other():
    chances = WORLD.policy.chances
    log = simulated(WORLD.complete, chances)
    results = by_name(evaluate_policies([WORLD.policy], log))
    own = results["p"]
    assert own.quality.value == pytest.approx((chances * WORLD.complete.quality).sum(axis=1).mean())
    assert own.gain.reason.startswith("strong: the policy of the log gave about ")
    assert np.isnan(results["weak"].quality.value)


def test_estimates_that_a_log_supports_are_rarely_called_unsupported():
    """Of a hundred logs each, none is: the sum of weights varies by chance."""
    for seed in range(100):
        log = simulated(WORLD.complete, chances_of(WORLD.complete, "hard", 0.4), seed)
        weights = np.where(np.isnan(log.quality), 0.0, 1 / np.nan_to_num(log.propensities, nan=1.0))
        estimation = Estimation(WORLD.complete, weights, np.empty(0), GIVEN)
        for always in np.eye(3):
            assert "no chance" not in lacking(estimation, np.tile(always, (len(weights), 1)))
