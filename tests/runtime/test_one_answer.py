"""A query gets one answer, whatever is asked beside it: also where distances or scores tie but for roundings."""

import asyncio
import json

import numpy as np
import pytest

from modelpick.converter import load_estimator, to_artifact
from modelpick.runtime import BatchingSelector, Selector

NAMES = ["a", "b", "c", "d"]


def loaded(fields, semantics, search="auto"):
    return Selector.load(
        to_artifact(
            load_estimator(json.dumps({"trained": True, **fields}).encode(), semantics=semantics), exact_search=search
        )
    )


def knn(rows, rng):
    labels = [NAMES[model] for model in rng.integers(4, size=len(rows))]
    qualities = (rng.integers(1, 10, size=len(rows)) / 10).tolist()
    return {"algorithm": "knn", "k": 5, "embeddings": rows.tolist(), "labels": labels, "qualities": qualities}


def kmeans(rows, rng):
    centroids = rows[:12].tolist()
    return {"algorithm": "kmeans", "num_clusters": 12, "centroids": centroids, "cluster_models": NAMES * 3}


def hiershrink(rows, rng):
    records = [
        {"query_embedding": row.tolist(), "selected_model": NAMES[model], "response_quality": rng.uniform()}
        | {"response_latency_ns": 10**8}
        for row in rows[:20]
        for model in range(4)
    ]
    centroids = {"coarse_centroids": rows[:4].tolist(), "fine_centroids": rows[:12].tolist()}
    return {"algorithm": "hiershrink", **centroids, "cost_weight": 0.1, "training": records}


def machines(kind):
    def fields(rows, rng):
        first, second = rows[0], rows[0][::-1]
        if kind == "linear":
            one, other = ({"weights": vector.tolist()} for vector in (first, second))
        else:
            one, other = ({"alpha": [1.0], "support_vectors": [vector.tolist()]} for vector in (first, second))
        gamma = {} if kind == "linear" else {"gamma": 1e6 if kind == "steep" else 1.0}
        both = [{"model_name": "a", "rho": 0.1, **gamma, **one}, {"model_name": "b", "rho": 0.1, **gamma, **other}]
        return {"algorithm": "svm", ("linear" if kind == "linear" else "rbf") + "_classifiers": both}

    return fields


def svc(kernel):
    def fields(rows, rng):
        vectors = [rows[0].tolist(), rows[1].tolist(), rows[0][::-1].tolist(), rows[1][::-1].tolist()]
        return {
            "algorithm": "svm",
            "format_version": 2,
            "feature_dim": rows.shape[1],
            "model_names": ["a", "b"],
            "kernel_type": kernel,
            "gamma": 0.1,
            "svc": {
                "support_vectors": vectors,
                "dual_coef": [[0.7, 0.3, -0.7, -0.3]],
                "intercept": [0.0],
                "n_support": [2, 2],
            },
        }

    return fields


def mlp(rows, rng):
    width = rows.shape[1]
    layer = {"type": "linear", "weight": [rows[0].tolist(), rows[0][::-1].tolist()], "bias": [0.1, 0.1]}
    return {"algorithm": "mlp", "model_names": ["a", "b"], "feature_dim": width, "layers": [layer]}


def kernel_ridge(rows, rng):
    vectors = np.vstack([rows[:6], rows[:6, ::-1]])
    vectors = vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-9)
    own = rng.normal(size=6)
    coefficients = np.stack([np.append(own, own[::-1] * 0), np.append(own * 0, own)], axis=1)
    quality = {"dual_coef": coefficients.tolist(), "intercept": [0.5, 0.5]}
    cost = {"dual_coef": np.zeros((12, 2)).tolist(), "intercept": [2.0, 1.0]}
    outcomes = {"quality": quality, "cost": cost}
    names = {"model_names": ["a", "b"], "gamma": 1.0}
    return {"algorithm": "kernel_ridge", **names, "support_vectors": vectors.tolist(), "outcomes": outcomes}


# Fields, semantics, search.
MODELS = {
    **{
        f"knn {semantics} {search}": (knn, semantics, search)
        for semantics in ("native/1", "native/2", "trainer/1", "queries/2", "queries/3")
        for search in ("plain", "quantised")
    },
    "kmeans": (kmeans, "native/1", "auto"),
    "hiershrink": (hiershrink, "native/1", "auto"),
    "svm linear": (machines("linear"), "native/1", "auto"),
    "svm rbf": (machines("rbf"), "native/1", "auto"),
    "svm steep": (machines("steep"), "native/1", "auto"),
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
    for seed, width in enumerate((3, 5, 17, 38, 101, 230)):
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
