"""The artifact's seal and metadata, read and checked.

An artifact is an ONNX file whose last entry of ``metadata_props`` is a seal: the SHA-256 of every byte before
it. Its metadata are JSON values under keys that start with ``modelpick.``.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from ..errors import ArtifactError
from .onnx_reader import MalformedError, Tensor, read_onnx

CONTRACT = 1
PREFIX = "modelpick."
# The seal is no JSON; the others can be large, and only restoring needs them.
_UNDECODED = {"sha256", "document", "vectors"}
# Initializers that tell what the outputs of a graph stand for.
TABLES = frozenset(
    {
        "refine",
        "center",
        "factor",
        "members",
        "row_model",
        "row_quality",
        "row_speed",
        "error_slope",
        "error_constant",
        "candidates",
        "kept",
        "outcomes",
        "first_row",
    }
)
_T = TypeVar("_T")
_SEAL_KEY = b"modelpick.sha256"
# Protobuf: field 14 (metadata_props) of ModelProto, a message of key (field 1) and value (field 2).
_SEAL_HEAD = bytes([0x72, len(_SEAL_KEY) + 68, 0x0A, len(_SEAL_KEY)]) + _SEAL_KEY + bytes([0x12, 64])
_SEAL_LENGTH = len(_SEAL_HEAD) + 64


@dataclass(frozen=True, slots=True)
class Metadata:
    """What an artifact says of itself."""

    algorithm: str
    """``knn``, ``kmeans``, ``svm`` or ``mlp``."""
    semantics: str
    """How it picks: ``native``, ``queries`` or ``trainer``, a slash, and the version of these rules."""
    model_names: tuple[str, ...]
    """Language models that can be picked."""
    n_features_in: int
    """Width of a query."""
    rows: int
    """Rows, clusters or support vectors of the JSON model."""
    source_sha256: str
    """SHA-256 of the JSON model, in hex; empty when the estimator did not come from one."""
    choices: tuple[str, ...]
    """Model of each cluster or classifier, in file order; the models themselves for KNN."""
    k: int
    """Neighbours that vote; 0 where the algorithm has none."""
    values_per_query: int
    """Values that the graph holds at once for a query, by which large batches are split."""
    embedding_model: str | None
    """Model whose embeddings it was trained with, if that was recorded."""
    embedding_dim: int | None
    """Width of these embeddings, if that was recorded."""
    distances: tuple[float, ...]
    """Quantiles, evenly spaced, of the distance from one row to the nearest other; empty where there is none."""
    raw: Mapping[str, Any]
    """Every metadata entry, decoded, without the ``modelpick.`` prefix; but not those for restoring."""


def seal(content: bytes) -> bytes:
    """Append the seal to a serialized ONNX model. A parser sees one more metadata entry."""
    return content + _SEAL_HEAD + hashlib.sha256(content).hexdigest().encode()


def read_artifact(source: str | Path | bytes) -> tuple[str, bytes]:
    """Read an artifact's bytes and check its seal.

    Returns
    -------
    (name for messages, bytes)

    Raises
    ------
    ArtifactError
        When the file cannot be read, is cut or altered, or is not an artifact of modelpick.
    """
    if isinstance(source, bytes):
        name, data = "<bytes>", source
    else:
        name = str(source)
        try:
            data = Path(source).read_bytes()
        except (OSError, ValueError) as cause:
            reason = getattr(cause, "strerror", None) or cause
            raise ArtifactError(f"{name}: cannot be read: {reason}") from None
    content, trailer = memoryview(data)[:-_SEAL_LENGTH], data[-_SEAL_LENGTH:]
    if not trailer.startswith(_SEAL_HEAD):
        raise ArtifactError(f"{name}: expected an artifact sealed by modelpick: it is another's, or cut")
    if hashlib.sha256(content).hexdigest().encode() != trailer[len(_SEAL_HEAD) :]:
        raise ArtifactError(f"{name}: expected the bytes that modelpick sealed: it was altered")
    return name, data


def read_contents(name: str, data: bytes) -> tuple[Metadata, dict[str, Tensor]]:
    """Decode the metadata of an artifact, and the small tensors that the runtime uses itself.

    Raises
    ------
    ArtifactError
        When the file is malformed or refers to another, an entry is missing or malformed, or the
        contract is newer than this runtime.
    """
    try:
        properties, tensors = read_onnx(data, TABLES)
        entries = {key.removeprefix(PREFIX): value for key, value in properties.items()}
        raw = {key: json.loads(value) for key, value in entries.items() if key not in _UNDECODED}
    except (MalformedError, ValueError, RecursionError) as cause:
        raise ArtifactError(f"{name}: malformed: {cause}") from None
    contract = _entry(name, raw, "contract", int)
    if contract > CONTRACT:
        raise ArtifactError(f"{name}: expected contract {CONTRACT} or older, got {contract}: upgrade modelpick")
    model_names = tuple(_entry(name, raw, "model_names", list))
    choices = tuple(_entry(name, raw, "choices", list))
    if not model_names or not all(isinstance(model, str) for model in model_names):
        raise ArtifactError(f"{name}: {PREFIX}model_names: expected names")
    if len(set(model_names)) != len(model_names):
        raise ArtifactError(f"{name}: {PREFIX}model_names: expected each name once")
    if not choices or not all(choice in model_names for choice in choices):
        raise ArtifactError(f"{name}: {PREFIX}choices: expected names of {PREFIX}model_names")
    metadata = Metadata(
        algorithm=_entry(name, raw, "algorithm", str),
        semantics=_entry(name, raw, "semantics", str),
        model_names=model_names,
        n_features_in=_entry(name, raw, "n_features_in", int),
        rows=_entry(name, raw, "rows", int),
        source_sha256=_entry(name, raw, "source_sha256", str),
        choices=choices,
        k=_entry(name, raw, "k", int),
        values_per_query=_entry(name, raw, "values_per_query", int),
        embedding_model=_entry(name, raw, "embedding_model", str) if "embedding_model" in raw else None,
        embedding_dim=_entry(name, raw, "embedding_dim", int) if "embedding_dim" in raw else None,
        distances=tuple(_numbers(name, raw, "distances")),
        raw=raw,
    )
    return metadata, tensors


def _numbers(name: str, raw: Mapping[str, Any], key: str) -> list[float]:
    values = _entry(name, raw, key, list) if key in raw else []
    if not all(isinstance(value, (int, float)) for value in values):
        raise ArtifactError(f"{name}: {PREFIX}{key}: expected numbers")
    return [float(value) for value in values]


def _entry(name: str, raw: Mapping[str, Any], key: str, kind: type[_T]) -> _T:
    if key not in raw:
        raise ArtifactError(f"{name}: expected the metadata entry {PREFIX}{key}")
    value = raw[key]
    if type(value) is not kind:
        raise ArtifactError(f"{name}: {PREFIX}{key}: expected {kind.__name__}, got {type(value).__name__}")
    if isinstance(value, int) and value < 0:
        raise ArtifactError(f"{name}: {PREFIX}{key}: expected 0 or more, got {value}")
    return value
