"""The artifact: one self-contained ONNX file with everything the runtime needs in its metadata."""

import json
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

from onnx import ModelProto, TensorProto, helper, numpy_helper
from skl2onnx import to_onnx
from skl2onnx.common.data_types import DoubleTensorType

from modelpick.runtime import Selector
from modelpick.runtime.artifact import CONTRACT, PREFIX, seal

from . import graphs as graphs  # registers the converters
from .documents import Document, load_document
from .estimators import (
    Estimator,
    KMeansModelSelector,
    KNNModelSelector,
    SVMModelSelector,
    build_estimator,
)
from .paths import write_atomically
from .restore import stored_rows
from .verify import SAMPLES, Report, VerificationError, compare, made_queries

TARGET_OPSET = 17
TOOLS = ("modelpick", "numpy", "onnx", "scikit-learn", "skl2onnx")


def convert(source: str | Path | bytes, target: str | Path, *, samples: int = SAMPLES) -> Report:
    """Convert a JSON model to an artifact file, verified and atomically.

    Parameters
    ----------
    source
        Path or bytes of the JSON model.
    target
        Path of the artifact; replaced if it exists, untouched on any error.
    samples
        Number of queries on which the artifact is held against its estimator, see `modelpick.converter.verify`;
        0 trusts it.

    Raises
    ------
    DocumentError
        When the JSON model is refused, see `load_document`.
    VerificationError
        When the artifact disagrees with its estimator on a query that is not tied.
    ModelpickError
        When the target cannot be written.
    """
    document = load_document(source)
    estimator = build_estimator(document)
    data = to_artifact(estimator, document=document)
    name = "<bytes>" if isinstance(source, bytes) else str(source)
    with Selector.load(data) as selector:
        report = compare(selector, estimator, made_queries(estimator, samples), str(target), name)
    if not report.passed:
        raise VerificationError(report)
    write_atomically(Path(target), data)
    return report


def to_artifact(estimator: Estimator, *, document: Document | None = None, target_opset: int = TARGET_OPSET) -> bytes:
    """Export a fitted estimator as the bytes of an artifact.

    Parameters
    ----------
    estimator
        As `build_estimator` gives it.
    document
        The document that the estimator was built from: kept so that the JSON can be restored.
    target_opset
        ONNX opset of the graph, 17 to 21.
    """
    features = [("features", DoubleTensorType([None, estimator.n_features_in_]))]
    model = to_onnx(estimator, initial_types=features, target_opset={"": target_opset}, name="modelpick")
    algorithm, describe = _DESCRIPTIONS[type(estimator)]
    metadata = {
        "contract": CONTRACT,
        "algorithm": algorithm,
        "model_names": list(estimator.model_names_),
        "n_features_in": estimator.n_features_in_,
        "source_sha256": document.source.sha256 if document else "",
        "tools": {tool: version(tool) for tool in TOOLS},
        "candidates": _open_candidates(model),
        **describe(estimator),
    }
    if document:
        metadata |= {"document": document.source.fields, "vectors": stored_rows(estimator)}
    helper.set_model_props(model, {PREFIX + key: json.dumps(value) for key, value in metadata.items()})
    return seal(model.SerializeToString(deterministic=True))


def _open_candidates(model: ModelProto) -> int:
    """Let a caller override which KNN candidates are looked at, by initializers that are inputs as well.

    Returns their number, 0 where the graph has none.
    """
    values = {
        tensor.name: numpy_helper.to_array(tensor).item()
        for tensor in model.graph.initializer
        if tensor.name in ("candidates", "first")
    }
    for name in values:
        model.graph.input.append(helper.make_tensor_value_info(name, TensorProto.INT64, [1]))
    return int(values.get("candidates", 0))


def _describe_knn(estimator: KNNModelSelector) -> dict[str, Any]:
    return {
        "choices": list(estimator.model_names_),
        "rows": estimator.n_samples_fit_,
        "distinct_rows": int(estimator.row_groups_.max()) + 1,
        "k": min(estimator.n_neighbors, estimator.n_samples_fit_),
        "metric": "euclidean",
        "weights": "0.9 * max(quality, 0.01) + 0.1 * speed",
        "tie_rule": "distance, then row; vote, then best-ranked neighbour",
    }


def _describe_kmeans(estimator: KMeansModelSelector) -> dict[str, Any]:
    return {
        "choices": list(estimator.choice_models_),
        "rows": len(estimator.cluster_centers_),
        "distinct_rows": 0,
        "k": 0,
        "metric": "euclidean",
        "tie_rule": "distance, then cluster",
    }


def _describe_svm(estimator: SVMModelSelector) -> dict[str, Any]:
    return {
        "choices": list(estimator.choice_models_),
        "rows": sum(len(machine.support_vectors_) for machine in estimator.machines_),
        "distinct_rows": 0,
        "k": 0,
        "tie_rule": "score, then classifier",
    }


_DESCRIPTIONS: dict[type, tuple[str, Callable[[Any], dict[str, Any]]]] = {
    KNNModelSelector: ("knn", _describe_knn),
    KMeansModelSelector: ("kmeans", _describe_kmeans),
    SVMModelSelector: ("svm", _describe_svm),
}
