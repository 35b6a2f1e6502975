"""The command `diff`."""

import json

import numpy as np
import pytest
from typer.testing import CliRunner

from modelpick.converter import to_artifact
from modelpick.converter.cli.app import app
from modelpick.runtime import ArtifactError
from support.artifacts import built, converted
from support.catalogue import kmeans, knn

RUNNER = CliRunner()


@pytest.fixture
def upgrade(tmp_path, monkeypatch):
    """Artifacts of one model by both rules, old.onnx and new.onnx."""
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    model = knn(rng.normal(size=(60, 4)), ["m0", "m1", "m2"], k=5)
    for name, semantics in (("old", "native/1"), ("new", "native/2")):
        (tmp_path / f"{name}.onnx").write_bytes(converted(model, semantics))
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
    estimator = built(kmeans([[1.0, 2.0]]))
    (upgrade / "bare.onnx").write_bytes(to_artifact(estimator, restorable=False))
    refused = RUNNER.invoke(app, ["diff", "bare.onnx", "new.onnx"]).exception
    assert isinstance(refused, ArtifactError)
    assert "expected an artifact converted from a JSON model" in str(refused)
