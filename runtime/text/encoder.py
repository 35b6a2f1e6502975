"""Encoder: texts -> embeddings, by an ONNX graph and the tokenizer in its metadata."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import onnxruntime

from ..artifact.encoder import EncoderMetadata, read_encoder, static_table
from ..artifact.metadata import EncoderIdentity
from ..artifact.seal import SEAL_LENGTH, read_sealed
from ..artifact.tokenizer import UnsafeTokenizerError, check_tokenizer
from ..errors import ArtifactError, FeatureError
from ..schema import INT8, EncoderPort
from ..session import Providers, cannot_run, open_session, runner
from .static import static_runner
from .tokenizing import Tokenizer, Tokens

# Texts that are tokenized before the first of them is run, and tokens of a run, padding included. Higher numbers take
# memory, and are not faster on a CPU.
WINDOW, RUN_TOKENS = 4_096, 512
Embeddings = npt.NDArray[np.float32]
RunTokens = Callable[[list[list[int]]], Embeddings]
_OUTPUTS = [EncoderPort.EMBEDDING]


class Encoder:
    """Embeds texts by an encoder's file: in onnxruntime, or in numpy where its vectors are static.

    An encoder is immutable: any number of threads may call it at once, and forked processes may go on using it. A
    pickle holds the whole file. Make an encoder with `Encoder.load`.
    """

    def __init__(
        self,
        file: str,
        run: RunTokens,
        metadata: EncoderMetadata,
        tokenizer: Tokenizer,
        source: str | Path | bytes,
        seal: bytes,
    ) -> None:
        self._run_tokens: RunTokens | None = run
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
            Execution providers, as onnxruntime takes them; the CPU by default. No other provider replaces them.
        sess_options
            Session options; by default one thread and sequential execution. Where ``providers`` or ``sess_options`` are
            given, static vectors are looked up in onnxruntime instead of numpy.

        Raises
        ------
        ArtifactError
            When the file cannot be read, is cut or altered, is not an encoder, or is of a newer version.
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
        if metadata.is_static and providers is None and sess_options is None:
            run = static_runner(static_table(name, metadata, model), metadata.normalised)
        else:
            run = session_runner(open_session(name, model, providers, sess_options), metadata.pad_id)
        encoder = cls(name, run, metadata, tokenizer, path, data[-SEAL_LENGTH:])
        # The greatest token and the padding: a graph that has a row for both has one for every token.
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

    @property
    def tokenizer(self) -> Tokenizer:
        """Turns texts into tokens."""
        return self._tokenizer

    def embed(self, texts: Sequence[str]) -> Embeddings:
        """Embed texts, float32, shape (n, embedding_dim).

        Texts of similar lengths share a run. Sharing a run changes an embedding by less than 1e-5; with 8-bit weights
        each text has a run of its own. A text is cut after the longest input. Lone surrogates are read as U+FFFD.

        Raises
        ------
        FeatureError
            When an element is not a text.
        ArtifactError
            When the encoder is closed.
        """
        if isinstance(texts, str):
            raise FeatureError("expected a sequence of texts, got one text")
        embeddings = np.empty((len(texts), self.embedding_dim), np.float32)
        for first in range(0, len(texts), WINDOW):
            window = enumerate(texts[first : first + WINDOW], first)
            tokens = [self._tokenizer.read(text, place)[0] for place, text in window]
            embeddings[first : first + WINDOW] = self.embed_tokens(tokens)
        return embeddings

    def embed_tokens(self, tokens: Sequence[list[int]]) -> Embeddings:
        """Embed tokenized texts, whose tokens include those that the tokenizer adds, as `embed` does."""
        embeddings = np.empty((len(tokens), self.embedding_dim), np.float32)
        for rows in self._runs([len(ids) for ids in tokens]):
            embeddings[rows] = self._run([tokens[row] for row in rows])
        return embeddings

    def embed_one(self, text: str) -> Embeddings:
        """Embed one text, float32, shape (embedding_dim,), faster than `embed`, and with the same errors."""
        embedding: Embeddings = self._run([self._tokenizer.read(text)[0]])[0]
        return embedding

    def read(self, text: str) -> tuple[Embeddings, Tokens]:
        """Embed one text, float32, shape (embedding_dim,), and count its tokens; raises the errors of `embed`."""
        ids, cut = self._tokenizer.read(text)
        return self._run([ids])[0], Tokens(len(ids), cut)

    def tokens(self, text: str) -> Tokens:
        """Count the tokens that the encoder reads of a text; raises the errors of `embed`."""
        ids, cut = self._tokenizer.read(text)
        return Tokens(len(ids), cut)

    def close(self) -> None:
        """Release the session, or the vectors. Calls in flight finish; later calls raise `ArtifactError`."""
        self._run_tokens = None

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle the bytes. They are read from the file again instead of being held, and must be unchanged."""
        name, data = read_sealed(self._source)
        if data[-SEAL_LENGTH:] != self._seal:
            raise ArtifactError(f"{name}: expected the file that was loaded, of {self.identity}: it was replaced")
        return Encoder.load, (data,)

    def _runs(self, lengths: list[int]) -> Iterator[list[int]]:
        """Yield the rows of each run, the shortest texts first. All texts of a run are padded to its longest text."""
        if self._metadata.weights == INT8 or self._metadata.is_static:
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
        """Embed the tokens of some texts in one run."""
        run = self._run_tokens
        if run is None:
            raise ArtifactError("the encoder is closed")
        try:
            return run(tokens)
        except Exception as cause:  # onnxruntime's errors have no common base
            raise cannot_run(self._file, cause) from None


def session_runner(session: onnxruntime.InferenceSession, pad_id: int) -> RunTokens:
    """Return a function that embeds the tokens of one or more texts in a session, padded to the longest text."""
    session._model_bytes = None  # the session would hold the file in addition to what it made of it
    run = runner(session)

    def embed(tokens: list[list[int]]) -> Embeddings:
        if len(tokens) == 1 and tokens[0]:
            ids = np.array(tokens, np.int64)
            mask = np.ones(ids.shape, np.int64)
        else:
            shape = len(tokens), max(1, *map(len, tokens))
            ids = np.full(shape, pad_id, np.int64)
            mask = np.zeros(shape, np.int64)
            for row, one in enumerate(tokens):
                ids[row, : len(one)] = one
                mask[row, : len(one)] = 1
        found: list[Embeddings] = run(_OUTPUTS, {EncoderPort.IDS: ids, EncoderPort.MASK: mask})
        return found[0]

    return embed
