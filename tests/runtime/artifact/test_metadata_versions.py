"""Artifacts of every format version load, and pick as they did when they were made."""

import json
from pathlib import Path

import numpy as np
import pytest
from onnx import numpy_helper

from modelpick.runtime import ArtifactError, Selector
from modelpick.runtime.algorithms import TABLE
from modelpick.runtime.schema import ARTIFACT_FORMAT
from modelpick.runtime.session import open_subgraphs
from support.attacks import entries, parsed, resealed

DATA = Path(__file__).parents[2] / "data"
ARTIFACTS = sorted(DATA.glob("*-*/*.onnx"))


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


# Such artifacts no release wrote: they are refused, since what reads them would answer otherwise than they did.
UNRELEASED = {
    "candidates that are kept": ("contract-1/knn_quantised", "expected format version 1 of an artifact with the input"),
    "clusters that the graph proves": ("contract-1/kmeans", "expected the tensor lead"),
    "layers without a search": ("contract-1/mlp", "expected the tensor lead"),
}


@pytest.mark.parametrize(("name", "reason"), UNRELEASED.values(), ids=UNRELEASED)
def test_graphs_of_version_1_are_refused_as_those_of_version_2(name, reason):
    model = parsed((DATA / f"{name}.onnx").read_bytes())
    newer = entries(model, contract=None, format_version="2", quality_weight="0.9", speed_weight="0.1")
    with pytest.raises(ArtifactError, match=reason):
        Selector.load(resealed(newer))


def test_kept_candidates_of_version_1_grow_with_those_that_are_searched_for(monkeypatch):
    fed = []

    def spied(*arguments):
        run = open_subgraphs(*arguments)

        def spy(outputs, feeds):
            fed.append({name: int(value[0]) for name, value in feeds.items() if name != "features"})
            return run(outputs, feeds)

        return spy

    monkeypatch.setattr("modelpick.runtime.loading.open_subgraphs", spied)
    model = entries(parsed((DATA / "contract-1/knn_quantised.onnx").read_bytes()), k="1")
    (k,) = (tensor for tensor in model.graph.initializer if tensor.name == "k")
    k.CopyFrom(numpy_helper.from_array(np.array([1]), "k"))
    with Selector.load(resealed(model)) as selector:
        assert selector.select([1.0] * 12, candidates=["b", "c"]) in ("b", "c")
    assert fed[-1] == {"candidates": 40, "kept": 40}
