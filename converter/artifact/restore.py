"""The JSON model, given back by its artifact.

An artifact keeps two metadata entries for this: `Entry.DOCUMENT`, the JSON with `VECTOR` in place of each feature
vector, and `Entry.VECTORS`, the row of each of those vectors, in the document's order, in the stored matrices. The
layers of an MLP are not stored as they were, and stand in the former.
"""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt
from msgspec import Raw
from onnx import ModelProto, load_model_from_string, numpy_helper

from modelpick.runtime import ArtifactError
from modelpick.runtime.artifact.seal import read_sealed
from modelpick.runtime.schema import PREFIX, Entry, Stored

from ..algorithms import TABLE
from ..files.io import write_atomically
from ..formats.document import VECTOR

Matrix = npt.NDArray[np.float64]


def to_json(artifact: str | Path | bytes) -> str:
    """Return the JSON model that an artifact was converted from.

    Equal to it field by field and value by value, as far as a selector reads it: other fields, white space and
    the spelling of numbers are not kept.

    Raises
    ------
    ArtifactError
        When the artifact is refused, or was not converted from a JSON model.
    """
    name, model, entries = _read(artifact)
    if Entry.DOCUMENT not in entries:
        raise ArtifactError(f"{name}: expected an artifact converted from a JSON model")
    vectors = [Raw(msgspec.json.encode(row.tolist())) for matrix in _stored(model, entries).values() for row in matrix]
    order = (vectors[row] for row in json.loads(entries[Entry.VECTORS]))
    return msgspec.json.encode(_filled(json.loads(entries[Entry.DOCUMENT]), order)).decode()


def restore(artifact: str | Path | bytes, target: str | Path) -> None:
    """Write the JSON model of an artifact to a file, atomically; raises as `to_json` does."""
    write_atomically(Path(target), to_json(artifact).encode())


def stored_points(artifact: str | Path | bytes) -> Matrix | None:
    """Return the vectors of an artifact that lie where queries lie, float64, (n, d): rows, centroids, support vectors.

    None where it has none: an MLP, or an SVM of linear classifiers alone.

    Raises
    ------
    ArtifactError
        When the artifact is refused.
    """
    _, model, entries = _read(artifact)
    points = [matrix for name, matrix in _stored(model, entries).items() if name != Stored.WEIGHTS]
    return np.vstack(points) if points else None


def _read(artifact: str | Path | bytes) -> tuple[str, ModelProto, dict[str, str]]:
    """Return an artifact's name, its graph, and its metadata, as they are written."""
    name, data = read_sealed(artifact)
    model = load_model_from_string(data)
    return name, model, {entry.key.removeprefix(PREFIX): entry.value for entry in model.metadata_props}


def _stored(model: ModelProto, entries: Mapping[str, str]) -> dict[str, Matrix]:
    """Return the matrices that hold the feature vectors exactly, by name, in the order of the table."""
    rules = TABLE[json.loads(entries[Entry.ALGORITHM]), json.loads(entries[Entry.SEMANTICS])]
    tensors = {tensor.name: tensor for tensor in model.graph.initializer}
    return {name: numpy_helper.to_array(tensors[name]).astype(np.float64) for name in rules.stored if name in tensors}


def _filled(value: Any, vectors: Iterator[Raw]) -> Any:
    """Put the next vector where each `VECTOR` stands."""
    if value == VECTOR:
        return next(vectors)
    if isinstance(value, list):
        return [_filled(inner, vectors) for inner in value]
    if isinstance(value, dict):
        return {key: _filled(inner, vectors) for key, inner in value.items()}
    return value
