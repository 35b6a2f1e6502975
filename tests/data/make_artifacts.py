"""Makes the artifacts of this folder: each is made once, and loaded by every later version.

There is one of every row of the table of algorithms. Run by hand when there is a new document below, or a new format
version: python tests/data/make_artifacts.py
"""

import json
from pathlib import Path

import numpy as np

from modelpick.converter import build_estimator, load_document, to_artifact
from modelpick.converter.formats.digests import digest
from modelpick.runtime import Selector
from modelpick.runtime.schema import FORMAT_VERSION

FOLDER = Path(__file__).parent
RNG = np.random.default_rng(0)
D, NAMES = 12, ["a", "b", "c"]
VECTORS = RNG.normal(size=(40, D)).round(4)
LAYER = {"type": "linear", "weight": RNG.normal(size=(3, D)).round(4).tolist(), "bias": [0.1, 0.0, -0.1]}
KNN = {
    "algorithm": "knn",
    "k": 5,
    "embeddings": VECTORS.repeat(3, axis=0).tolist(),
    "labels": NAMES * 40,
    "qualities": RNG.uniform(0.05, 1, 120).round(3).tolist(),
    "latencies": RNG.integers(10**8, 10**9, 120).tolist(),
}
MACHINES = [
    {"model_name": name, "alpha": [1.0, -0.5, 0.25], "rho": 0.1, "gamma": 1.0}
    | {"support_vectors": (VECTORS[3 * i : 3 * i + 3] / 3.5).round(4).tolist()}
    for i, name in enumerate(NAMES)
]
SVC = {
    "support_vectors": VECTORS[:12].tolist(),
    "dual_coef": RNG.normal(size=(2, 12)).round(4).tolist(),
    "intercept": [0.1, 0.0, -0.1],
    "n_support": [4, 4, 4],
}
COMPARED = {"algorithm": "svm", "model_names": NAMES, "gamma": 0.1}
KMEANS = {"algorithm": "kmeans", "num_clusters": 6, "centroids": VECTORS[:6].tolist(), "cluster_models": NAMES * 2}
MLP = {"algorithm": "mlp", "model_names": NAMES, "feature_dim": D, "layers": [LAYER]}
SCORES = RNG.uniform(size=(6, 3)).round(4)
SCORED = {
    **KMEANS,
    "format_version": 2,
    "target_contract": "selector.model-choice/v1",
    "objective": {
        "id": digest(["v1", "q0.9", "l0.1", "c0.0", "ls10000.0", "cs1.0"]),
        "version": 1,
        "weights": {"quality": 0.9, "latency": 0.1, "cost": 0.0},
        "latency_scale_ms": 10000.0,
        "cost_scale": 1.0,
    },
    "candidate_set": {"id": digest(NAMES), "models": NAMES},
    "feature": {"snapshot_id": "f1", "dim": D, "normalization": "none"},
    "training_snapshot_id": "t1",
    "clustering": {
        "init": "k-means++",
        "algorithm": "lloyd",
        "dtype": "float64",
        "seed": 42,
        "n_init": 10,
        "max_iter": 300,
        "tol": 0.0001,
        "library_versions": {"scikit-learn": "1.7"},
        "requested_k": 6,
        "effective_k": 6,
        "train_queries": 40,
    },
    "distance": "squared_l2",
    "tie_break": "lowest_index",
    "cluster_sizes": [7, 7, 7, 7, 6, 6],
    "scores": SCORES.tolist(),
    "support": RNG.integers(4, 9, (6, 3)).tolist(),
    "fallback": {"min_support": 4, "global_scores": SCORES.mean(axis=0).tolist(), "global_support": [40, 40, 40]},
    "cluster_models": [NAMES[best] for best in SCORES.argmax(axis=1)],
    "model_names": NAMES,
    "feature_dim": D,
}
HIERSHRINK = {
    "algorithm": "hiershrink",
    "coarse_centroids": VECTORS[:2].tolist(),
    "fine_centroids": VECTORS[:8].tolist(),
    "cost_weight": 0.1,
    "training": [
        {
            "query_embedding": vector.tolist(),
            "selected_model": name,
            "response_quality": round(float(RNG.uniform()), 3),
            "response_latency_ns": int(RNG.integers(10**8, 10**9)),
        }
        for vector in VECTORS
        for name in NAMES
    ],
}
COEFFICIENTS = RNG.normal(size=(2, 40, 3))
COEFFICIENTS -= COEFFICIENTS.mean(axis=1, keepdims=True)
KERNEL_RIDGE = {
    "algorithm": "kernel_ridge",
    "model_names": NAMES,
    "gamma": 1.0,
    "support_vectors": (VECTORS / np.linalg.norm(VECTORS, axis=1, keepdims=True)).round(4).tolist(),
    "outcomes": {
        kind: {"dual_coef": values.round(4).tolist(), "intercept": [0.5, 0.5, 0.5]}
        for kind, values in zip(("quality", "cost"), COEFFICIENTS, strict=True)
    },
    "default": "a",
}
LINEAR = [{"model_name": name, "weights": VECTORS[row].tolist(), "rho": 0.1} for row, name in enumerate(NAMES)]
# Name -> model, semantics, search.
DOCUMENTS = {
    "knn": (KNN, "native/1", "plain"),
    "knn_quantised": (KNN, "native/1", "quantised"),
    "knn_2": (KNN, "native/2", "auto"),
    "knn_queries": (KNN, "queries/1", "auto"),
    "knn_queries_2": (KNN, "queries/2", "auto"),
    "knn_trainer": (KNN, "trainer/1", "auto"),
    "kmeans": (KMEANS, "native/1", "auto"),
    "kmeans_2": (SCORED, "native/2", "auto"),
    "svm": ({"algorithm": "svm", "rbf_classifiers": MACHINES}, "native/1", "auto"),
    "svm_2": ({**COMPARED, "format_version": 2, "kernel_type": "Rbf", "svc": SVC}, "native/2", "auto"),
    "svm_trainer": ({**COMPARED, **SVC, "kernel": "rbf", "classes": [0, 1, 2]}, "trainer/1", "auto"),
    "mlp": (MLP, "native/1", "auto"),
    "mlp_2": ({**MLP, "format_version": 2}, "native/2", "auto"),
    "hiershrink": (HIERSHRINK, "native/1", "auto"),
    "kernel_ridge": (KERNEL_RIDGE, "native/1", "auto"),
    # Those before settle in the graph what these estimate there.
    "kmeans_estimate": (KMEANS, "native/1", "auto"),
    "kmeans_2_estimate": (SCORED, "native/2", "auto"),
    "svm_linear_estimate": ({"algorithm": "svm", "linear_classifiers": LINEAR}, "native/1", "auto"),
    "mlp_estimate": (MLP, "native/1", "auto"),
    "hiershrink_estimate": (HIERSHRINK, "native/1", "auto"),
    # That before ranks in the graph what integers leave open.
    "knn_integers": (KNN, "native/1", "quantised"),
    # Those before have rows behind queries in the product of many.
    "knn_rows_first": (KNN, "native/1", "quantised"),
    # Those before predict costs below 0.
    "knn_queries_3": (KNN, "queries/3", "auto"),
    "kernel_ridge_2": ({**KERNEL_RIDGE, "format_version": 2}, "native/2", "auto"),
}
QUERIES = RNG.normal(size=(50, D)).round(4).tolist()


def main():
    """Make the artifacts that are missing, and the picks that they must give for ever."""
    folder = FOLDER / f"format-{FORMAT_VERSION}"
    folder.mkdir(exist_ok=True)
    record = folder / "picks.json"
    recorded = json.loads(record.read_text()) if record.exists() else {"queries": QUERIES, "picks": {}}
    for name, (fields, semantics, search) in DOCUMENTS.items():
        if name in recorded["picks"]:
            continue
        document = load_document(json.dumps({"trained": True, **fields}).encode(), semantics=semantics)
        data = to_artifact(build_estimator(document), document=document, exact_search=search)
        (folder / f"{name}.onnx").write_bytes(data)
        with Selector.load(data) as selector:
            recorded["picks"][name] = selector.select_batch(recorded["queries"])
    record.write_text(json.dumps(recorded) + "\n")


if __name__ == "__main__":
    main()
