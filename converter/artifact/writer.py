"""The artifact: one self-contained ONNX file with everything the runtime needs in its metadata."""

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
from ..formats.document import ENCODER
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
        Whether the JSON model that the estimator was loaded from is kept, if it was loaded from one: with it go its
        digest, its encoder and its classifier of categories.
    exact_search
        How a KNN graph finds candidates: "plain" in float32, "quantised" in 8-bit integers, which is faster for many
        rows, or "auto". The answers are the same.
    target_opset
        ONNX opset of the graph, 17 to 21.
    embedding_model, embedding_dim
        What the model was trained with: recorded for `modelpick.runtime.Requirements` and `FeatureBuilder`.

    Raises
    ------
    DocumentError
        When embeddings of that width, alone or with the one-hot of a category, are not as wide as the model's vectors;
        when embeddings of the document's category classifier are not, with it; when the graph is larger than a file may
        be.
    """
    row, source = estimator.row, estimator.source_ if restorable else None
    large: dict[str, Values] = {}
    asked = {LARGE_TENSORS: large, "exact_search": ExactSearch(exact_search)}
    exported = copy(estimator)
    model = to_onnx(
        exported,
        initial_types=[(Input.FEATURES, DoubleTensorType([None, estimator.n_features_in_]))],
        target_opset={"": target_opset},
        name="modelpick",
        options={id(exported): {name: asked[name] for name in [LARGE_TENSORS, *(row.graph_options or ())]}},
    )
    vars(exported).clear()  # what skl2onnx leaves behind refers to it in cycles, until they are collected
    drop_waiting(model.graph)
    _open_inputs(model)
    metadata: dict[str, Any] = {
        Entry.FORMAT_VERSION: ARTIFACT_FORMAT,
        Entry.ALGORITHM: row.algorithm,
        Entry.SEMANTICS: row.semantics,
        Entry.MODEL_NAMES: list(estimator.model_names_),
        Entry.N_FEATURES_IN: estimator.n_features_in_,
        Entry.SOURCE_SHA256: source.sha256 if source else "",
        Entry.TOOLS: {tool: version(tool) for tool in TOOLS},
        **row.describe(estimator),
    }
    if embedding_model is not None:
        metadata[Entry.EMBEDDING_MODEL] = embedding_model
    if embedding_dim is not None:
        widths = (embedding_dim, embedding_dim + len(CATEGORIES))
        if embedding_dim < 1 or estimator.n_features_in_ not in widths:
            raise DocumentError(
                f"embedding_dim: expected {estimator.n_features_in_} features, or {len(CATEGORIES)} fewer beside "
                f"categories, got {embedding_dim}"
            )
        metadata[Entry.EMBEDDING_DIM] = embedding_dim
    metadata[Entry.DISTANCES] = recorded_distances(estimator)
    if source and ENCODER in source.fields:
        metadata[Entry.ENCODER] = source.fields[ENCODER]
    if source:
        metadata |= {Entry.DOCUMENT: source.fields, Entry.VECTORS: row.stored_rows(estimator)}
    properties = {key: json.dumps(value) for key, value in metadata.items()}
    if source:
        properties |= classifier_entries(source, estimator.n_features_in_, target_opset)
    helper.set_model_props(model, {PREFIX + key: value for key, value in properties.items()})
    return seal_parts(filled(model.SerializeToString(deterministic=True), large))


def _open_inputs(model: ModelProto) -> None:
    """Let a caller override what a graph looks at, by initializers that are inputs as well."""
    for tensor in model.graph.initializer:
        if tensor.name in _OVERRIDABLE:
            dims = [dim or None for dim in tensor.dims]
            model.graph.input.append(helper.make_tensor_value_info(tensor.name, tensor.data_type, dims))
