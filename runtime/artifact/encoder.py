"""The metadata of an encoder, read and checked."""

import base64
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ..errors import ArtifactError
from ..schema import ENCODER_VERSION, EncoderEntry
from .metadata import EncoderIdentity, read_entries


@dataclass(frozen=True, slots=True)
class EncoderMetadata:
    """What an encoder says of itself."""

    identity: EncoderIdentity
    """Its name, and the digest that selectors record."""
    embedding_dim: int
    """Width of an embedding."""
    longest: int
    """Tokens after which a text is cut, those that the tokenizer adds included."""
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
    raw: Mapping[str, Any]
    """Every metadata entry, decoded, without the ``modelpick.`` prefix; but not the tokenizer."""


def is_encoder(name: str, data: bytes) -> bool:
    """Whether an artifact is an encoder; raises `ArtifactError` where it is malformed."""
    return EncoderEntry.VERSION in read_entries(name, data)[0].raw


def read_encoder(name: str, data: bytes) -> tuple[EncoderMetadata, str]:
    """Decode the metadata of an encoder.

    Returns
    -------
    (metadata, JSON of the tokenizer)

    Raises
    ------
    ArtifactError
        When the file is malformed, is not an encoder, or its version is newer than this runtime.
    """
    entries, texts, _ = read_entries(name, data)
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
        longest=entries.required(EncoderEntry.LONGEST, int),
        pooling=entries.required(EncoderEntry.POOLING, str),
        normalised=entries.required(EncoderEntry.NORMALISED, bool),
        weights=entries.required(EncoderEntry.WEIGHTS, str),
        special_tokens=entries.required(EncoderEntry.SPECIAL_TOKENS, bool),
        pad_id=entries.required(EncoderEntry.PAD_ID, int),
        raw=entries.raw,
    )
    try:
        tokenizer = zlib.decompress(base64.b64decode(texts[EncoderEntry.TOKENIZER], validate=True)).decode()
    except (KeyError, ValueError, zlib.error) as cause:
        raise entries.refusal(EncoderEntry.TOKENIZER, f"malformed: {cause}") from None
    return metadata, tokenizer
