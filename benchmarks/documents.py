"""JSON models to measure in addition to KNN: SVM, KMeans and MLP of real widths, with random numbers."""

from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt
from data import SEED, WIDTH, clustered

# Outputs of each layer.
MLP_LAYERS = (256, 128, 9)
SUPPORT_VECTORS = 500
Layer = tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]


def mlp_layers() -> list[Layer]:
    """Draw weights, (outputs, inputs), and bias, (outputs,), of each layer of an MLP."""
    rng = np.random.default_rng(SEED)
    return [
        (rng.normal(0, width**-0.5, (outputs, width)).astype(np.float32), rng.normal(size=outputs).astype(np.float32))
        for width, outputs in pairwise((WIDTH, *MLP_LAYERS))
    ]


def documents(layers: list[Layer]) -> dict[str, dict[str, Any]]:
    """Make the models: name -> the fields of its JSON."""
    rng = np.random.default_rng(SEED)
    support = clustered(9 * SUPPORT_VECTORS, 1).rows[::9].astype(np.float64)
    classifiers = [
        {"model_name": f"m{i}", "alpha": rng.normal(size=SUPPORT_VECTORS).tolist(), "rho": 0.1, "gamma": 1.0}
        | {"support_vectors": support.tolist()}
        for i in range(4)
    ]
    linear = [{"model_name": f"m{i}", "weights": rng.normal(size=WIDTH).tolist(), "rho": 0.1} for i in range(4)]
    made: dict[str, dict[str, Any]] = {
        f"SVM, 4 RBF classifiers, {SUPPORT_VECTORS} support vectors": {
            "algorithm": "svm",
            "rbf_classifiers": classifiers,
        },
        "SVM, 4 linear classifiers": {"algorithm": "svm", "linear_classifiers": linear},
    }
    for clusters in (8, 12, 100):
        made[f"KMeans, {clusters} clusters"] = {
            "algorithm": "kmeans",
            "num_clusters": clusters,
            "centroids": support[:clusters].tolist(),
            "cluster_models": [f"m{i % 4}" for i in range(clusters)],
        }
    dense = [{"type": "linear", "weight": weights.tolist(), "bias": bias.tolist()} for weights, bias in layers]
    made[f"MLP, {' x '.join(map(str, (WIDTH, *MLP_LAYERS)))}"] = {
        "algorithm": "mlp",
        "model_names": [f"m{i}" for i in range(MLP_LAYERS[-1])],
        "feature_dim": WIDTH,
        "layers": [layer for one in dense for layer in (one, {"type": "relu"})][:-1],
    }
    return made
