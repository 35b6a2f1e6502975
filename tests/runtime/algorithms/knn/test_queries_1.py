"""Artifacts of KNN queries/1, of which no more are made, are answered and restored."""

import json
from pathlib import Path

import numpy as np
import pytest

from modelpick.converter import verify
from modelpick.converter.artifact.restore import to_json
from modelpick.runtime import ArtifactError, Selector
from support import reference

DATA = Path(__file__).parents[3] / "data"
ARTIFACTS = [DATA / "contract-1/knn_queries.onnx", DATA / "format-2/knn_queries.onnx"]
QUERIES = np.random.default_rng(0).normal(size=(60, 12))
pytestmark = pytest.mark.parametrize("artifact", ARTIFACTS, ids=lambda path: path.parent.name)


def test_picks_by_the_outcomes_of_the_nearest_queries(artifact):
    model = json.loads(to_json(artifact))
    with Selector.load(artifact) as selector:
        picked = selector.select_batch(QUERIES)
        for query, batch_pick in zip(QUERIES, picked, strict=True):
            expected = reference.query_scores(model, query, selector.metadata.k, selector.metadata.shrinkage)
            assert selector.scores(query) == pytest.approx(expected, rel=1e-12)
            assert selector.select(query) == batch_pick == max(expected, key=expected.get)


def test_is_explained_by_first_rows(artifact):
    model = json.loads(to_json(artifact))
    embedding, weights = model["embeddings"][9], reference.knn_weights(model)
    rows = [row for row, other in enumerate(model["embeddings"]) if other == embedding]
    with Selector.load(artifact) as selector:
        explained = selector.explain(embedding)
    nearest = explained["neighbours"][0]
    assert (nearest["row"], nearest["distance"]) == (rows[0], 0)
    assert nearest["outcomes"] == pytest.approx({model["labels"][row]: weights[row] for row in rows})
    assert len(explained["neighbours"]) == 5
    assert json.loads(json.dumps(explained)) == explained


def test_is_not_held_to_its_model(artifact):
    with pytest.raises(ArtifactError, match="expected semantics of which artifacts are still made, native/1, "):
        verify(artifact, to_json(artifact).encode())
