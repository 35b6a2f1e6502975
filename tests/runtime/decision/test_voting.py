"""The vote against the rule, in exact arithmetic."""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from modelpick.runtime.decision.voting import Weights, vote_many, vote_one, vote_weights

pytestmark = pytest.mark.filterwarnings("error")

N_MODELS = 5
WEIGHTS = Weights(0.9, 0.1, 0.01)


def voter(qualities, speeds):
    return st.tuples(st.integers(0, N_MODELS - 1), qualities, speeds)


def neighbours(voters):
    """Lists of (model, quality, speed), nearest first."""
    return st.lists(voters, min_size=1, max_size=12)


TENTHS = st.sampled_from([0.0, 0.1, 0.2, 0.3, 0.5, 0.6, 0.9, 1.0])
TYING = voter(TENTHS, st.sampled_from([0.0, 0.5, 1.0]))
USUAL = TYING | voter(st.floats(-1, 2), st.floats(0, 1))
ANY = voter(st.floats(allow_nan=False, allow_infinity=False), st.floats(0, 1))


def vote_on(voters):
    models, qualities, speeds = (np.array([column]) for column in zip(*voters, strict=True))
    return vote_many(models, vote_weights(qualities, speeds, WEIGHTS), N_MODELS)


def rule(voters, exactly):
    """Winner and sums, of numbers as ``exactly`` takes them."""
    sums = {}
    for model, quality, speed in voters:
        weight = Fraction(9, 10) * max(exactly(quality), Fraction(1, 100)) + Fraction(1, 10) * exactly(speed)
        sums[model] = sums.get(model, 0) + weight
    highest = max(sums.values())
    assume(not any(0 < highest - total < highest * Fraction(1, 10**11) for total in sums.values()))
    return next(model for model, *_ in voters if sums[model] == highest), sums


@given(neighbours(TYING))
def test_equal_sums_go_to_the_best_ranked(voters):
    winner, _ = rule(voters, lambda number: Fraction(str(number)))
    assert vote_on(voters).picks.tolist() == [winner]


@given(neighbours(USUAL))
def test_follows_the_rule(voters):
    winner, sums = rule(voters, Fraction)
    scores, winners = vote_on(voters)
    assert winners.tolist() == [winner]
    assert scores.shape == (1, N_MODELS)
    np.testing.assert_allclose(scores[0], [float(sums.get(model, 0)) for model in range(N_MODELS)], rtol=1e-13)


@example([(0, 1.7e308, 1.0), (1, 1.7e308, 1.0), (0, 1.7e308, 1.0)])
@given(neighbours(USUAL) | neighbours(ANY))
def test_one_query_votes_as_a_batch_does(voters):
    with np.errstate(over="ignore", invalid="ignore"):
        winners = vote_on(voters).picks
        models, qualities, speeds = (np.array(column) for column in zip(*voters, strict=True))
        votes = vote_weights(qualities, speeds, WEIGHTS)
    assert vote_one(models.tolist(), votes.tolist()) == winners


@given(neighbours(USUAL), st.permutations(range(N_MODELS)))
def test_numbering_of_the_models_does_not_matter(voters, permutation):
    scores, winners = vote_on(voters)
    renumbered = vote_on([(permutation[model], *rest) for model, *rest in voters])
    assert renumbered.picks == permutation[winners[0]]
    assert renumbered.scores[0, permutation].tolist() == scores[0].tolist()


@given(st.integers(1, 12).flatmap(lambda k: st.lists(st.lists(USUAL, min_size=k, max_size=k), min_size=1)))
def test_queries_do_not_mix(batch):
    models, qualities, speeds = np.moveaxis(np.array(batch), 2, 0)
    scores, winners = vote_many(models.astype(np.int64), vote_weights(qualities, speeds, WEIGHTS), N_MODELS)
    alone = [vote_on(voters) for voters in batch]
    assert winners.tolist() == [one.picks[0] for one in alone]
    assert scores.tolist() == [one.scores[0].tolist() for one in alone]


@given(neighbours(USUAL))
def test_scores_sum_to_the_weights(voters):
    _, qualities, speeds = (np.array(column) for column in zip(*voters, strict=True))
    scores = vote_on(voters).scores
    assert np.all(scores >= 0)
    np.testing.assert_allclose(scores.sum(), vote_weights(qualities, speeds, WEIGHTS).sum(), rtol=1e-13)


def test_without_a_floor_qualities_count_as_they_are():
    qualities, speeds = np.array([-1.0, 0.0, 0.5]), np.array([1.0, 0.0, 0.5])
    assert vote_weights(qualities, speeds, Weights(0.5, 0.25)).tolist() == [-0.25, 0.0, 0.375]
    assert vote_weights(qualities, speeds, WEIGHTS.with_quality(1.0)).tolist() == [0.01, 0.01, 0.5]


@given(
    neighbours(voter(st.sampled_from([-1.0, -0.5, 0.0, 0.5]), st.sampled_from([0.0, 1.0]))),
    st.permutations(range(N_MODELS)),
)
def test_equal_sums_go_to_the_preferred_model(voters, preferred):
    models, qualities, speeds = (np.array([column]) for column in zip(*voters, strict=True))
    votes = vote_weights(qualities, speeds, Weights(0.5, 0.25))
    sums = {}
    for model, weight in zip(models[0].tolist(), votes[0].tolist(), strict=True):  # multiples of 1/4 add up exactly
        sums[model] = sums.get(model, 0.0) + weight
    expected = min((m for m, total in sums.items() if total == max(sums.values())), key=preferred.__getitem__)
    assert vote_many(models, votes, N_MODELS, None, np.array(preferred)).picks.tolist() == [expected]
    assert vote_one(models[0].tolist(), votes[0].tolist(), None, np.array(preferred)) == expected
