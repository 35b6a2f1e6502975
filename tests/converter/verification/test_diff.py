"""What changes between two artifacts, and the reasons that are given."""

import json

import pytest

from modelpick.converter import load_estimator, to_artifact
from modelpick.converter.files.queries import Query
from modelpick.converter.verification.diff import changes
from modelpick.runtime import Selector

FIELDS = {"algorithm": "knn", "trained": True}
HOUR = 3600 * 10**9
# The second row has the direction of (0, 1), but the first is nearer.
LONG = {"embeddings": [[1.0, 0.9], [0.0, 9.0]], "labels": ["a", "b"], "k": 1}
# By native/1 the faster of two slow rows has all of the speed; by native/2 both have next to none of it.
SLOW = {"embeddings": [[0.0, 1.0]] * 2, "labels": ["a", "b"], "k": 2, "qualities": [0.5, 0.55]}
# Equal votes go to the nearer row, and by native/2 to the first name.
EQUAL = {"embeddings": [[0.0, 1.0], [0.1, 1.0]], "labels": ["b", "a"], "k": 2}
REASONS = {
    "other neighbours": (LONG, "a", "b"),
    "other weights": (SLOW | {"latencies": [HOUR, HOUR * 2]}, "a", "b"),
    "tie": (EQUAL, "b", "a"),
}


def artifact(model, semantics):
    return to_artifact(load_estimator(json.dumps(FIELDS | model).encode(), semantics=semantics))


@pytest.mark.parametrize(("reason", "model", "old", "new"), [(why, *rest) for why, rest in REASONS.items()])
def test_says_why_an_upgrade_changes_a_pick(reason, model, old, new):
    before, after = (Selector.load(artifact(model, semantics)) for semantics in ("native/1", "native/2"))
    assert changes(before, after, [Query("q", [0.0, 1.0])]) == [(0, old, new, reason)]
    assert changes(before, before, [Query("q", [0.0, 1.0])]) == []


def test_compares_no_rows_of_different_models():
    models = LONG, LONG | {"labels": ["b", "a"]}
    old, new = (Selector.load(artifact(model, "native/1")) for model in models)
    assert changes(old, new, [Query("q", [0.0, 1.0])]) == [(0, "a", "b", "other scores")]
