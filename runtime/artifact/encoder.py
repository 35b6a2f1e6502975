"""The metadata of an encoder, read and checked."""

import base64
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ..errors import ArtifactError
from ..schema import ENCODER_VERSION, PREFIX, EncoderEntry, EncoderTable
from .entries import Entries, read_entries
from .metadata import EncoderIdentity
from .onnx_reader import Model, Tensor

# The largest known tokenizers have a quarter of this size.
MOST_TOKENIZER_BYTES = 2**27
_LONGEST = 2**31 - 1


@dataclass(frozen=True, slots=True)
class StaticTable:
    """A row for each token; the vector of a text is the mean of its tokens' rows."""

    vectors: Tensor = field(repr=False)
    """(n, e), float32, float16 or int8."""
    scales: Tensor | None = field(repr=False)
    """Factors of rows of int8, float32, (n, 1); None for other types."""
    unknown: int | None
    """Token that is left out of the mean; None where all tokens count."""


@dataclass(frozen=True, slots=True)
class EncoderMetadata:
    """The metadata of an encoder."""

    identity: EncoderIdentity
    """Name and digest of the encoder; selectors record both."""
    embedding_dim: int
    """Width of an embedding."""
    longest: int | None
    """Tokens after which a text is cut, including those that the tokenizer adds; None where texts are not cut."""
    pooling: str
    """How the vectors of tokens are pooled: ``mean``, ``cls``, ``last``, or ``own``, by the folder's own graph."""
    normalised: bool
    """Whether embeddings have unit length."""
    weights: str
    """Type of the weights: ``float32``, ``float16`` or ``int8``."""
    special_tokens: bool
    """Whether the tokenizer adds its special tokens."""
    pad_id: int
    """Token that pads shorter texts of a batch."""
    prompt: str
    """Prefix of every text; usually empty."""
    characters: int | None
    """Characters after which a text is cut before it is tokenized; None where it is not cut."""
    is_static: bool
    """Whether the graph does no more than take the mean of tokens' rows, see `static_table`."""
    raw: Mapping[str, Any]
    """Each metadata entry except the tokenizer, decoded, without the prefix ``modelpick.``."""


def read_encoder(name: str, data: bytes) -> tuple[EncoderMetadata, str, Model]:
    """Read an encoder and check all of it.

    Returns
    -------
    (metadata, JSON of the tokenizer, model)

    Raises
    ------
    ArtifactError
        When the file is malformed, is not an encoder, or its version is newer than this runtime.
    """
    entries = read_entries(name, data)
    return *encoder_of(entries), entries.model


def encoder_of(entries: Entries) -> tuple[EncoderMetadata, str]:
    """Check the entries of an encoder; returns its metadata and the JSON of its tokenizer.

    Raises the errors of `read_encoder`.
    """
    if not entries.is_encoder:
        raise ArtifactError(f"{entries.name}: expected an encoder, as `modelpick encoder` writes it")
    entries.version(EncoderEntry.VERSION, ENCODER_VERSION, "encoder version")
    metadata = EncoderMetadata(
        identity=EncoderIdentity(entries.required(EncoderEntry.NAME, str), entries.required(EncoderEntry.DIGEST, str)),
        embedding_dim=entries.required(EncoderEntry.EMBEDDING_DIM, int),
        longest=_bound(entries, EncoderEntry.LONGEST),
        pooling=entries.required(EncoderEntry.POOLING, str),
        normalised=entries.required(EncoderEntry.NORMALISED, bool),
        weights=entries.required(EncoderEntry.WEIGHTS, str),
        special_tokens=entries.required(EncoderEntry.SPECIAL_TOKENS, bool),
        pad_id=entries.required(EncoderEntry.PAD_ID, int),
        prompt=entries.optional(EncoderEntry.PROMPT, str) or "",
        characters=_bound(entries, EncoderEntry.CHARACTERS) if EncoderEntry.CHARACTERS in entries.raw else None,
        is_static=EncoderEntry.STATIC in entries.raw,
        raw=entries.raw,
    )
    try:
        tokenizer = _unpacked(base64.b64decode(entries.texts[EncoderEntry.TOKENIZER], validate=True)).decode()
    except (KeyError, ValueError, zlib.error) as cause:
        raise entries.refusal(EncoderEntry.TOKENIZER, f"malformed: {cause}") from None
    return metadata, tokenizer


def static_table(name: str, metadata: EncoderMetadata, model: Model) -> StaticTable:
    """Copy the rows of a static encoder, so that the file need not be held; see `EncoderMetadata.is_static`.

    Raises
    ------
    ArtifactError
        When the rows are missing or malformed.
    """
    recorded, tensors = metadata.raw[EncoderEntry.STATIC], model.tensors
    unknown = recorded.get("unknown") if isinstance(recorded, dict) else ""
    vectors, scales = tensors.get(EncoderTable.VECTORS), tensors.get(EncoderTable.SCALES)
    if not (
        (unknown is None or type(unknown) is int)
        and vectors is not None
        and vectors.ndim == 2
        and vectors.dtype in (np.float32, np.float16, np.int8)
        and (vectors.dtype == np.int8) == (scales is not None)
        and (scales is None or (scales.dtype == np.float32 and scales.shape == (len(vectors), 1)))
        and np.isfinite(vectors if scales is None else scales).all()
    ):
        raise ArtifactError(f"{name}: {PREFIX}{EncoderEntry.STATIC}: expected finite vectors, with scales if of int8")
    # Rows within a file may be unaligned, and numpy would copy all of them for each look-up.
    return StaticTable(vectors.copy(), None if scales is None else scales.copy(), unknown)


def _bound(entries: Entries, key: str) -> int | None:
    """Return the maximum length of a text that is read, or None where there is no maximum."""
    if key in entries.raw and entries.raw[key] is None:
        return None
    value = entries.required(key, int)
    if not 1 <= value <= _LONGEST:
        raise entries.refusal(key, f"expected 1 to {_LONGEST:,}, or null, got {value}")
    return value


def _unpacked(packed: bytes) -> bytes:
    unpacking = zlib.decompressobj()
    found = unpacking.decompress(packed, MOST_TOKENIZER_BYTES)
    if unpacking.unconsumed_tail or not unpacking.eof:
        raise ValueError(f"expected {MOST_TOKENIZER_BYTES:,} bytes at most, all of them there")
    return found
