"""A query gets one answer in any batch: also where distances or scores tie within rounding."""

import asyncio

import numpy as np
import pytest

from modelpick.runtime import BatchingSelector
from support import catalogue
from support.artifacts import loaded

NAMES = ["a", "b", "c", "d"]


def knn(rows, rng):
    labels = [NAMES[model] for model in rng.integers(4, size=len(rows))]
    return catalogue.knn(rows, labels, k=5, qualities=rng.integers(1, 10, size=len(rows)) / 10)


def kmeans(rows, rng):
    return catalogue.kmeans(rows[:12], NAMES)


def hiershrink(rows, rng):
    records = [catalogue.hiershrink_record(row, name, rng.uniform()) for row in rows[:20] for name in NAMES]
    return catalogue.hiershrink(rows[:4], rows[:12], records)


def linear(rows, rng):
    pairs = zip("ab", (rows[0], rows[0][::-1]), strict=True)
    return catalogue.svm([catalogue.linear_classifier(*pair) for pair in pairs])


def rbf(gamma):
    def fields(rows, rng):
        pairs = zip("ab", (rows[:1], rows[:1, ::-1]), strict=True)
        return catalogue.svm(rbf=[catalogue.rbf_classifier(*pair, [1.0], gamma=gamma) for pair in pairs])

    return fields


def svc(kernel):
    def fields(rows, rng):
        vectors = np.vstack([rows[:2], rows[:2, ::-1]])
        parameters = catalogue.svc_parameters(vectors, [[0.7, 0.3, -0.7, -0.3]], [0.0], [2, 2])
        return catalogue.svc(parameters, ["a", "b"], kernel)

    return fields


def mlp(rows, rng):
    return catalogue.mlp(catalogue.dense([rows[0], rows[0][::-1]], [0.1, 0.1]), names=["a", "b"])


def kernel_ridge(rows, rng):
    vectors = np.vstack([rows[:6], rows[:6, ::-1]])
    vectors = vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-9)
    own = rng.normal(size=6)
    coefficients = np.stack([np.append(own, own[::-1] * 0), np.append(own * 0, own)], axis=1)
    outcomes = {"quality": (coefficients, [0.5, 0.5]), "cost": (np.zeros((12, 2)), [2.0, 1.0])}
    return catalogue.kernel_ridge(vectors, outcomes, ["a", "b"])


# Fields, semantics, search.
MODELS = {
    **{
        f"knn {semantics} {search}": (knn, semantics, search)
        for semantics in ("native/1", "native/2", "trainer/1", "queries/2", "queries/3")
        for search in ("plain", "quantised")
    },
    "kmeans": (kmeans, "native/1", "auto"),
    "hiershrink": (hiershrink, "native/1", "auto"),
    "svm linear": (linear, "native/1", "auto"),
    "svm rbf": (rbf(1.0), "native/1", "auto"),
    "svm steep": (rbf(1e6), "native/1", "auto"),
    "svc rbf": (svc("Rbf"), "native/2", "auto"),
    "svc linear": (svc("Linear"), "native/2", "auto"),
    "mlp": (mlp, "native/1", "auto"),
    "kernel ridge": (kernel_ridge, "native/1", "auto"),
}


def tied(rng, width):
    """Rows with repeats and mirrored ones, and queries that are as far from some as from others."""
    base = rng.normal(size=(15, width)) if rng.integers(2) else rng.integers(1, 7, size=(15, width)) * 0.1
    base = np.vstack([base, base[:, ::-1]])
    rows = base[rng.permutation(np.append(np.arange(30), rng.integers(30, size=30)))]
    first, second = rng.integers(60, size=(2, 60))
    midway = (rows[first] + rows[second]) / 2
    palindromes = rng.normal(size=(20, width))
    return rows, np.vstack([midway, palindromes + palindromes[:, ::-1], rows[:4]])


@pytest.mark.parametrize("name", MODELS)
def test_every_path_gives_one_answer_where_roundings_decide(name, monkeypatch):
    fields, semantics, search = MODELS[name]
    for seed, width in enumerate((3, 17, 38, 230)):
        rng = np.random.default_rng(seed)
        rows, queries = tied(rng, width)
        with loaded(fields(rows, rng), semantics, search) as selector:
            for candidates in (None, selector.model_names[1:]):
                asked = {} if candidates is None else {"candidates": candidates}
                alone = [selector.select(query, **asked) for query in queries]
                assert [selector.explain(query, **asked)["model"] for query in queries] == alone
                assert selector.select_batch(queries, **asked) == alone
                order = rng.permutation(len(queries))
                for size in (2, 13):
                    parts = [order[first : first + size] for first in range(0, len(order), size)]
                    picked = {
                        query: model
                        for part in parts
                        for query, model in zip(part, selector.select_batch(queries[part], **asked), strict=True)
                    }
                    assert [picked[query] for query in range(len(queries))] == alone
                monkeypatch.setattr(selector, "_chunk", 7)
                assert selector.select_batch(queries, **asked) == alone

            async def merged(queries=queries, selector=selector):
                async with BatchingSelector(selector, max_batch=9) as batching:
                    return await asyncio.gather(*(batching.select(query) for query in queries))

            assert asyncio.run(merged()) == [selector.select(query) for query in queries]
