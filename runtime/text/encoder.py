"""Encoder: texts -> embeddings, by an ONNX graph and the tokenizer that stands in its metadata."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import onnxruntime

from ..artifact.encoder import EncoderMetadata, read_encoder
from ..artifact.metadata import EncoderIdentity
from ..artifact.seal import read_sealed
from ..errors import ArtifactError, FeatureError, ModelpickError
from ..schema import INT8, EncoderPort
from ..session import Providers, cannot_run, open_session

# Texts that are tokenized before the first of them is run, and tokens of a run, fillers included: more of them are not
# faster on a processor, and take memory.
WINDOW, RUN_TOKENS = 4_096, 512
Embeddings = npt.NDArray[np.float32]
_OUTPUTS = [EncoderPort.EMBEDDING]


@dataclass(frozen=True, slots=True)
class Tokens:
    """What an encoder reads of a text."""

    count: int
    """Tokens that it reads, those that the tokenizer adds included."""
    cut: bool
    """Whether the text has more."""


class Encoder:
    """Embeds texts by running an encoder's file in onnxruntime.

    An encoder is immutable: any number of threads may call it at once, forked processes may go on with it, and it can
    be pickled, with all of its file. Make one with `Encoder.load`.
    """

    def __init__(
        self,
        session: onnxruntime.InferenceSession,
        metadata: EncoderMetadata,
        tokenizer: Any,
        source: str | Path | bytes,
    ) -> None:
        self._session: onnxruntime.InferenceSession | None = session
        self._metadata, self._tokenizer, self._source = metadata, tokenizer, source

    @classmethod
    def load(
        cls,
        path: str | Path | bytes,
        *,
        providers: Providers | None = None,
        sess_options: onnxruntime.SessionOptions | None = None,
    ) -> Self:
        """Load an encoder.

        Parameters
        ----------
        path
            Path of a file that ``modelpick encoder`` wrote, or its bytes.
        providers
            Execution providers, as onnxruntime takes them; the CPU by default. Others never stand in for them.
        sess_options
            Session options; by default one thread and sequential execution.

        Raises
        ------
        ArtifactError
            When the file cannot be read, is cut, altered, not an encoder, or of a newer version.
        ModelpickError
            When the tokenizers library is not installed.
        """
        name, data = read_sealed(path)
        metadata, tokenizer_json = read_encoder(name, data)
        tokenizer = _tokenizer(name, tokenizer_json, metadata.longest)
        session = open_session(name, data, providers, sess_options)
        session._model_bytes = None  # it would hold the file beside what it made of it
        encoder = cls(session, metadata, tokenizer, path)
        try:
            encoder.embed([""])
        except Exception as cause:  # a file that does not hold what its metadata say fails in any way
            raise cannot_run(name, cause) from None
        return encoder

    @property
    def name(self) -> str:
        """Name of the encoder, for messages."""
        return self._metadata.identity.name

    @property
    def digest(self) -> str:
        """SHA-256, in hex, of all that its embeddings depend on; selectors record it."""
        return self._metadata.identity.digest

    @property
    def identity(self) -> EncoderIdentity:
        """Name and digest."""
        return self._metadata.identity

    @property
    def embedding_dim(self) -> int:
        """Width of an embedding."""
        return self._metadata.embedding_dim

    @property
    def metadata(self) -> EncoderMetadata:
        """What the file says of itself."""
        return self._metadata

    def embed(self, texts: Sequence[str]) -> Embeddings:
        """Embed texts, float32, shape (n, embedding_dim).

        Texts of like lengths share a run, and what shares a run changes an embedding by less than 1e-5; with 8-bit
        weights each has a run of its own. A text is cut after the longest input; lone surrogates are read as U+FFFD.

        Raises
        ------
        FeatureError
            When something is not a text.
        ArtifactError
            When the encoder is closed.
        """
        if isinstance(texts, str):
            raise FeatureError("expected a sequence of texts, got one text")
        embeddings = np.empty((len(texts), self.embedding_dim), np.float32)
        for first in range(0, len(texts), WINDOW):
            tokens = [self._ids(text, first + place) for place, text in enumerate(texts[first : first + WINDOW])]
            for rows in self._runs([len(ids) for ids in tokens]):
                embeddings[[first + row for row in rows]] = self._run([tokens[row] for row in rows])
        return embeddings

    def tokens(self, text: str) -> Tokens:
        """Count the tokens that are read of a text; raises what `embed` does."""
        encoding = self._encoding(text, 0)
        return Tokens(len(encoding.ids), bool(encoding.overflowing))

    def close(self) -> None:
        """Let go of the session; calls in flight finish, later ones raise `ArtifactError`."""
        self._session = None

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle the bytes; they are read again, so that no copy of them is held."""
        _, data = read_sealed(self._source)
        return _reloaded, (data, self.identity)

    def _encoding(self, text: str, place: int) -> Any:
        if not isinstance(text, str):
            raise FeatureError(f"[{place}]: expected a text, got {type(text).__name__}")
        try:
            return self._tokenizer.encode(text, add_special_tokens=self._metadata.special_tokens)
        except TypeError:  # lone surrogates are no characters, but JSON can hold them
            whole = text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
            return self._tokenizer.encode(whole, add_special_tokens=self._metadata.special_tokens)

    def _ids(self, text: str, place: int) -> list[int]:
        ids: list[int] = self._encoding(text, place).ids
        return ids

    def _runs(self, lengths: list[int]) -> Iterator[list[int]]:
        """Yield the rows of each run: the shortest first, as many as fill it at the length of its longest."""
        if self._metadata.weights == INT8:
            yield from ([row] for row in range(len(lengths)))
            return
        rows: list[int] = []
        for row in sorted(range(len(lengths)), key=lengths.__getitem__):
            if rows and lengths[row] * (len(rows) + 1) > RUN_TOKENS:
                yield rows
                rows = []
            rows.append(row)
        if rows:
            yield rows

    def _run(self, tokens: list[list[int]]) -> Embeddings:
        """Embed tokens, each text's filled to the longest, at least one."""
        session = self._session
        if session is None:
            raise ArtifactError("the encoder is closed")
        shape = len(tokens), max(1, *map(len, tokens))
        ids = np.full(shape, self._metadata.pad_id, np.int64)
        mask = np.zeros(shape, np.int64)
        for row, one in enumerate(tokens):
            ids[row, : len(one)] = one
            mask[row, : len(one)] = 1
        found: list[Embeddings] = session.run(_OUTPUTS, {EncoderPort.IDS: ids, EncoderPort.MASK: mask})
        return found[0]


def _tokenizer(name: str, text: str, longest: int) -> Any:
    """Make the tokenizer; what its JSON says of cutting and filling does not count."""
    try:
        from tokenizers import Tokenizer
    except ModuleNotFoundError:
        raise ModelpickError("encoders need tokenizers: pip install 'modelpick[text]'") from None
    try:
        tokenizer = Tokenizer.from_str(text)
        tokenizer.no_padding()
        tokenizer.enable_truncation(longest)
    except Exception as cause:  # its errors have no common base
        raise ArtifactError(f"{name}: its tokenizer cannot be used: {str(cause).splitlines()[0]}") from None
    return tokenizer


def _reloaded(data: bytes, identity: EncoderIdentity) -> Encoder:
    encoder = Encoder.load(data)
    if encoder.identity != identity:
        raise ArtifactError(f"expected the encoder {identity}, got {encoder.identity}: its file was replaced")
    return encoder
