"""Embeddings of records' queries by an encoder, kept in a file next to the data for the next time."""

import io
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np

from modelpick.runtime import DocumentError, ModelpickError
from modelpick.runtime.text import Encoder

from ..files.io import STDIN, write_atomically
from ..formats.decoding import DocumentWarning
from ..formats.outcomes import Benchmark, Matrix
from .embeddings import ARRAYS, embedding_key, read_embeddings

# Texts that are embedded between two reports of progress.
STEP = 1_024
DIGITS = 12


def encode(
    benchmark: Benchmark,
    encoder: Encoder,
    data: Path | None,
    done: Callable[[int, int], None] = lambda done, total: None,
) -> Benchmark:
    """Embed each query of records once; returns the records with embeddings and the encoder's name and digest.

    Earlier embeddings by this encoder are read from DATA.DIGEST.npz, in the layout of `read_embeddings`. New embeddings
    are added to the file, or a `DocumentWarning` says why they cannot be. For standard input and pipes, no embeddings
    are kept.

    Parameters
    ----------
    data
        File of the records; None where they were not read from one.
    done
        Called after each step with the number of embedded texts and of all texts.
    """
    kept = _kept(data, encoder)
    embeddings = _read(kept, benchmark, encoder.embedding_dim)
    lacking = np.flatnonzero(np.isnan(embeddings).any(axis=1))
    for first in range(0, len(lacking), STEP):
        rows = lacking[first : first + STEP]
        embeddings[rows] = encoder.embed([benchmark.queries[row] for row in rows])
        done(first + len(rows), len(lacking))
    if len(lacking) and kept is not None:
        _write(kept, benchmark, embeddings)
    return benchmark._replace(embeddings=embeddings, encoder=encoder.identity)


def _kept(data: Path | None, encoder: Encoder) -> Path | None:
    """Return the file for embeddings; None where the records come from standard input, a pipe, or no file."""
    if data is None or str(data) == STDIN or not (data.is_file() or data.is_dir()):
        return None
    whole = data.absolute()  # "." has no name
    return whole.with_name(f"{whole.name}.{encoder.digest[:DIGITS]}{ARRAYS}")


def _read(kept: Path | None, benchmark: Benchmark, width: int) -> Matrix:
    """Read the kept embeddings, rows of NaN where there are none; a broken file counts as empty."""
    unknown = np.full((len(benchmark.queries), width), np.nan)
    if kept is None or not kept.exists():
        return unknown
    try:
        found = read_embeddings(kept, benchmark.queries)
    except DocumentError:
        return unknown
    return found if found.shape == unknown.shape else unknown


def _write(kept: Path, benchmark: Benchmark, embeddings: Matrix) -> None:
    file = io.BytesIO()
    keys = np.array([embedding_key(query) for query in benchmark.queries])
    np.savez(file, key=keys, embedding=embeddings.astype(np.float32))
    try:
        write_atomically(kept, file.getvalue())
    except ModelpickError as error:  # the folder may be read-only: the embeddings are there all the same
        warnings.warn(f"embeddings are not kept: {error}", DocumentWarning, stacklevel=2)
