"""Artifacts of every format version load, and pick as they did when they were made."""

import json
from pathlib import Path

import pytest

from modelpick.runtime import Selector

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


def test_there_are_artifacts_of_every_format_version():
    assert {path.parent.name for path in ARTIFACTS} == {"contract-1"}
    assert len(ARTIFACTS) == 7
