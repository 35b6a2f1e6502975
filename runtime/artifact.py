"""The artifact's seal and metadata, read and checked.

An artifact is an ONNX file whose last entry of ``metadata_props`` is a seal: the SHA-256 of every byte before
it. Its metadata are JSON values under keys that start with ``modelpick.``.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .errors import ArtifactError

CONTRACT = 1
PREFIX = "modelpick."
_SEAL_KEY = b"modelpick.sha256"
# Protobuf: field 14 (metadata_props) of ModelProto, a message of key (field 1) and value (field 2).
_SEAL_HEAD = bytes([0x72, len(_SEAL_KEY) + 68, 0x0A, len(_SEAL_KEY)]) + _SEAL_KEY + bytes([0x12, 64])
_SEAL_LENGTH = len(_SEAL_HEAD) + 64


@dataclass(frozen=True, slots=True)
class Metadata:
    """What an artifact says of itself."""

    algorithm: str
    """``knn``, ``kmeans`` or ``svm``."""
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
    raw: Mapping[str, Any]
    """Every metadata entry, decoded, without the ``modelpick.`` prefix."""


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


def parse_metadata(name: str, properties: Mapping[str, str]) -> Metadata:
    """Decode the metadata of an artifact.

    Raises
    ------
    ArtifactError
        When an entry is missing or malformed, or the contract is newer than this runtime.
    """
    entries = {key.removeprefix(PREFIX): value for key, value in properties.items() if key.startswith(PREFIX)}
    entries.pop("sha256", None)
    try:
        raw: dict[str, Any] = {key: json.loads(value) for key, value in entries.items()}
        if raw["contract"] > CONTRACT:
            raise ArtifactError(
                f"{name}: expected contract {CONTRACT} or older, got {raw['contract']}: upgrade modelpick"
            )
        names = tuple(raw["model_names"])
        return Metadata(
            algorithm=raw["algorithm"],
            model_names=names,
            n_features_in=int(raw["n_features_in"]),
            rows=int(raw["rows"]),
            source_sha256=raw["source_sha256"],
            choices=tuple(raw.get("cluster_models") or raw.get("classifier_models") or names),
            k=int(raw.get("k", 0)),
            raw=raw,
        )
    except KeyError as missing:
        raise ArtifactError(f"{name}: expected the metadata entry {PREFIX}{missing.args[0]}") from None
    except (TypeError, json.JSONDecodeError) as cause:
        raise ArtifactError(f"{name}: malformed metadata: {cause}") from None
