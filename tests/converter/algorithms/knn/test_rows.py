"""The semantics of KNN: recorded, verified, restored, refused."""

import json

import numpy as np
import pytest

from modelpick.converter import convert, to_json, verify
from modelpick.runtime import DocumentError, ModelpickError, Selector
from support import catalogue, reference
from support.artifacts import built, encoded, loaded
from support.catalogue import kmeans

RNG = np.random.default_rng(0)
D, N_QUERIES = 12, 40
EMBEDDINGS = RNG.normal(size=(N_QUERIES, D))
NAMES = ["a", "b", "c", "d"]


def knn(**fields):
    """Rows of queries, each with some of the models, one of them twice."""
    rows = [(query, model) for query in range(N_QUERIES) for model in RNG.permutation(4)[: 1 + query % 4]]
    rows += [(0, 0), (0, 0)]
    order = RNG.permutation(len(rows))
    rows = [rows[i] for i in order]
    return (
        catalogue.knn(
            EMBEDDINGS[[query for query, _ in rows]],
            [NAMES[model] for _, model in rows],
            k=5,
            qualities=RNG.uniform(0.01, 1, len(rows)),
            latencies=RNG.integers(10**8, 10**10, len(rows)),
        )
        | fields
    )


KNN = knn()
QUERIES = np.vstack([RNG.normal(size=(60, D)), EMBEDDINGS[:10]])


def test_the_trainers_knn_is_of_cosine_distance():
    rows = RNG.normal(size=(len(KNN["labels"]), D)) * RNG.uniform(0.1, 10, (len(KNN["labels"]), 1))
    scaled = KNN | {"embeddings": rows.tolist()}
    for search in ("plain", "quantised"):
        with loaded(scaled, "trainer", search) as selector:
            expected = [reference.trainer_knn(scaled, query) for query in QUERIES[:60]]
            assert selector.select_batch(QUERIES[:60]) == expected
            assert [selector.select(query * 1e3) for query in QUERIES[:60]] == expected
            neighbours = selector.explain(QUERIES[0])["neighbours"]
            cosine = QUERIES[0] @ scaled["embeddings"][neighbours[0]["row"]] / np.linalg.norm(QUERIES[0])
            cosine /= np.linalg.norm(scaled["embeddings"][neighbours[0]["row"]])
            assert neighbours[0]["distance"] == pytest.approx(1 - cosine)


NEWEST = {
    "native": "native/1",
    "native/2": "native/2",
    "queries": "queries/3",
    "queries/2": "queries/2",
    "trainer": "trainer/1",
}


@pytest.mark.parametrize("semantics", NEWEST)
def test_is_recorded_verified_and_restored(semantics, tmp_path):
    (tmp_path / "knn.json").write_bytes(encoded(KNN))
    report = convert(tmp_path / "knn.json", tmp_path / "knn.onnx", semantics=semantics, k=3)
    assert report.passed
    assert report.queries == 200
    with Selector.load(tmp_path / "knn.onnx") as selector:
        assert (selector.metadata.semantics, selector.metadata.k) == (NEWEST[semantics], 3)
    assert verify(tmp_path / "knn.onnx", tmp_path / "knn.json", samples=50).passed
    assert json.loads(to_json(tmp_path / "knn.onnx")) == KNN


REFUSED = {
    "no queries": (kmeans([[1.0]]), "queries", {}, r"\$\.algorithm: expected knn"),
    "no k": (kmeans([[1.0]]), "native", {"k": 3}, "k: expected 1 or more, for a KNN model, got 3"),
    "k of 0": (KNN, "native", {"k": 0}, "k: expected 1 or more"),
    "no shrinkage": (KNN, "native", {"shrinkage": 1}, "for the semantics queries, got 1"),
    "negative shrinkage": (KNN, "queries", {"shrinkage": -1}, "shrinkage: expected a number, 0 or more"),
    "NaN shrinkage": (KNN, "queries", {"shrinkage": float("nan")}, "shrinkage: expected a number, 0 or more"),
    "no direction": (
        knn(embeddings=[[0.0] * D] * len(KNN["labels"])),
        "trainer",
        {},
        r"\$\.embeddings\[0\]: expected a",
    ),
}


@pytest.mark.parametrize(("model", "semantics", "options", "message"), REFUSED.values(), ids=REFUSED)
def test_refuses(model, semantics, options, message):
    with pytest.raises(DocumentError, match=message) as caught:
        built(model, semantics, **options)
    assert isinstance(caught.value, ModelpickError)
    assert len(str(caught.value).splitlines()) == 1
