"""Embeddings of records' queries, by an encoder, kept beside the data for the next time."""

import io
from collections.abc import Callable
from pathlib import Path

import numpy as np

from modelpick.runtime import DocumentError, ModelpickError
from modelpick.runtime.text import Encoder

from ..files.io import STDIN, write_atomically
from ..formats.outcomes import Benchmark, Matrix
from .embeddings import ARRAYS, embedding_key, read_embeddings

# Texts that are embedded before progress is shown.
STEP = 256
DIGITS = 12


def encode(
    benchmark: Benchmark,
    encoder: Encoder,
    data: Path,
    done: Callable[[int, int], None] = lambda done, total: None,
    warn: Callable[[str], None] = lambda text: None,
) -> Benchmark:
    """Embed the queries of records, each once: the records, with embeddings and the encoder's name and digest.

    What was embedded by this encoder before is read from DATA.DIGEST.npz, laid out as `read_embeddings` reads it, and
    what is new is added there; beside standard input and pipes, nothing is kept.

    Parameters
    ----------
    data
        File of the records.
    done
        Called after each step with how many texts are embedded, and of how many.
    warn
        Called with the reason where embeddings cannot be kept.
    """
    whole = data.absolute()  # "." has no name
    kept = whole.with_name(f"{whole.name}.{encoder.digest[:DIGITS]}{ARRAYS}")
    embeddings = _read(kept, benchmark, encoder.embedding_dim)
    lacking = np.flatnonzero(np.isnan(embeddings).any(axis=1))
    for first in range(0, len(lacking), STEP):
        rows = lacking[first : first + STEP]
        embeddings[rows] = encoder.embed([benchmark.queries[row] for row in rows])
        done(first + len(rows), len(lacking))
    if len(lacking) and _has_a_place(data):
        _write(kept, benchmark, embeddings, warn)
    return benchmark._replace(embeddings=embeddings, encoder=encoder.identity)


def _has_a_place(data: Path) -> bool:
    """Whether there is a place beside the data, of which standard input and pipes have none."""
    return str(data) != STDIN and (data.is_file() or data.is_dir())


def _read(kept: Path, benchmark: Benchmark, width: int) -> Matrix:
    """Read what is kept, rows of NaN where nothing is; a broken file counts as none."""
    unknown = np.full((len(benchmark.queries), width), np.nan)
    if not kept.exists():
        return unknown
    try:
        found = read_embeddings(kept, benchmark.queries)
    except DocumentError:
        return unknown
    return found if found.shape == unknown.shape else unknown


def _write(kept: Path, benchmark: Benchmark, embeddings: Matrix, warn: Callable[[str], None]) -> None:
    file = io.BytesIO()
    keys = np.array([embedding_key(query) for query in benchmark.queries])
    np.savez(file, key=keys, embedding=embeddings.astype(np.float32))
    try:
        write_atomically(kept, file.getvalue())
    except ModelpickError as error:  # the folder may be read-only: the embeddings are there all the same
        warn(f"embeddings are not kept: {error}")
