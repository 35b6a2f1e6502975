"""The JSON model, given back by its artifact.

An artifact keeps two metadata entries for this: ``document``, the JSON with `VECTOR` in place of each feature
vector, and ``vectors``, the row of each of those vectors, in the document's order, in the stored matrices. The layers
of an MLP are not stored as they were, and stand in ``document``.
"""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt
from msgspec import Raw
from onnx import ModelProto, load_model_from_string, numpy_helper

from modelpick.runtime import ArtifactError
from modelpick.runtime.artifact.seal import read_sealed
from modelpick.runtime.schema import PREFIX

from ..documents import VECTOR
from ..estimators import (
    Estimator,
    KMeansModelSelector,
    KNNModelSelector,
    MLPModelSelector,
    QueryModelSelector,
    SVCModelSelector,
    SVMModelSelector,
)
from ..files.io import write_atomically
from ..graphs.svm import shared_support_vectors

# Initializers that hold feature vectors exactly, one below the other.
STORED = {"knn": ("rows",), "kmeans": ("centroids",), "svm": ("weights", "support_vectors"), "mlp": ()}


def to_json(artifact: str | Path | bytes) -> str:
    """Give back the JSON model that an artifact was converted from.

    Equal to it field by field and value by value, as far as a selector reads it: other fields, white space and
    the spelling of numbers are not kept.

    Raises
    ------
    ArtifactError
        When the artifact is refused, or was not converted from a JSON model.
    """
    name, data = read_sealed(artifact)
    model = load_model_from_string(data)
    entries = {entry.key.removeprefix(PREFIX): entry.value for entry in model.metadata_props}
    if "document" not in entries:
        raise ArtifactError(f"{name}: expected an artifact converted from a JSON model")
    vectors = _stored_vectors(model, json.loads(entries["algorithm"]))
    order = (vectors[row] for row in json.loads(entries["vectors"]))
    return msgspec.json.encode(_filled(json.loads(entries["document"]), order)).decode()


def restore(artifact: str | Path | bytes, target: str | Path) -> None:
    """Write the JSON model of an artifact to a file, atomically; raises as `to_json` does."""
    write_atomically(Path(target), to_json(artifact).encode())


def stored_rows(estimator: Estimator) -> list[int]:
    """Tell where each feature vector of the estimator's document is stored."""
    return _STORED_ROWS[type(estimator)](estimator)


def _svm_rows(estimator: SVMModelSelector) -> list[int]:
    linear = 0 if estimator.linear_ is None else len(estimator.linear_.coef_)
    places = shared_support_vectors(estimator.machines_).places if estimator.machines_ else []
    return [*range(linear), *(linear + row for place in places for row in place)]


_STORED_ROWS: dict[type, Callable[[Any], list[int]]] = {
    KNNModelSelector: lambda estimator: estimator.row_groups_.tolist(),
    QueryModelSelector: lambda estimator: estimator.row_groups_.tolist(),
    KMeansModelSelector: lambda estimator: list(range(len(estimator.cluster_centers_))),
    SVMModelSelector: _svm_rows,
    SVCModelSelector: lambda estimator: list(range(len(estimator.support_vectors_))),
    MLPModelSelector: lambda estimator: [],
}


def _stored_vectors(model: ModelProto, algorithm: str) -> list[Raw]:
    tensors = {tensor.name: tensor for tensor in model.graph.initializer}
    matrices: list[npt.NDArray[np.float64]] = [
        numpy_helper.to_array(tensors[name]).astype(np.float64) for name in STORED[algorithm] if name in tensors
    ]
    return [Raw(msgspec.json.encode(row.tolist())) for matrix in matrices for row in matrix]


def _filled(value: Any, vectors: Iterator[Raw]) -> Any:
    """Put the next vector where each `VECTOR` stands."""
    if value == VECTOR:
        return next(vectors)
    if isinstance(value, list):
        return [_filled(inner, vectors) for inner in value]
    if isinstance(value, dict):
        return {key: _filled(inner, vectors) for key, inner in value.items()}
    return value
