"""The JSON model that an estimator was loaded from."""

from typing import Any

from msgspec import Struct

# Of the original's files; absent or null is the first.
JSON_FORMATS = (1, 2)
# Stands for each feature vector that `Source.fields` leaves out; no string of a document holds it.
VECTOR = "\0"
# Field of any JSON model that names the encoder whose embeddings it was trained with; ours alone have it.
ENCODER = "encoder"


class EncoderRecord(Struct, frozen=True):
    """The encoder that a model was trained with."""

    name: str
    digest: str
    """See `modelpick.runtime.schema.EncoderEntry.DIGEST`."""


class Source(Struct, frozen=True, eq=False):
    """The JSON that an estimator was loaded from, and the semantics by which it picks."""

    name: str
    """Path of the JSON, or ``<bytes>``, for messages."""
    sha256: str
    """SHA-256 of the JSON, in hex."""
    semantics: str
    """Those by which the estimator picks, with their version: ``native/1``."""
    fields: dict[str, Any]
    """Every field that a selector reads, as in the JSON, with `VECTOR` for each feature vector."""
