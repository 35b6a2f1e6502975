"""KNN by the outcomes of the nearest queries, of which some models' are unknown."""

import json

import numpy as np
import pytest

from modelpick.converter import convert, load_estimator
from modelpick.runtime import Selector
from support import reference
from support.catalogue import knn

MODELS, K = 9, 20


def sparse_records(recorded, evidence):
    """Rows of 120 queries, each with the qualities of some of the models; and the table of these."""
    rng = np.random.default_rng(recorded)
    vectors = rng.normal(size=(120, 6))
    unknown = rng.random((120, MODELS)).argsort(axis=1) >= recorded
    quality = np.where(unknown, np.nan, rng.normal(vectors[:, :1] * np.linspace(-1, 1, MODELS), 0.5))
    queries, models = np.nonzero(~unknown)
    document = knn(
        vectors[queries],
        [f"model-{model}" for model in models],
        K,
        format_version=2,
        qualities=quality[queries, models],
        evidence=evidence,
    )
    return document, vectors, quality


@pytest.mark.parametrize("evidence", [0.0, 0.5, 2.0])
@pytest.mark.parametrize("recorded", [1, 2, 5, MODELS - 1, MODELS])
def test_sparse_records_convert_with_and_without_evidence(recorded, evidence, tmp_path):
    document, vectors, quality = sparse_records(recorded, evidence)
    (tmp_path / "knn.json").write_text(json.dumps(document))
    assert convert(tmp_path / "knn.json", tmp_path / "knn.onnx", semantics="queries", samples=20).passed
    queries = np.random.default_rng(0).normal(size=(40, 6))
    expected = [f"model-{reference.knn_outcomes(vectors, quality, query, K, 3.0, evidence)}" for query in queries]
    estimator = load_estimator(tmp_path / "knn.json", semantics="queries")
    assert estimator.predict(queries).tolist() == expected
    with Selector.load(tmp_path / "knn.onnx") as selector:
        assert selector.select_batch(queries) == [selector.select(query) for query in queries] == expected
    if evidence and 1 < recorded < 6:  # the evidence counts: some picks are neither the best nor the default
        without = load_estimator(tmp_path / "knn.json", semantics="queries")
        without.evidence = 0.0
        default = f"model-{int(reference.split(quality)[0].argmax())}"
        assert any(pick not in (best, default) for pick, best in zip(expected, without.predict(queries), strict=True))
