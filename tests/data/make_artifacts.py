"""Makes the artifacts of this folder: each is made once, and loaded by every later version.

Run by hand when there is a new document below, or a new format version: python tests/data/make_artifacts.py
"""

import json
from pathlib import Path

import numpy as np

from modelpick.converter import build_estimator, load_document, to_artifact
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
DOCUMENTS = {
    "knn": (KNN, "native", "plain"),
    "knn_quantised": (KNN, "native", "quantised"),
    "knn_queries": (KNN, "queries", "auto"),
    "knn_trainer": (KNN, "trainer", "auto"),
    "kmeans": (
        {"algorithm": "kmeans", "num_clusters": 6, "centroids": VECTORS[:6].tolist(), "cluster_models": NAMES * 2},
        "native",
        "auto",
    ),
    "svm": ({"algorithm": "svm", "rbf_classifiers": MACHINES}, "native", "auto"),
    "mlp": ({"algorithm": "mlp", "model_names": NAMES, "feature_dim": D, "layers": [LAYER]}, "native", "auto"),
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
