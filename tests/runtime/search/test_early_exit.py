"""What scores alone prove, against every order of rows that the error leaves open."""

from itertools import pairwise

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from modelpick.runtime.search.early_exit import EarlyExit, Found, Ranked, apart_many, apart_one

N_MODELS = 3
SCORES = st.lists(st.sampled_from([0.0, 1.0, 1.5, 2.0, 4.0, 7.0, 11.0]), min_size=1, max_size=6).map(sorted)


@given(SCORES, st.sampled_from([0.5, 1.0, 3.0]), st.booleans())
def test_the_first_are_proven_where_the_next_is_a_gap_away(scores, gap, complete):
    many = apart_many(np.array([scores, scores], dtype=np.float32), np.array([gap, np.inf]), complete)
    for place in range(len(scores)):
        expected = complete if place + 1 == len(scores) else scores[place + 1] - scores[place] > gap
        assert apart_one(scores, place, gap, complete) == expected
        assert many[:, place].tolist() == [expected, complete and place + 1 == len(scores)]


@st.composite
def searches(draw):
    """Distinct rows with members, k, and scores of the distinct rows that the search returned."""
    sizes = draw(st.lists(st.integers(1, 3), min_size=1, max_size=6))
    n = sum(sizes)
    order = draw(st.permutations(range(n)))
    starts = np.cumsum([0, *sizes]).tolist()
    groups = [sorted(order[start:end]) for start, end in pairwise(starts)]
    members = np.array([group + [n] * (max(sizes) - len(group)) for group in groups])
    models = np.array(draw(st.lists(st.integers(0, N_MODELS - 1), min_size=n, max_size=n)))
    votes = np.array(draw(st.lists(st.sampled_from([-0.5, 0.1, 0.25, 0.5, 0.75]), min_size=n, max_size=n)))
    scores = draw(st.lists(st.integers(0, 9).map(float), min_size=len(sizes), max_size=len(sizes)))
    allowed = draw(st.none() | st.lists(st.booleans(), min_size=N_MODELS, max_size=N_MODELS).map(np.array))
    return members, models, votes, draw(st.integers(1, n)), np.array(scores), allowed


@given(searches(), st.sampled_from([0.5, 2.5]))
def test_a_pick_is_that_of_every_order_that_the_error_allows(search, gap):
    members, models, votes, k, scores, allowed = search
    order = np.argsort(scores, kind="stable")
    early_exit = EarlyExit(members, models, votes, k, N_MODELS, complete=True)
    pick = early_exit.pick_one(Ranked(scores[order].tolist(), order.tolist(), gap), allowed)
    many, proven = early_exit.pick_many(
        Found(scores[order][None].astype(np.float32), order[None]), np.array([gap]), allowed
    )
    assert (pick is not None) == bool(proven[0])
    if pick is None:
        return
    assert many[0] == pick
    rng = np.random.default_rng(0)
    for _ in range(20):
        moved = scores + rng.uniform(-gap / 2, gap / 2, len(scores)) * 0.999
        nearest = [row for group in np.argsort(moved) for row in members[group] if row < len(models)][:k]
        sums = np.zeros(N_MODELS)
        np.add.at(sums, models[nearest], votes[nearest])
        sums[~np.isin(np.arange(N_MODELS), models[nearest])] = -np.inf
        if allowed is not None:
            sums[~allowed] = -np.inf
        assert sums.argmax() == pick


@given(searches(), st.sampled_from([0.5, 2.5]))
def test_votes_are_in_the_order_of_every_score_that_the_error_allows(search, gap):
    members, models, votes, k, scores, _ = search
    order = np.argsort(scores, kind="stable")
    early_exit = EarlyExit(members, models, votes, k, N_MODELS, complete=True)
    voters = early_exit.votes_in_order(Ranked(scores[order].tolist(), order.tolist(), gap))
    rng = np.random.default_rng(0)
    for _ in range(20):
        moved = scores + rng.uniform(-gap / 2, gap / 2, len(scores)) * 0.999
        nearest = [row for group in np.argsort(moved) for row in members[group] if row < len(models)][:k]
        if voters is not None:
            assert voters == (models[nearest].tolist(), votes[nearest].tolist())
    if (np.diff(scores[order]) > gap).all():
        assert voters is not None


def test_a_tie_of_the_vote_is_not_proven():
    members, models, votes = np.array([[0], [1]]), np.array([0, 1]), np.array([0.5, 0.5])
    early_exit = EarlyExit(members, models, votes, 2, 2, complete=True)
    assert early_exit.pick_one(Ranked([0.0, 9.0], [0, 1], 1.0)) is None
    assert early_exit.pick_one(Ranked([0.0, 9.0], [0, 1], 1.0), np.array([True, False])) == 0
