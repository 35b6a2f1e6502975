"""The metadata of an encoder, read and checked."""

import base64
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ..errors import ArtifactError
from ..schema import ENCODER_VERSION, PREFIX, EncoderEntry, EncoderTable
from .metadata import EncoderIdentity, read_entries
from .onnx_reader import Model, Tensor

# The largest tokenizers known have a quarter of that.
MOST_TOKENIZER_BYTES = 2**27
_LONGEST = 2**31 - 1


@dataclass(frozen=True, slots=True)
class StaticTable:
    """A row for each token; the mean of a text's is its vector."""

    vectors: Tensor = field(repr=False)
    """(n, e), float32, float16 or int8."""
    scales: Tensor | None = field(repr=False)
    """What rows of int8 are multiplied by, float32, (n, 1); None for others."""
    unknown: int | None
    """Token that is left out; None where all count."""


@dataclass(frozen=True, slots=True)
class EncoderMetadata:
    """What an encoder says of itself."""

    identity: EncoderIdentity
    """Its name, and the digest that selectors record."""
    embedding_dim: int
    """Width of an embedding."""
    longest: int | None
    """Tokens after which a text is cut, those that the tokenizer adds included; None where all are read."""
    pooling: str
    """How one vector is made of those of the tokens: ``mean``, ``cls``, ``last``, or ``own``: within its graph."""
    normalised: bool
    """Whether embeddings have unit length."""
    weights: str
    """Type of the weights: ``float32``, ``float16`` or ``int8``."""
    special_tokens: bool
    """Whether the tokenizer adds its special tokens."""
    pad_id: int
    """Token that fills shorter texts of a batch."""
    prompt: str
    """What stands before every text; mostly nothing."""
    characters: int | None
    """Characters after which a text is cut before it is tokenized; None where it is not."""
    is_static: bool
    """Whether the mean of rows of tokens is all that the graph does, see `static_table`."""
    raw: Mapping[str, Any]
    """Every metadata entry, decoded, without the ``modelpick.`` prefix; but not the tokenizer."""


def is_encoder(name: str, data: bytes) -> bool:
    """Whether an artifact is an encoder; raises `ArtifactError` where it is malformed."""
    return EncoderEntry.VERSION in read_entries(name, data)[0].raw


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
    entries, texts, model = read_entries(name, data)
    if EncoderEntry.VERSION not in entries.raw:
        raise ArtifactError(f"{name}: expected an encoder, as `modelpick encoder` writes it")
    version = entries.required(EncoderEntry.VERSION, int)
    if version > ENCODER_VERSION:
        raise ArtifactError(
            f"{name}: expected encoder version {ENCODER_VERSION} or older, got {version}: upgrade modelpick"
        )
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
        tokenizer = _unpacked(base64.b64decode(texts[EncoderEntry.TOKENIZER], validate=True)).decode()
    except (KeyError, ValueError, zlib.error) as cause:
        raise entries.refusal(EncoderEntry.TOKENIZER, f"malformed: {cause}") from None
    return metadata, tokenizer, model


def static_table(name: str, metadata: EncoderMetadata, model: Model) -> StaticTable:
    """Return the rows of an encoder that `EncoderMetadata.is_static`, copied, so that the file need not be held.

    Raises
    ------
    ArtifactError
        When the file does not hold them as it should.
    """
    told, tensors = metadata.raw[EncoderEntry.STATIC], model.tensors
    unknown = told.get("unknown") if isinstance(told, dict) else ""
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
    # Those of a file lie anywhere, and numpy would copy all of them for each look-up.
    return StaticTable(vectors.copy(), None if scales is None else scales.copy(), unknown)


def _bound(entries: Any, key: str) -> int | None:
    """Return how much of a text is read at most, None where all of it is."""
    if key in entries.raw and entries.raw[key] is None:
        return None
    value: int = entries.required(key, int)
    if not 1 <= value <= _LONGEST:
        raise entries.refusal(key, f"expected 1 to {_LONGEST:,}, or null, got {value}")
    return value


def _unpacked(packed: bytes) -> bytes:
    unpacking = zlib.decompressobj()
    found = unpacking.decompress(packed, MOST_TOKENIZER_BYTES)
    if unpacking.unconsumed_tail or not unpacking.eof:
        raise ValueError(f"expected {MOST_TOKENIZER_BYTES:,} bytes at most, all of them there")
    return found
