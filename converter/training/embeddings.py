"""Embeddings of queries that lie in a file of their own, beside records that hold text alone.

The file is ``.npz`` with two arrays: ``key``, shape (n,), strings, the first 16 hex digits of the SHA-1 of each query's
UTF-8; and ``embedding``, shape (n, e), of any real type.
"""

import hashlib
import zipfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from modelpick.runtime import DocumentError

KEY_DIGITS = 16


def embedding_key(query: str) -> str:
    """Return the key of a query: the first 16 hex digits of the SHA-1 of its UTF-8."""
    return hashlib.sha1(query.encode("utf-8", "surrogatepass"), usedforsecurity=False).hexdigest()[:KEY_DIGITS]


def read_embeddings(path: Path, queries: Sequence[str]) -> npt.NDArray[np.float64]:
    """Look up the embeddings of queries, float64, shape (n_queries, e); rows of NaN where the file has none.

    Raises
    ------
    DocumentError
        When the file cannot be read, is laid out otherwise, or holds NaN or infinity.
    """
    try:
        with np.load(path, allow_pickle=False) as arrays:
            keys, embeddings = arrays["key"], arrays["embedding"]
    except OSError as cause:
        raise DocumentError(f"{path}: cannot be read: {cause.strerror or cause}") from None
    except (AttributeError, EOFError, KeyError, TypeError, ValueError, zipfile.BadZipFile):
        raise DocumentError(f"{path}: expected .npz with key, shape (n,), and embedding, shape (n, e)") from None
    if embeddings.ndim != 2 or keys.shape != embeddings.shape[:1] or embeddings.dtype.kind not in "fiu":
        raise DocumentError(
            f"{path}: expected key, shape (n,), and embedding, shape (n, e), of numbers, "
            f"got shapes {keys.shape} and {embeddings.shape} of {embeddings.dtype}"
        )
    if not np.isfinite(embeddings).all():
        raise DocumentError(f"{path}: embedding: expected finite numbers")
    rows = {str(key): row for row, key in enumerate(keys)}
    found = np.full((len(queries), embeddings.shape[1]), np.nan)
    for place, query in enumerate(queries):
        row = rows.get(embedding_key(query))
        if row is not None:
            found[place] = embeddings[row]
    return found
