"""Each query's pick, the worst first."""

import pytest

from modelpick.converter.evaluation.picks import picks_worst_first
from modelpick.converter.evaluation.policies import Objective
from support.policies import policy, recorded

pytestmark = pytest.mark.filterwarnings("ignore::modelpick.converter.DocumentWarning")


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
