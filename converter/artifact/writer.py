"""The artifact: one self-contained ONNX file with everything the runtime needs in its metadata."""

import json
from collections.abc import Callable, Mapping
from importlib.metadata import version
from typing import Any

from onnx import ModelProto, TensorProto, helper
from skl2onnx import to_onnx
from skl2onnx.common.data_types import DoubleTensorType

from modelpick.runtime import DocumentError
from modelpick.runtime.artifact.seal import seal
from modelpick.runtime.features import CATEGORIES
from modelpick.runtime.schema import FORMAT_VERSION, PREFIX

from .. import graphs as graphs  # registers the converters
from ..documents import Document, Semantics
from ..estimators import (
    Estimator,
    KMeansModelSelector,
    KNNModelSelector,
    MLPModelSelector,
    QueryModelSelector,
    SVCModelSelector,
    SVMModelSelector,
)
from ..graphs.exact_search import ExactSearch
from ..graphs.svm import is_fast
from ..verification.distances import recorded_distances
from .restore import stored_rows

Tensors = Mapping[str, TensorProto]
TARGET_OPSET = 17
OVERRIDABLE = {"refine", "k", "candidates", "kept", "first", "known_score", "known_candidate"}
SEMANTICS_VERSION = 1
TOOLS = ("modelpick", "numpy", "onnx", "scikit-learn", "skl2onnx")


def to_artifact(
    estimator: Estimator,
    *,
    document: Document | None = None,
    exact_search: str = ExactSearch.auto,
    target_opset: int = TARGET_OPSET,
    embedding_model: str | None = None,
    embedding_dim: int | None = None,
) -> bytes:
    """Export a fitted estimator as the bytes of an artifact.

    Parameters
    ----------
    estimator
        As `build_estimator` gives it.
    document
        The document that the estimator was built from: kept so that the JSON can be restored.
    exact_search
        How a KNN graph finds candidates: "plain" in float32, "quantised" in 8-bit integers, which pays for many rows,
        or "auto". The answers are the same.
    target_opset
        ONNX opset of the graph, 17 to 21.
    embedding_model, embedding_dim
        What the model was trained with: recorded for `modelpick.runtime.Contract` and `FeatureBuilder`.

    Raises
    ------
    DocumentError
        When embeddings of that width, alone or with the one-hot of a category, are not as wide as the model's vectors.
    """
    features = [("features", DoubleTensorType([None, estimator.n_features_in_]))]
    options = (
        {id(estimator): {"exact_search": ExactSearch(exact_search)}}
        if isinstance(estimator, KNNModelSelector | QueryModelSelector)
        else None
    )
    model = to_onnx(
        estimator, initial_types=features, target_opset={"": target_opset}, name="modelpick", options=options
    )
    _open_inputs(model)
    algorithm, describe = _DESCRIPTIONS[type(estimator)]
    metadata = {
        "format_version": FORMAT_VERSION,
        "algorithm": algorithm,
        "semantics": f"{getattr(estimator, 'semantics', Semantics.native)}/{SEMANTICS_VERSION}",
        "model_names": list(estimator.model_names_),
        "n_features_in": estimator.n_features_in_,
        "source_sha256": document.source.sha256 if document else "",
        "tools": {tool: version(tool) for tool in TOOLS},
        **describe(estimator, {tensor.name: tensor for tensor in model.graph.initializer}),
    }
    if embedding_model is not None:
        metadata["embedding_model"] = embedding_model
    if embedding_dim is not None:
        widths = (embedding_dim, embedding_dim + len(CATEGORIES))
        if embedding_dim < 1 or estimator.n_features_in_ not in widths:
            raise DocumentError(
                f"embedding_dim: expected {estimator.n_features_in_} features, or {len(CATEGORIES)} fewer beside "
                f"categories, got {embedding_dim}"
            )
        metadata["embedding_dim"] = embedding_dim
    metadata["distances"] = recorded_distances(estimator)
    if document:
        metadata |= {"document": document.source.fields, "vectors": stored_rows(estimator)}
    helper.set_model_props(model, {PREFIX + key: json.dumps(value) for key, value in metadata.items()})
    return seal(model.SerializeToString(deterministic=True))


def _open_inputs(model: ModelProto) -> None:
    """Let a caller override what the KNN graph looks at, by initializers that are inputs as well."""
    for tensor in model.graph.initializer:
        if tensor.name in OVERRIDABLE:
            dims = [dim or None for dim in tensor.dims]
            model.graph.input.append(helper.make_tensor_value_info(tensor.name, tensor.data_type, dims))


def _describe_knn(estimator: KNNModelSelector, tensors: Tensors) -> dict[str, Any]:
    return {
        "choices": list(estimator.model_names_),
        "rows": estimator.n_samples_fit_,
        "k": min(estimator.n_neighbors, estimator.n_samples_fit_),
        "metric": "cosine" if estimator.semantics == Semantics.trainer else "euclidean",
        "quality_weight": 0.9,
        "speed_weight": 0.1,
        "min_quality": 0.01,
        "tie_rule": "distance, then row; vote, then best-ranked neighbour",
        "distinct": tensors["rows"].dims[0],
        "values_per_query": sum(tensors["rows"].dims),
    }


def _describe_queries(estimator: QueryModelSelector, tensors: Tensors) -> dict[str, Any]:
    return {
        "choices": list(estimator.model_names_),
        "rows": len(estimator.row_groups_),
        "k": min(estimator.n_neighbors, estimator.n_samples_fit_),
        "metric": "euclidean",
        "quality_weight": 0.9,
        "speed_weight": 0.1,
        "min_quality": 0.01,
        "shrinkage": estimator.shrinkage,
        "tie_rule": "distance, then row; score, then model",
        "distinct": tensors["rows"].dims[0],
        "values_per_query": sum(tensors["rows"].dims) + estimator.n_neighbors * estimator.outcomes_[0].size,
    }


def _describe_kmeans(estimator: KMeansModelSelector, tensors: Tensors) -> dict[str, Any]:
    return {
        "choices": list(estimator.choice_models_),
        "rows": len(estimator.cluster_centers_),
        "k": 0,
        "metric": "euclidean",
        "tie_rule": "distance, then cluster",
        "values_per_query": estimator.cluster_centers_.size,
    }


def _describe_svm(estimator: SVMModelSelector, tensors: Tensors) -> dict[str, Any]:
    vectors = sum(len(machine.support_vectors_) for machine in estimator.machines_)
    return {
        "choices": list(estimator.choice_models_),
        "rows": vectors,
        "k": 0,
        "tie_rule": "score, then classifier",
        "values_per_query": estimator.n_features_in_ * (1 if is_fast(estimator.machines_) else max(vectors, 1))
        + vectors,
    }


def _describe_svc(estimator: SVCModelSelector, tensors: Tensors) -> dict[str, Any]:
    return {
        "choices": list(estimator.choice_models_),
        "rows": len(estimator.support_vectors_),
        "k": 0,
        "tie_rule": "comparisons won, then model",
        "values_per_query": estimator.support_vectors_.size,
    }


def _describe_mlp(estimator: MLPModelSelector, tensors: Tensors) -> dict[str, Any]:
    return {
        "choices": list(estimator.choice_models_),
        "rows": 0,
        "k": 0,
        "tie_rule": "score, then model",
        "values_per_query": sum(len(bias) for bias in estimator.intercepts_) + estimator.n_features_in_,
    }


_DESCRIPTIONS: dict[type, tuple[str, Callable[[Any, Tensors], dict[str, Any]]]] = {
    KNNModelSelector: ("knn", _describe_knn),
    QueryModelSelector: ("knn", _describe_queries),
    KMeansModelSelector: ("kmeans", _describe_kmeans),
    SVMModelSelector: ("svm", _describe_svm),
    SVCModelSelector: ("svm", _describe_svc),
    MLPModelSelector: ("mlp", _describe_mlp),
}
