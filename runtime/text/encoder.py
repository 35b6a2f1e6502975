"""Encoder: texts -> embeddings, by an ONNX graph and the tokenizer that stands in its metadata."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import onnxruntime

from ..artifact.encoder import EncoderMetadata, read_encoder
from ..artifact.metadata import EncoderIdentity
from ..artifact.seal import SEAL_LENGTH, read_sealed
from ..artifact.tokenizer import UnsafeTokenizerError, check_tokenizer
from ..errors import ArtifactError, FeatureError
from ..schema import INT8, EncoderPort
from ..session import Providers, cannot_run, open_session
from .tokenizing import Tokenizer, Tokens

# Texts that are tokenized before the first of them is run, and tokens of a run, fillers included: more of them are not
# faster on a processor, and take memory.
WINDOW, RUN_TOKENS = 4_096, 512
Embeddings = npt.NDArray[np.float32]
_OUTPUTS = [EncoderPort.EMBEDDING]


class Encoder:
    """Embeds texts by running an encoder's file in onnxruntime.

    An encoder is immutable: any number of threads may call it at once, forked processes may go on with it, and it can
    be pickled, with all of its file. Make one with `Encoder.load`.
    """

    def __init__(
        self,
        file: str,
        session: onnxruntime.InferenceSession,
        metadata: EncoderMetadata,
        tokenizer: Tokenizer,
        source: str | Path | bytes,
        seal: bytes,
    ) -> None:
        self._session: onnxruntime.InferenceSession | None = session
        self._file, self._metadata, self._tokenizer, self._source, self._seal = file, metadata, tokenizer, source, seal

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
        metadata, tokenizer_json, model = read_encoder(name, data)
        try:
            facts = check_tokenizer(tokenizer_json)
        except UnsafeTokenizerError as cause:
            raise ArtifactError(f"{name}: its tokenizer cannot be used: {cause}") from None
        tokenizer = Tokenizer(name, tokenizer_json, facts, metadata)
        session = open_session(name, model, providers, sess_options)
        session._model_bytes = None  # it would hold the file beside what it made of it
        encoder = cls(name, session, metadata, tokenizer, path, data[-SEAL_LENGTH:])
        # The greatest token, and the one that fills: a graph that knows these knows all.
        shape = encoder._run([[facts.greatest_id] * 2, [facts.greatest_id]]).shape
        if shape != (2, metadata.embedding_dim):
            raise ArtifactError(f"{name}: expected embeddings of {metadata.embedding_dim} columns, got shape {shape}")
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
            window = enumerate(texts[first : first + WINDOW], first)
            tokens = [self._tokenizer.read(text, place)[0] for place, text in window]
            for rows in self._runs([len(ids) for ids in tokens]):
                embeddings[[first + row for row in rows]] = self._run([tokens[row] for row in rows])
        return embeddings

    def read(self, text: str) -> tuple[Embeddings, Tokens]:
        """Embed one text, float32, shape (embedding_dim,), and count its tokens; raises what `embed` does."""
        ids, cut = self._tokenizer.read(text)
        return self._run([ids])[0], Tokens(len(ids), cut)

    def tokens(self, text: str) -> Tokens:
        """Count the tokens that are read of a text; raises what `embed` does."""
        ids, cut = self._tokenizer.read(text)
        return Tokens(len(ids), cut)

    def close(self) -> None:
        """Let go of the session; calls in flight finish, later ones raise `ArtifactError`."""
        self._session = None

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle the bytes; they are read again, so that no copy is held, and must be those that were loaded."""
        name, data = read_sealed(self._source)
        if data[-SEAL_LENGTH:] != self._seal:
            raise ArtifactError(f"{name}: expected the file that was loaded, of {self.identity}: it was replaced")
        return Encoder.load, (data,)

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
        try:
            found: list[Embeddings] = session.run(_OUTPUTS, {EncoderPort.IDS: ids, EncoderPort.MASK: mask})
        except Exception as cause:  # onnxruntime's errors have no common base
            raise cannot_run(self._file, cause) from None
        return found[0]
