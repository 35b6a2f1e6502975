"""Restores the JSON model from its artifact.

An artifact keeps two metadata entries for this: `Entry.DOCUMENT`, the JSON with `VECTOR` in place of each feature
vector, and `Entry.VECTORS`, the row of each feature vector in the stored matrices, in the document's order. The layers
of an MLP are not stored in their original form, and therefore stay in the document.
"""

import json
import re
from collections.abc import Iterable
from itertools import chain
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt

from modelpick.runtime import ArtifactError
from modelpick.runtime.artifact.seal import read_sealed
from modelpick.runtime.loading import Contents, read_contents
from modelpick.runtime.schema import PREFIX, Entry, Stored, names

from ..files.io import write_atomically
from ..formats.source import VECTOR

Matrix = npt.NDArray[np.float64]
# `VECTOR` as a value in JSON: not within another string, nor as a key.
_VECTOR = re.compile(rb'(?<!\\)"\\u0000"(?!:)')
assert _VECTOR.fullmatch(msgspec.json.encode(VECTOR))


def to_json(artifact: str | Path | bytes) -> str:
    """Return the JSON model that an artifact was converted from.

    It equals the original in all fields that a selector reads. Other fields, white space and the spelling of numbers
    are not kept.

    Raises
    ------
    ArtifactError
        When the artifact is refused, or was not converted from a JSON model.
    """
    return b"".join(_parts(artifact)).decode()


def restore(artifact: str | Path | bytes, target: str | Path) -> None:
    """Write the JSON model of an artifact to a file, atomically; raises the errors of `to_json`."""
    write_atomically(Path(target), _parts(artifact))


def stored_points(artifact: str | Path | bytes) -> Matrix | None:
    """Return the vectors of an artifact in the space of queries, float64, (n, d): rows, centroids, support vectors.

    None where it has none, as an MLP, or an SVM with only linear classifiers.

    Raises
    ------
    ArtifactError
        When the artifact is refused.
    """
    points = [matrix for name, matrix in _stored(_read(artifact)[1]).items() if name != Stored.WEIGHTS]
    return np.vstack(points) if points else None


def document_field(artifact: str | Path | bytes, field: str) -> Any:
    """Return a field of the JSON model of an artifact; None where it has none, or was not converted from one.

    Raises
    ------
    ArtifactError
        When the artifact is refused.
    """
    texts = _read(artifact)[1].model.properties
    return json.loads(texts.get(PREFIX + Entry.DOCUMENT, "{}")).get(field)


def _read(artifact: str | Path | bytes) -> tuple[str, Contents]:
    name, data = read_sealed(artifact)
    return name, read_contents(name, data)


def _stored(contents: Contents) -> dict[str, Matrix]:
    """Return the matrices that hold the feature vectors exactly, by name."""
    return {name: contents.tables[name].astype(np.float64) for name in names(Stored) if name in contents.tables}


def _parts(artifact: str | Path | bytes) -> Iterable[bytes]:
    """Yield the JSON model in parts: the text before the first vector, then each vector with the text behind it."""
    name, contents = _read(artifact)
    texts = contents.model.properties
    if PREFIX + Entry.DOCUMENT not in texts:
        raise ArtifactError(f"{name}: expected an artifact converted from a JSON model")
    try:
        first, *parts = _VECTOR.split(msgspec.json.encode(json.loads(texts[PREFIX + Entry.DOCUMENT])))
        rows = msgspec.json.decode(texts.get(PREFIX + Entry.VECTORS, ""), type=list[int])
    except (ValueError, RecursionError, msgspec.MsgspecError) as cause:
        raise ArtifactError(f"{name}: the JSON model in it is malformed: {cause}") from None
    vectors = list(chain.from_iterable(_stored(contents).values()))
    if len(rows) != len(parts) or not set(rows) <= set(range(len(vectors))):
        raise ArtifactError(f"{name}: {PREFIX}{Entry.VECTORS}: expected {len(parts)} rows of {len(vectors)}")
    pairs = ((msgspec.json.encode(vectors[row].tolist()), part) for row, part in zip(rows, parts, strict=True))
    return chain([first], chain.from_iterable(pairs))
