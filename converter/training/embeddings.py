"""Embeddings of queries in a file of their own, for records that hold text alone.

The file is ``.npz`` with two arrays: ``embedding``, shape (n, e), of any real type; and either ``key``, shape (n,),
strings, the first 16 hex digits of the SHA-1 of each query's UTF-8, or ``embedding_id``, shape (n,), the ids in
records. Or it is ``.pt``, as LLMRouter writes it: a dictionary of tensors by ``embedding_id``, or a tensor with an
embedding in each row. Or it is the cache of the original's training code, see
`modelpick.converter.training.trainer_cache`.
"""

import hashlib
import pickle
import zipfile
import zlib
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from modelpick.runtime import DocumentError
from modelpick.runtime.artifact.seal import open_file

from ..files.text import NotTextError
from .trainer_cache import open_array, read_cache

KEY_DIGITS = 16
ARRAYS, TENSORS = ".npz", ".pt"
KEYS = ("key", "embedding_id")


class Embeddings(NamedTuple):
    """Embeddings, and the keys by which they are looked up."""

    rows: dict[str, int]
    """Key or id -> row."""
    matrix: npt.NDArray[Any]
    by_id: bool
    """Whether embeddings are looked up by the records' ids, instead of the keys of queries."""

    def of(self, queries: Iterable[str]) -> npt.NDArray[np.float64]:
        """Look up the embeddings of queries, float64, shape (n_queries, e); rows of NaN where there is none."""
        return self._found(embedding_key(query) for query in queries)

    def of_ids(self, ids: Iterable[int | float | str | None]) -> npt.NDArray[np.float64]:
        """Look up embeddings by their ids; a whole number may be an integer, a float or a string."""
        return self._found(None if one is None else _id(one) for one in ids)

    def _found(self, keys: Iterable[str | None]) -> npt.NDArray[np.float64]:
        rows = np.array([-1 if key is None else self.rows.get(key, -1) for key in keys], dtype=np.int64)
        found = self.matrix[rows].astype(np.float64)
        found[rows < 0] = np.nan
        return found


def embedding_key(query: str) -> str:
    """Return the key of a query: the first 16 hex digits of the SHA-1 of its UTF-8."""
    return hashlib.sha1(query.encode("utf-8", "surrogatepass"), usedforsecurity=False).hexdigest()[:KEY_DIGITS]


def read_embeddings(path: Path, queries: Sequence[str]) -> npt.NDArray[np.float64]:
    """Look up the embeddings of queries in a file, float64, shape (n_queries, e); rows of NaN where it has none.

    Raises
    ------
    DocumentError
        See `load_embeddings`; or when the file has ids instead of keys.
    """
    embeddings = load_embeddings(path)
    if embeddings.by_id:
        raise DocumentError(f"{path}: expected key, the embeddings of queries, got embedding_id")
    return embeddings.of(queries)


def load_embeddings(path: Path) -> Embeddings:
    """Read a file of embeddings.

    Raises
    ------
    DocumentError
        When the file cannot be read, has another layout, or holds NaN or infinity; or when it is ``.pt`` and torch is
        missing.
    """
    keys, matrix, by = _tensors(path) if path.suffix == TENSORS else _arrays(path)
    if matrix.ndim != 2 or keys.shape != matrix.shape[:1] or matrix.dtype.kind not in "fiu" or not len(matrix):
        raise DocumentError(
            f"{path}: expected {by}, shape (n,), and embedding, shape (n, e), of numbers, "
            f"got shapes {keys.shape} and {matrix.shape} of {matrix.dtype}"
        )
    if not np.isfinite(matrix).all():
        raise DocumentError(f"{path}: embedding: expected finite numbers")
    by_id = by != KEYS[0]
    names = [_id(key) if by_id else str(key) for key in keys.tolist()]
    return Embeddings({name: row for row, name in enumerate(names)}, matrix, by_id)


def _id(value: Any) -> str:
    """Return an id as text; pandas writes whole numbers as 12.0 where some are missing."""
    text = str(value)
    whole = text.removesuffix(".0")
    return whole if whole.isdigit() else text


def _arrays(path: Path) -> tuple[npt.NDArray[Any], npt.NDArray[Any], str]:
    """Read ``.npz``: keys, embeddings, and the name of the keys."""
    try:
        cached = read_cache(path)
        if cached is not None:
            return np.array([embedding_key(query) for query in cached]), np.stack([*cached.values()]), KEYS[0]
        with open_file(path) as file, zipfile.ZipFile(file) as archive:
            by = next(name for name in KEYS if f"{name}.npy" in archive.namelist())
            return _array(archive, by), _array(archive, "embedding"), by
    except NotTextError as cause:
        raise DocumentError(f"{path}: {cause}") from None
    except OSError as cause:
        raise DocumentError(f"{path}: cannot be read: {cause.strerror or cause}") from None
    except (
        EOFError,
        KeyError,
        NotImplementedError,
        RuntimeError,
        StopIteration,
        TypeError,
        ValueError,
        zipfile.BadZipFile,
        zlib.error,
    ):
        raise DocumentError(
            f"{path}: expected .npz with key or embedding_id, shape (n,), and embedding, shape (n, e)"
        ) from None


def _array(archive: zipfile.ZipFile, name: str) -> npt.NDArray[Any]:
    """Read an array of ``.npz``. No memory is allocated before its bytes are read, since the declared shape may lie.

    Raises
    ------
    ValueError
        When its shape does not match its bytes, or it holds Python objects.
    """
    file, (shape, is_fortran, dtype) = open_array(archive, name)
    if dtype.hasobject or min(shape, default=0) < 0:
        raise ValueError("expected numbers")
    values = np.frombuffer(file.getbuffer()[file.tell() :], dtype)
    return values.reshape(shape, order="F" if is_fortran else "C")


def _tensors(path: Path) -> tuple[npt.NDArray[Any], npt.NDArray[Any], str]:
    """Read ``.pt``: tensors and nothing else, so that no code of the file runs."""
    try:
        import torch
    except ModuleNotFoundError:
        raise DocumentError(f"{path}: needs torch; or write it as .npz with embedding_id and embedding") from None
    try:
        value = torch.load(path, map_location="cpu", weights_only=True)
        if isinstance(value, dict):
            rows = [tensor.to(torch.float32).reshape(-1).numpy() for tensor in value.values()]
            return np.array(list(value)), np.stack(rows), KEYS[1]
        return np.arange(len(value)), value.to(torch.float32).numpy(), KEYS[1]
    except OSError as cause:
        raise DocumentError(f"{path}: cannot be read: {cause.strerror or cause}") from None
    except (AttributeError, RuntimeError, TypeError, ValueError, EOFError, pickle.UnpicklingError):
        raise DocumentError(f"{path}: expected a dictionary of tensors of one length, or a tensor of rows") from None
