"""Semantics: neighbourhoods of queries, and what the trainer predicts, held against plain numpy and scikit-learn."""

import gzip
import json
import os
from pathlib import Path

import numpy as np
import pytest
from sklearn.svm import SVC

from modelpick.converter import convert, load_estimator, to_artifact, to_json, verify
from modelpick.runtime import DocumentError, ModelpickError, Selector
from support import reference

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
    return {
        "algorithm": "knn",
        "trained": True,
        "k": 5,
        "embeddings": [EMBEDDINGS[query].tolist() for query, _ in rows],
        "labels": [NAMES[model] for _, model in rows],
        "qualities": RNG.uniform(0.01, 1, len(rows)).tolist(),
        "latencies": RNG.integers(10**8, 10**10, len(rows)).tolist(),
    } | fields


KNN = knn()
QUERIES = np.vstack([RNG.normal(size=(60, D)), EMBEDDINGS[:10]])


def encoded(model):
    return json.dumps(model).encode()


def artifact(model, semantics, search="auto", **options):
    return to_artifact(load_estimator(encoded(model), semantics=semantics, **options), exact_search=search)


def test_the_trainers_knn_is_of_cosine_distance():
    rows = RNG.normal(size=(len(KNN["labels"]), D)) * RNG.uniform(0.1, 10, (len(KNN["labels"]), 1))
    scaled = KNN | {"embeddings": rows.tolist()}
    for search in ("plain", "quantised"):
        with Selector.load(artifact(scaled, "trainer", search)) as selector:
            expected = [reference.trainer_knn(scaled, query) for query in QUERIES[:60]]
            assert selector.select_batch(QUERIES[:60]) == expected
            assert [selector.select(query * 1e3) for query in QUERIES[:60]] == expected
            neighbours = selector.explain(QUERIES[0])["neighbours"]
            cosine = QUERIES[0] @ scaled["embeddings"][neighbours[0]["row"]] / np.linalg.norm(QUERIES[0])
            cosine /= np.linalg.norm(scaled["embeddings"][neighbours[0]["row"]])
            assert neighbours[0]["distance"] == pytest.approx(1 - cosine)


def svc(n_classes, kernel):
    """A document of an SVC that scikit-learn fits, and that SVC."""
    rng = np.random.default_rng(n_classes)
    X, y = rng.normal(size=(120, D)), rng.integers(n_classes, size=120)
    fitted = SVC(kernel=kernel, gamma=0.1).fit(X, y)
    document = {
        "algorithm": "svm",
        "trained": True,
        "model_names": NAMES[:n_classes],
        "kernel": kernel,
        "gamma": 0.1,
        "support_vectors": fitted.support_vectors_.tolist(),
        "dual_coef": fitted.dual_coef_.tolist(),
        "intercept": fitted.intercept_.tolist(),
        "n_support": fitted.n_support_.tolist(),
        "classes": fitted.classes_.tolist(),
    }
    return document, fitted


@pytest.mark.parametrize("kernel", ["rbf", "linear"])
@pytest.mark.parametrize("n_classes", [2, 3, 4])
def test_the_trainers_svm_is_the_svc_in_the_file(n_classes, kernel):
    document, fitted = svc(n_classes, kernel)
    queries = np.random.default_rng(9).normal(size=(500, D))
    expected = [NAMES[index] for index in fitted.predict(queries)]
    data = artifact(document, "trainer")
    with Selector.load(data) as selector:
        assert selector.select_batch(queries) == [selector.select(query) for query in queries] == expected
        scores = selector.scores(queries[0])
        assert sum(scores.values()) == n_classes * (n_classes - 1) / 2
    assert list(load_estimator(encoded(document), semantics="trainer").predict(queries)) == expected
    assert json.loads(to_json(data)) == document
    assert verify(data, encoded(document), samples=100).passed


SHARED = Path(os.environ.get("MODELPICK_SHARED", Path(__file__).parents[4] / "shared"))


@pytest.mark.skipif(not SHARED.exists(), reason="needs the recorded models")
@pytest.mark.parametrize("name", ["real/trained-60", "real/trained-distinct-200", "conformance/synthetic-distinct"])
def test_the_trainers_svm_of_recorded_models(name):
    raw = gzip.decompress((SHARED / name / "svm_model.json.gz").read_bytes())
    queries = np.array(json.loads(gzip.decompress((SHARED / name / "expected.json.gz").read_bytes()))["queries"])
    estimator = load_estimator(raw, semantics="trainer")
    assert verify(to_artifact(estimator), raw, queries=queries).passed
    with Selector.load(to_artifact(estimator)) as selector:
        assert selector.select_batch(queries) == list(estimator.predict(queries))


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


KMEANS = {"algorithm": "kmeans", "trained": True, "num_clusters": 1, "centroids": [[1.0]], "cluster_models": ["a"]}
SVC_DOCUMENT = svc(3, "rbf")[0]
REFUSED = {
    "no queries": (KMEANS, "queries", {}, r"\$\.algorithm: expected knn"),
    "no k": (KMEANS, "native", {"k": 3}, "k: expected 1 or more, for a KNN model, got 3"),
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
    "no SVC": (
        {"algorithm": "svm", "trained": True, "model_names": ["a", "b"]},
        "trainer",
        {},
        "missing required field `kernel`",
    ),
    "another kernel": (SVC_DOCUMENT | {"kernel": "poly"}, "trainer", {}, r"\$\.kernel: expected rbf or linear"),
    "classes without names": (
        SVC_DOCUMENT | {"classes": [0, 1, 3]},
        "trainer",
        {},
        r"\$\.classes: expected two or more",
    ),
    "a class twice": (SVC_DOCUMENT | {"classes": [0, 1, 1]}, "trainer", {}, r"\$\.classes: expected two or more"),
    "other counts": (SVC_DOCUMENT | {"n_support": [1, 1, 1]}, "trainer", {}, r"\$\.support_vectors: expected 3"),
    "too few coefficients": (SVC_DOCUMENT | {"dual_coef": [[1.0]] * 2}, "trainer", {}, r"\$\.dual_coef\[0\]: expected"),
    "too few rows of them": (SVC_DOCUMENT | {"dual_coef": []}, "trainer", {}, r"\$\.dual_coef: expected 2"),
    "too few intercepts": (SVC_DOCUMENT | {"intercept": [1.0]}, "trainer", {}, r"\$\.intercept: expected 3"),
}


@pytest.mark.parametrize(("model", "semantics", "options", "message"), REFUSED.values(), ids=REFUSED)
def test_refuses(model, semantics, options, message):
    with pytest.raises(DocumentError, match=message) as caught:
        load_estimator(encoded(model), semantics=semantics, **options)
    assert isinstance(caught.value, ModelpickError)
    assert len(str(caught.value).splitlines()) == 1
