"""What changes between two artifacts, and the reasons that are given."""

import pytest

from modelpick.converter.files.queries import Query
from modelpick.converter.verification.diff import changes
from support.artifacts import loaded
from support.catalogue import knn

HOUR = 3600 * 10**9
# The second row has the direction of (0, 1), but the first is nearer.
LONG = knn([[1.0, 0.9], [0.0, 9.0]], ["a", "b"], k=1)
# By native/1 the faster of two slow rows has all of the speed; by native/2 both have next to none of it.
SLOW = knn([[0.0, 1.0]] * 2, ["a", "b"], k=2, qualities=[0.5, 0.55])
# Equal votes go to the nearer row, and by native/2 to the first name.
EQUAL = knn([[0.0, 1.0], [0.1, 1.0]], ["b", "a"], k=2)
REASONS = {
    "other neighbours": (LONG, "a", "b"),
    "other weights": (SLOW | {"latencies": [HOUR, HOUR * 2]}, "a", "b"),
    "tie": (EQUAL, "b", "a"),
}


@pytest.mark.parametrize(("reason", "model", "old", "new"), [(why, *rest) for why, rest in REASONS.items()])
def test_says_why_an_upgrade_changes_a_pick(reason, model, old, new):
    before, after = (loaded(model, semantics) for semantics in ("native/1", "native/2"))
    assert changes(before, after, [Query("q", [0.0, 1.0])]) == [(0, old, new, reason)]
    assert changes(before, before, [Query("q", [0.0, 1.0])]) == []


def test_compares_no_rows_of_different_models():
    models = LONG, LONG | {"labels": ["b", "a"]}
    old, new = (loaded(model) for model in models)
    assert changes(old, new, [Query("q", [0.0, 1.0])]) == [(0, "a", "b", "other scores")]
