"""The artifact: one self-contained ONNX file, whose metadata hold everything that the runtime needs."""

import json
from copy import copy
from importlib.metadata import version
from typing import Any

from onnx import ModelProto, helper
from skl2onnx import to_onnx
from skl2onnx.common.data_types import DoubleTensorType

from modelpick.runtime import DocumentError
from modelpick.runtime.artifact.seal import seal_parts
from modelpick.runtime.features import CATEGORIES
from modelpick.runtime.schema import ARTIFACT_FORMAT, PREFIX, Entry, Input, names

from ..algorithms.base import Estimator
from ..categories import classifier_entries
from ..formats.source import ENCODER, Source
from ..graphs.builder import LARGE_TENSORS
from ..graphs.exact_search import ExactSearch
from ..graphs.exporting import drop_waiting
from ..graphs.tensors import Values
from .distances import recorded_distances
from .filling import filled

TARGET_OPSET = 17
TOOLS = ("modelpick", "numpy", "onnx", "scikit-learn", "skl2onnx")
_OVERRIDABLE = set(names(Input)) - {Input.FEATURES}


def to_artifact(
    estimator: Estimator,
    *,
    restorable: bool = True,
    exact_search: str = ExactSearch.auto,
    target_opset: int = TARGET_OPSET,
    embedding_model: str | None = None,
    embedding_dim: int | None = None,
) -> bytes:
    """Export a fitted estimator as the bytes of an artifact.

    Parameters
    ----------
    estimator
        Fitted, as `load_estimator` returns it.
    restorable
        Whether the artifact keeps the JSON model that the estimator was loaded from, if there is one, with its digest,
        its encoder and its classifier of categories.
    exact_search
        How a KNN graph finds candidates: "plain" in float32, "quantised" in 8-bit integers, which is faster for many
        rows, or "auto". The answers are the same.
    target_opset
        ONNX opset of the graph, 17 to 21.
    embedding_model, embedding_dim
        The embeddings that the model was trained with, recorded for `modelpick.runtime.Requirements` and
        `FeatureBuilder`.

    Raises
    ------
    DocumentError
        When embeddings of this width, alone or with the one-hot of a category, are not as wide as the model's vectors;
        when embeddings of its classifier of categories, with the one-hot, are not; or when the graph is larger than a
        file may be.
    """
    source, large = estimator.source_ if restorable else None, dict[str, Values]()
    model = _exported(estimator, large, ExactSearch(exact_search), target_opset)
    entries = _described(estimator, source) | _embeddings(estimator.n_features_in_, embedding_model, embedding_dim)
    entries[Entry.DISTANCES] = recorded_distances(estimator)
    if source:
        encoder = {Entry.ENCODER: source.fields[ENCODER]} if ENCODER in source.fields else {}
        entries |= encoder | {Entry.DOCUMENT: source.fields, Entry.VECTORS: estimator.row.stored_rows(estimator)}
    properties = {key: json.dumps(value) for key, value in entries.items()}
    if source:
        properties |= classifier_entries(source, estimator.n_features_in_, target_opset)
    helper.set_model_props(model, {PREFIX + key: value for key, value in properties.items()})
    return seal_parts(filled(model.SerializeToString(deterministic=True), large))


def _exported(
    estimator: Estimator, large: dict[str, Values], exact_search: ExactSearch, target_opset: int
) -> ModelProto:
    """Export the graph without the values of large tensors, which are put into the dict."""
    options = {LARGE_TENSORS: large, "exact_search": exact_search}
    exported = copy(estimator)
    model: ModelProto = to_onnx(
        exported,
        initial_types=[(Input.FEATURES, DoubleTensorType([None, estimator.n_features_in_]))],
        target_opset={"": target_opset},
        name="modelpick",
        options={id(exported): {name: options[name] for name in [LARGE_TENSORS, *(estimator.row.graph_options or ())]}},
    )
    vars(exported).clear()  # what skl2onnx leaves behind refers to it in cycles, until they are collected
    drop_waiting(model.graph)
    _open_inputs(model)
    return model


def _described(estimator: Estimator, source: Source | None) -> dict[str, Any]:
    """Return the entries that describe the estimator."""
    return {
        Entry.FORMAT_VERSION: ARTIFACT_FORMAT,
        Entry.ALGORITHM: estimator.row.algorithm,
        Entry.SEMANTICS: estimator.row.semantics,
        Entry.MODEL_NAMES: list(estimator.classes_),
        Entry.N_FEATURES_IN: estimator.n_features_in_,
        Entry.SOURCE_SHA256: source.sha256 if source else "",
        Entry.TOOLS: {tool: version(tool) for tool in TOOLS},
        **estimator.row.describe(estimator),
    }


def _embeddings(n_features_in: int, model: str | None, dim: int | None) -> dict[str, Any]:
    """Return the entries on the embeddings that the model was trained with, as far as they are known."""
    if dim is not None and (dim < 1 or n_features_in not in (dim, dim + len(CATEGORIES))):
        raise DocumentError(
            f"embedding_dim: expected {n_features_in} features, or {len(CATEGORIES)} fewer with categories, got {dim}"
        )
    known = {Entry.EMBEDDING_MODEL: model, Entry.EMBEDDING_DIM: dim}
    return {key: value for key, value in known.items() if value is not None}


def _open_inputs(model: ModelProto) -> None:
    """Let callers override initializers of a graph by making them inputs too."""
    for tensor in model.graph.initializer:
        if tensor.name in _OVERRIDABLE:
            dims = [dim or None for dim in tensor.dims]
            model.graph.input.append(helper.make_tensor_value_info(tensor.name, tensor.data_type, dims))
