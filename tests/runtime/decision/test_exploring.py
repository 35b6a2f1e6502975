"""Exploring draws by a hash of a key, with the propensity that it says."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelpick.runtime import FeatureError
from modelpick.runtime.decision.exploring import draw

NAMES = st.lists(st.text(max_size=3), min_size=1, max_size=6, unique=True)


@given(NAMES, st.floats(0, 1), st.text(), st.data())
def test_it_draws_a_candidate_and_equal_keys_alike(names, explore, key, data):
    best = data.draw(st.sampled_from(names))
    drawn = draw(names, best, explore, key)
    assert drawn.model in names
    others = len(names) - 1
    assert drawn.propensity == (1.0 if not others else 1 - explore if drawn.model == best else explore / others)
    assert draw(list(reversed(names)), best, explore, key) == drawn


@pytest.mark.parametrize("explore", [0.0, 0.05, 0.5, 1.0])
def test_shares_are_the_propensities(explore):
    names, n = ["a", "b", "c"], 20_000
    drawn = [draw(names, "b", explore, f"key {number}") for number in range(n)]
    shares = Counter(one.model for one in drawn)
    for model, propensity in (("a", explore / 2), ("b", 1 - explore), ("c", explore / 2)):
        error = 5 * (propensity * (1 - propensity) / n) ** 0.5
        assert abs(shares[model] / n - propensity) <= error


def test_keys_that_explore_more_explore_still():
    keys = [f"key {number}" for number in range(500)]
    less = {key for key in keys if draw(["a", "b"], "a", 0.1, key).model == "b"}
    more = {key for key in keys if draw(["a", "b"], "a", 0.2, key).model == "b"}
    assert less < more


def test_the_other_candidate_stays_where_the_best_changes():
    names = list("abcdef")
    for key in map(str, range(50)):
        drawn = draw(names, "a", 1.0, key).model
        if drawn != "b":
            assert draw(names, "b", 1.0, key).model in {drawn, "a"}
            assert draw(names[1:], "b", 1.0, key).model == drawn


@pytest.mark.parametrize(("explore", "best"), [(-0.1, "a"), (1.1, "a"), (float("nan"), "a"), (0.1, "z")])
def test_what_makes_no_sense_is_refused(explore, best):
    with pytest.raises(FeatureError, match="expected"):
        draw(["a", "b"], best, explore, "key")
