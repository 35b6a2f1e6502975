"""What changes between two artifacts, and the reasons that are given."""

import json

import numpy as np
import pytest
from typer.testing import CliRunner

from modelpick.converter import load_estimator, to_artifact
from modelpick.converter.cli.app import app
from modelpick.converter.files.queries import Query
from modelpick.converter.verification.diff import changes
from modelpick.runtime import ArtifactError, Selector

RUNNER = CliRunner()
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


@pytest.fixture
def upgrade(tmp_path, monkeypatch):
    """Artifacts of one model by both rules, old.onnx and new.onnx."""
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    labels = [f"m{i % 3}" for i in range(60)]
    model = {"embeddings": rng.normal(size=(60, 4)).tolist(), "labels": labels, "k": 5}
    for name, semantics in (("old", "native/1"), ("new", "native/2")):
        (tmp_path / f"{name}.onnx").write_bytes(artifact(model, semantics))
    return tmp_path


def test_the_command_makes_queries_from_the_model(upgrade):
    done = RUNNER.invoke(app, ["diff", "old.onnx", "new.onnx", "--json"])
    assert done.exit_code == 0, done.output
    found = json.loads(done.stdout)
    assert (found["queries"], found["rules"]) == (200, ["knn native/1", "knn native/2"])
    assert 0 < found["different"] == len(found["picks"]) == sum(change["queries"] for change in found["changes"])
    assert {pick["why"] for pick in found["picks"]} == {change["why"] for change in found["changes"]}
    assert "other neighbours" in {pick["why"] for pick in found["picks"]}
    plain = RUNNER.invoke(app, ["diff", "old.onnx", "new.onnx"])
    assert f"knn native/1, then knn native/2: {found['different']} of 200 queries differ" in plain.stdout
    for change in found["changes"]:
        assert all(word in plain.stdout for word in (change["a"], change["b"], change["why"]))
    assert "0 of 200 queries differ" in RUNNER.invoke(app, ["diff", "old.onnx", "old.onnx"]).stdout


def test_the_command_refuses_what_it_cannot_compare(upgrade):
    both = ["diff", "old.onnx", "new.onnx", "--queries", "q.jsonl", "--data", "d.jsonl"]
    assert "expected one of --queries and --data" in str(RUNNER.invoke(app, both).exception)
    estimator = load_estimator(json.dumps(FIELDS | LONG).encode())
    (upgrade / "bare.onnx").write_bytes(to_artifact(estimator, restorable=False))
    refused = RUNNER.invoke(app, ["diff", "bare.onnx", "new.onnx"]).exception
    assert isinstance(refused, ArtifactError)
    assert "expected an artifact converted from a JSON model" in str(refused)
