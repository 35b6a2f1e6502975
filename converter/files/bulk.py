"""Selections for a file of queries, chunk by chunk: bounded memory, resumable, bad rows told.

Each chunk's picks are written to a part beside the target, whole or not at all. A run that is interrupted goes on
behind the parts that are there, if neither artifact nor source has changed; the last step joins the parts.
"""

import hashlib
import os
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, suppress
from itertools import islice
from pathlib import Path
from typing import IO, Any, NamedTuple

import msgspec
import numpy as np
import numpy.typing as npt
from msgspec import Struct

from modelpick.runtime import FeatureError, ModelpickError, Selector
from modelpick.runtime.query import Asked

from .io import check_distinct, open_bytes, put_in_place, read_bytes, reason, write_atomically
from .parquet import PARQUET, ParquetWriter, as_matrix, as_objects, read_columns
from .queries import FEATURES, Query, parse_file, parse_query

CHUNK = 8_192
NPY = b"\x93NUMPY"
TEXT = (".jsonl", ".jsonl.gz")
MANIFEST, JOINED = "manifest.json", "joined"
OURS = re.compile(rf"\d{{9,}}\.jsonl|{MANIFEST}|{JOINED}")
# Rows of features as a matrix, or queries one by one.
Rows = npt.NDArray[Any] | Sequence[Query]


class Pick(Struct, omit_defaults=True):
    """The answer to a row, counted from 0: a model, or the error of the row."""

    row: int
    model: str | None
    error: str | None = None


Writer = Callable[[IO[bytes]], AbstractContextManager[Callable[[list[Pick]], None]]]


class Manifest(Struct):
    """What the parts of a run are made of."""

    artifact: str
    """SHA-256."""
    source: list[int | str]
    """Path, size, inode, and times of the last changes of content and of anything, in nanoseconds."""
    column: str
    chunk: int
    asked: str


class Outcome(NamedTuple):
    """What became of a file."""

    rows: int
    bad: int
    resumed: int
    """Rows that an earlier run had answered."""


def select_file(
    artifact: Path,
    source: Path,
    target: Path,
    *,
    column: str = FEATURES,
    chunk: int = CHUNK,
    done: Callable[[int], None] = lambda rows: None,
    asked: Asked | None = None,
) -> Outcome:
    """Pick the model for each row of a file.

    Parameters
    ----------
    artifact
        Path of an artifact.
    source
        ``.npy``, shape (n, d); ``.jsonl``, gzipped or not, as `modelpick.converter.files.queries` reads it; or
        ``.parquet``. Its content says which.
    target
        ``.jsonl`` or ``.parquet``, with ``row`` and ``model``; written when all is done. Bad rows have no model, but
        ``error``.
    column
        Name of the features in objects and columns. Without it, ``embedding`` and ``category`` are taken.
    chunk
        Rows in memory at once.
    done
        Called after each chunk with the number of its rows.
    asked
        What is asked of the selector for all rows.

    Raises
    ------
    ModelpickError
        When a file cannot be read or written, or is of another kind.
    """
    suffix = target.suffix
    if suffix not in _WRITERS:
        raise ModelpickError(f"{target}: expected a name that ends in one of {', '.join(_WRITERS)}")
    check_distinct(target, [artifact, source])
    target = target.resolve()  # of a link, the file that it leads to is written
    read = _reader(source)
    _, data = read_bytes(artifact, ModelpickError)
    status = source.stat()
    times = [status.st_mtime_ns, status.st_ctime_ns]
    identity: list[int | str] = [str(source.resolve()), status.st_size, status.st_ino, *times]
    manifest = Manifest(hashlib.sha256(data).hexdigest(), identity, column, chunk, repr(asked or {}))
    parts = target.with_name(f".{target.name}.modelpick-parts")
    rows = resumed = 0
    with Selector.load(data, **(asked or {})) as selector:
        _prepare(parts, msgspec.json.encode(manifest))
        for number, values in enumerate(read(source, column, chunk)):
            part = parts / f"{number:09}.jsonl"
            if part.exists():
                resumed += len(values)
            else:
                picks = _picks(selector, values, rows)
                write_atomically(part, b"".join(msgspec.json.encode(pick) + b"\n" for pick in picks))
            rows += len(values)
            done(len(values))
    bad = _join(parts, target, _WRITERS[suffix])
    _remove(parts)
    return Outcome(rows, bad, resumed)


def _prepare(parts: Path, manifest: bytes) -> None:
    """Make a folder for the parts, or keep the parts of an earlier run on the same files.

    Raises
    ------
    ModelpickError
        When there is a folder that no run made: it stays as it is.
    """
    try:
        if parts.exists():
            found = parts / MANIFEST
            if found.exists() and found.read_bytes() == manifest:
                return
            if any(parts.iterdir()):
                msgspec.json.decode(found.read_bytes(), type=Manifest)
            _remove(parts)
    except (OSError, msgspec.DecodeError, UnicodeDecodeError):
        raise ModelpickError(f"{parts}: expected the parts of an earlier run, or nothing: move it away") from None
    write_atomically(parts / MANIFEST, manifest)


def _remove(parts: Path) -> None:
    """Remove what runs make, and the folder if nothing else is in it."""
    for path in parts.iterdir():
        if OURS.fullmatch(path.name):
            path.unlink()
    with suppress(OSError):
        parts.rmdir()


def _picks(selector: Selector, values: Rows, first: int) -> list[Pick]:
    """Pick for all rows at once, or where that is refused one by one."""
    if isinstance(values, np.ndarray):
        try:
            return [Pick(first + place, model) for place, model in enumerate(selector.select_batch(values))]
        except FeatureError:
            values = [Query("", row) for row in values]
    return [_pick(selector, query, row) for row, query in enumerate(values, first)]


def _pick(selector: Selector, query: Query, row: int) -> Pick:
    try:
        return Pick(row, query.given_to(selector.select))
    except FeatureError as error:
        return Pick(row, None, str(error))


def _reader(source: Path) -> Callable[[Path, str, int], Iterator[Rows]]:
    """Return how a source is read: by its first bytes, of text by its name.

    Raises
    ------
    ModelpickError
        When it cannot be read, or is of another kind.
    """
    _, file = open_bytes(source, ModelpickError)
    with file:
        head = file.read(len(NPY))
    found = next((read for magic, read in _READERS.items() if head.startswith(magic)), None)
    if found is not None:
        return found
    if not source.name.endswith(TEXT):
        raise ModelpickError(f"{source}: expected .npy, .parquet, or text named {' or '.join(TEXT)}")
    return _read_text


def _read_npy(source: Path, column: str, chunk: int) -> Iterator[Rows]:
    try:
        matrix = np.load(source, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError) as cause:
        raise ModelpickError(f"{source}: cannot be read: {str(cause).splitlines()[0]}") from None
    if matrix.ndim != 2:
        raise ModelpickError(f"{source}: expected an array of shape (n, d), got {matrix.shape}")
    for start in range(0, len(matrix), chunk):
        yield np.array(matrix[start : start + chunk])


def _read_text(source: Path, column: str, chunk: int) -> Iterator[Rows]:
    name, file = open_bytes(source, ModelpickError)
    with file:
        queries = parse_file(name, file, column)
        while rows := list(islice(queries, chunk)):
            yield rows


def _read_parquet(source: Path, column: str, chunk: int) -> Iterator[Rows]:
    for batch in read_columns(source, (column, "embedding", "category"), chunk):
        names = batch.schema.names
        if not {column, "embedding"} & set(names):
            raise ModelpickError(f"{source}: expected a column {column}, or embedding")
        matrix = as_matrix(batch.column(column)) if column in names else None
        if matrix is not None:
            yield matrix
        else:
            values = [as_objects(batch.column(name)) for name in names]
            yield [parse_query("", dict(zip(names, row, strict=True)), column) for row in zip(*values, strict=True)]


def _join(parts: Path, target: Path, writer: Writer) -> int:
    """Write the target: how many rows of it are bad."""
    temporary, bad = parts / JOINED, 0
    decoder = msgspec.json.Decoder(Pick)
    try:
        with temporary.open("wb") as file, writer(file) as put:
            for part in sorted(parts.glob("*.jsonl")):
                picks = [decoder.decode(line) for line in part.read_bytes().splitlines()]
                put(picks)
                bad += sum(pick.error is not None for pick in picks)
        put_in_place(temporary, target)
    except OSError as cause:
        raise ModelpickError(f"{target}: cannot be written: {reason(cause)}") from None
    return bad


class _JSONLines:
    """Writes picks as JSON lines."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file

    def __enter__(self) -> Callable[[list[Pick]], None]:
        return self._put

    def __exit__(self, *_: object) -> None:
        self._file.flush()
        os.fsync(self._file.fileno())

    def _put(self, picks: list[Pick]) -> None:
        self._file.writelines(msgspec.json.encode(pick) + b"\n" for pick in picks)


_READERS: dict[bytes, Callable[[Path, str, int], Iterator[Rows]]] = {NPY: _read_npy, PARQUET: _read_parquet}
_WRITERS: dict[str, Writer] = {
    ".jsonl": _JSONLines,
    ".parquet": ParquetWriter,
}
