"""The artifact: one self-contained ONNX file with everything the runtime needs in its metadata."""

import json
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from onnx import ModelProto, TensorProto, helper
from skl2onnx import to_onnx
from skl2onnx.common.data_types import DoubleTensorType

from modelpick.runtime.artifact import CONTRACT, PREFIX, seal

from . import graphs as graphs  # registers the converters
from .documents import load_document
from .estimators import (
    Estimator,
    KMeansModelSelector,
    KNNModelSelector,
    SVMModelSelector,
    build_estimator,
)
from .paths import write_atomically

TARGET_OPSET = 17
TOOLS = ("modelpick", "numpy", "onnx", "scikit-learn", "skl2onnx")


def convert(source: str | Path | bytes, target: str | Path) -> None:
    """Convert a JSON model to an artifact file, atomically.

    Parameters
    ----------
    source
        Path or bytes of the JSON model.
    target
        Path of the artifact; replaced if it exists, untouched on any error.

    Raises
    ------
    DocumentError
        When the JSON model is refused, see `load_document`.
    ModelpickError
        When the target cannot be written.
    """
    document = load_document(source)
    data = to_artifact(build_estimator(document), source_sha256=document.source_sha256)
    write_atomically(Path(target), data)


def to_artifact(estimator: Estimator, *, source_sha256: str = "", target_opset: int = TARGET_OPSET) -> bytes:
    """Export a fitted estimator as the bytes of an artifact.

    Parameters
    ----------
    estimator
        As `build_estimator` gives it.
    source_sha256
        SHA-256 of the JSON that the estimator was built from, in hex.
    target_opset
        ONNX opset of the graph, 17 to 21.
    """
    features = [("features", DoubleTensorType([None, estimator.n_features_in_]))]
    model = to_onnx(estimator, initial_types=features, target_opset={"": target_opset}, name="modelpick")
    algorithm, describe = _DESCRIPTIONS[type(estimator)]
    metadata = {
        "contract": CONTRACT,
        "algorithm": algorithm,
        "n_features_in": estimator.n_features_in_,
        "source_sha256": source_sha256,
        "tools": {tool: version(tool) for tool in TOOLS},
        **describe(estimator),
        **_open_candidates(model),
    }
    helper.set_model_props(model, {PREFIX + key: json.dumps(value) for key, value in metadata.items()})
    return seal(model.SerializeToString(deterministic=True))


def _open_candidates(model: ModelProto) -> dict[str, int]:
    """Let a caller override the number of KNN candidates: an initializer that is an input as well."""
    sizes = {tensor.name: tensor.dims[0] for tensor in model.graph.initializer if tensor.dims}
    if "candidates" not in sizes:
        return {}
    model.graph.input.append(helper.make_tensor_value_info("candidates", TensorProto.INT64, [1]))
    return {"distinct_rows": sizes["members"]}


def _describe_knn(estimator: KNNModelSelector) -> dict[str, Any]:
    return {
        "model_names": list(estimator.model_names_),
        "k": min(estimator.n_neighbors, estimator.n_samples_fit_),
        "rows": estimator.n_samples_fit_,
        "metric": "euclidean",
        "weights": "0.9 * max(quality, 0.01) + 0.1 * speed",
        "tie_rule": "distance, then row; vote, then best-ranked neighbour",
    }


def _describe_kmeans(estimator: KMeansModelSelector) -> dict[str, Any]:
    return {
        "model_names": list(dict.fromkeys(estimator.cluster_models_)),
        "rows": len(estimator.cluster_models_),
        "cluster_models": list(estimator.cluster_models_),
        "metric": "euclidean",
        "tie_rule": "distance, then cluster",
    }


def _describe_svm(estimator: SVMModelSelector) -> dict[str, Any]:
    return {
        "model_names": list(dict.fromkeys(estimator.classifier_models_)),
        "rows": int(np.sum([len(machine.support_vectors_) for machine in estimator.machines_])),
        "classifier_models": list(estimator.classifier_models_),
        "tie_rule": "score, then classifier",
    }


_DESCRIPTIONS: dict[type, tuple[str, Callable[[Any], dict[str, Any]]]] = {
    KNNModelSelector: ("knn", _describe_knn),
    KMeansModelSelector: ("kmeans", _describe_kmeans),
    SVMModelSelector: ("svm", _describe_svm),
}
