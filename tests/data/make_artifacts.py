"""Makes the artifacts of this folder: each is made once, and loaded by every later version.

There is one of every row of the table of algorithms, also of rows by which no more are made. Run by hand when
there is a new name below, or a new format version: PYTHONPATH=tests python tests/data/make_artifacts.py
"""

import json
from pathlib import Path

import numpy as np

from modelpick.runtime import Selector
from modelpick.runtime.schema import ARTIFACT_FORMAT
from support.artifacts import converted
from support.catalogue import MODELS, WIDTH

FOLDER = Path(__file__).parent
# Name -> row of the catalogue, search.
KEPT = {
    "knn": ("knn", "native/1", "plain"),
    "knn_rows_first": ("knn", "native/1", "quantised"),
    "knn_2": ("knn", "native/2", "auto"),
    "knn_queries_2": ("knn", "queries/2", "auto"),
    "knn_queries_3": ("knn", "queries/3", "auto"),
    "knn_trainer": ("knn", "trainer/1", "auto"),
    "kmeans_estimate": ("kmeans", "native/1", "auto"),
    "kmeans_2_estimate": ("kmeans", "native/2", "auto"),
    "svm": ("svm", "native/1", "auto"),
    "svm_2": ("svm", "native/2", "auto"),
    "svm_trainer": ("svm", "trainer/1", "auto"),
    "mlp_estimate": ("mlp", "native/1", "auto"),
    "mlp_2_estimate": ("mlp", "native/2", "auto"),
    "hiershrink_estimate": ("hiershrink", "native/1", "auto"),
    "kernel_ridge": ("kernel_ridge", "native/1", "auto"),
    "kernel_ridge_2": ("kernel_ridge", "native/2", "auto"),
}
QUERIES = np.random.default_rng(0).normal(size=(50, WIDTH)).round(4).tolist()


def main():
    """Make the artifacts that are missing, and the picks that they must give for ever."""
    folder = FOLDER / f"format-{ARTIFACT_FORMAT}"
    folder.mkdir(exist_ok=True)
    record = folder / "picks.json"
    recorded = json.loads(record.read_text()) if record.exists() else {"queries": QUERIES, "picks": {}}
    for name, (algorithm, semantics, search) in KEPT.items():
        if name in recorded["picks"]:
            continue
        data = converted(MODELS[algorithm, semantics], semantics, exact_search=search)
        (folder / f"{name}.onnx").write_bytes(data)
        with Selector.load(data) as selector:
            recorded["picks"][name] = selector.select_batch(recorded["queries"])
    record.write_text(json.dumps(recorded) + "\n")


if __name__ == "__main__":
    main()
