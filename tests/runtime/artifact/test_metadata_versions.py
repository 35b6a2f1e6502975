"""Artifacts of every format version load, and pick as they did when they were made."""

import json
from pathlib import Path

import pytest

from modelpick.runtime import Selector
from modelpick.runtime.algorithms import TABLE
from modelpick.runtime.schema import ARTIFACT_FORMAT

ARTIFACTS = sorted((Path(__file__).parents[2] / "data").glob("*-*/*.onnx"))


@pytest.mark.parametrize("artifact", ARTIFACTS, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_artifacts_pick_for_ever_as_they_did(artifact):
    recorded = json.loads((artifact.parent / "picks.json").read_text())
    with Selector.load(artifact) as selector:
        picks = recorded["picks"][artifact.stem]
        assert len(set(picks)) > 1
        assert selector.select_batch(recorded["queries"]) == picks
        assert [selector.select(query) for query in recorded["queries"]] == picks
        assert [selector.explain(query)["model"] for query in recorded["queries"]] == picks


def test_there_is_an_artifact_of_every_rule_set_by_the_current_format_version():
    kept = set()
    for path in ARTIFACTS:
        with Selector.load(path) as selector:
            assert path.parent.name in {"contract-1", f"format-{selector.metadata.format_version}"}
            kept.add((selector.metadata.format_version, selector.algorithm, selector.metadata.semantics))
    assert {(algorithm, semantics) for version, algorithm, semantics in kept if version == ARTIFACT_FORMAT} == set(
        TABLE
    )


def test_the_artifacts_of_format_version_1_are_kept():
    first = [path.stem for path in ARTIFACTS if path.parent.name == "contract-1"]
    assert first == ["kmeans", "knn", "knn_quantised", "knn_queries", "knn_trainer", "mlp", "svm"]
