"""Objectives: values that cannot change, and what outcomes are worth by them."""

import pickle
from dataclasses import FrozenInstanceError
from inspect import signature

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelpick.runtime import FeatureError, Objective
from modelpick.runtime.decision.objective import choose, clear_choice, effective, floored, utilities, utility_errors
from modelpick.runtime.decision.outcomes import KINDS, OUTCOMES, PRICES

WEIGHT = st.floats(0, 1e3)
MODELS = 4


def test_objectives_are_values():
    objective = Objective(0.5, seconds_weight=2.0)
    assert repr(objective) == "Objective(cost_weight=0.5, seconds_weight=2.0)"
    assert (objective.cost_weight, objective.seconds_weight) == (0.5, 2.0)
    assert objective == Objective(cost_weight=0.5, seconds_weight=2) != Objective(0.5)
    assert objective != (0.5, 2.0)
    assert len({objective, pickle.loads(pickle.dumps(objective)), Objective(**objective.keywords())}) == 1
    assert list(signature(Objective).parameters) == [kind.weight for kind in PRICES]
    with pytest.raises(FrozenInstanceError):
        objective.cost_weight = 1.0
    with pytest.raises(FrozenInstanceError):
        del objective.cost_weight


@pytest.mark.parametrize("weight", [-1.0, np.nan, np.inf, True, "1", None])
def test_refuses_weights_that_are_none(weight):
    with pytest.raises(FeatureError, match="cost_weight: expected a number, 0 or more"):
        Objective(weight)


def test_refuses_weights_of_no_kind():
    with pytest.raises(TypeError, match="'speed_weight': expected some of cost_weight, seconds_weight"):
        Objective(speed_weight=1.0)


@given(st.lists(WEIGHT, min_size=len(PRICES), max_size=len(PRICES)), st.integers(0, 2**32))
def test_utility_is_quality_less_weighed_prices(weights, seed):
    rng = np.random.default_rng(seed)
    outcomes = rng.normal(size=(5, len(KINDS), MODELS))
    told = {"cost": np.array([np.nan, 0.0, 3.0, np.nan])}
    counted = outcomes.copy()
    counted[:, OUTCOMES.index("cost"), 1:3] = [0.0, 3.0]
    signed = np.array([1.0, *(-weight for weight in weights)])
    objective = Objective(**{kind.weight: weight for kind, weight in zip(PRICES, weights, strict=True)})
    found = utilities(outcomes, objective, told)
    assert found == pytest.approx(np.einsum("bkm,k->bm", counted, signed), abs=1e-9)
    assert (choose(found, effective(outcomes, "cost", told)) == found.argmax(axis=1)).all()
    errors = np.abs(outcomes[:, :, 0])
    assert utility_errors(errors, objective) == pytest.approx(errors @ np.abs(signed), abs=1e-9)


def test_only_prices_have_a_floor():
    outcomes = np.full((1, len(KINDS), 2), -1.0)
    assert floored(outcomes.copy(), 0.0)[0].tolist() == [
        [kind.sign * -1.0 if kind.sign > 0 else 0.0] * 2 for kind in KINDS
    ]
    assert floored(outcomes.copy(), -np.inf).tolist() == outcomes.tolist()


def test_of_equal_utilities_the_cheaper_wins_then_the_first():
    utility = np.array([[1.0, 1.0, 1.0, 0.0]])
    assert choose(utility, np.array([[2.0, 1.0, 1.0, 0.0]])).tolist() == [1]
    assert choose(utility, np.full((1, MODELS), np.nan)).tolist() == [0]
    assert choose(utility, np.zeros((1, MODELS)), np.array([False, False, True, True])).tolist() == [2]


@given(st.lists(st.sampled_from([0.0, 0.5, 0.75, 1.0]), min_size=1, max_size=MODELS), st.sampled_from([0.0, 0.3]))
def test_a_choice_is_clear_where_no_other_is_within_the_bound(values, bound):
    utility, may = np.array(values), np.arange(len(values)) != 1
    for allowed in (None, may):
        left = [value for place, value in enumerate(values) if allowed is None or allowed[place]]
        best = clear_choice(utility, bound, allowed)
        assert (best is not None) == (sum(value >= max(left) - bound for value in left) == 1)
        if best is not None:
            assert [best] == choose(utility[None], np.zeros((1, len(values))), allowed).tolist()
