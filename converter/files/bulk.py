"""Selections for a file of queries, chunk by chunk: bounded memory, resumable, bad rows aside.

Each chunk's picks are written to a part beside the target, whole or not at all. A run that is interrupted goes on
behind the parts that are there, if neither artifact nor source has changed; the last step joins the parts.
"""

import hashlib
import json
import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import IO, Any, NamedTuple

import msgspec
import numpy as np
import numpy.typing as npt
from msgspec import Struct

from modelpick.runtime import FeatureError, ModelpickError, Selector
from modelpick.runtime.query import Asked

from .io import read_bytes, write_atomically
from .queries import FEATURES, Query, parse_file, parse_query

CHUNK = 8_192
# Rows of features as a matrix, or queries one by one.
Rows = npt.NDArray[Any] | Sequence[Query]


class Pick(Struct):
    """The answer to a row, counted from 0: a model, or the error of the row."""

    row: int
    model: str | None = None
    error: str | None = None


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
        ``.npy``, shape (n, d); ``.jsonl``, as `modelpick.converter.files.queries` reads it; or ``.parquet``.
    target
        ``.jsonl`` or ``.parquet``, with ``row`` and ``model``; written when all is done. Bad rows have no model, and
        stand with their errors in TARGET.bad.jsonl.
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
    for path, kinds in ((source, _READERS), (target, _JOINERS)):
        if path.suffix not in kinds:
            raise ModelpickError(f"{path}: expected a name that ends in one of {', '.join(kinds)}")
    parts = target.with_name(f"{target.name}.parts")
    _, data = read_bytes(artifact, ModelpickError)
    try:
        status = source.stat()
    except OSError as cause:
        raise ModelpickError(f"{source}: cannot be read: {cause.strerror}") from None
    manifest = {
        "artifact": hashlib.sha256(data).hexdigest(),
        "source": [str(source.resolve()), status.st_size, status.st_mtime_ns],
        "column": column,
        "chunk": chunk,
        "asked": repr(asked or {}),
    }
    _prepare(parts, json.dumps(manifest).encode())
    rows = bad = resumed = 0
    with Selector.load(data, **(asked or {})) as selector:
        for number, values in enumerate(_READERS[source.suffix](source, column, chunk)):
            part = parts / f"{number:09}.jsonl"
            if part.exists():
                resumed += len(values)
            else:
                picks = _picks(selector, values, rows)
                write_atomically(part, b"".join(msgspec.json.encode(pick) + b"\n" for pick in picks))
            rows += len(values)
            done(len(values))
    bad = _join(parts, target)
    shutil.rmtree(parts)
    return Outcome(rows, bad, resumed)


def _prepare(parts: Path, manifest: bytes) -> None:
    """Keep the parts of an earlier run on the same files, and no others."""
    try:
        if (parts / "manifest.json").read_bytes() == manifest:
            return
        shutil.rmtree(parts)
    except OSError:
        shutil.rmtree(parts, ignore_errors=True)
    write_atomically(parts / "manifest.json", manifest)


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
        return Pick(row, error=str(error))


def _read_npy(source: Path, column: str, chunk: int) -> Iterator[Rows]:
    try:
        matrix = np.load(source, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError) as cause:
        raise ModelpickError(f"{source}: cannot be read: {str(cause).splitlines()[0]}") from None
    if matrix.ndim != 2:
        raise ModelpickError(f"{source}: expected an array of shape (n, d), got {matrix.shape}")
    for start in range(0, len(matrix), chunk):
        yield np.array(matrix[start : start + chunk])


def _read_jsonl(source: Path, column: str, chunk: int) -> Iterator[Rows]:
    try:
        file = source.open("rb")
    except OSError as cause:
        raise ModelpickError(f"{source}: cannot be read: {cause.strerror}") from None
    with file:
        queries = parse_file(str(source), file, column)
        while rows := list(islice(queries, chunk)):
            yield rows


def _read_parquet(source: Path, column: str, chunk: int) -> Iterator[Rows]:
    parquet = _parquet()
    try:
        file = parquet.ParquetFile(source)
        wanted = [name for name in (column, "embedding", "category") if name in file.schema_arrow.names]
        if not {column, "embedding"} & set(wanted):
            raise ModelpickError(f"{source}: expected a column {column}, or embedding")
        for batch in file.iter_batches(batch_size=chunk, columns=[column] if column in wanted else wanted):
            values = _matrix(batch.column(0)) if wanted[0] == column else None
            yield values if values is not None else [parse_query("", row, column) for row in batch.to_pylist()]
    except (OSError, ValueError) as cause:
        if isinstance(cause, ModelpickError):
            raise
        raise ModelpickError(f"{source}: cannot be read: {str(cause).splitlines()[0]}") from None


def _matrix(values: Any) -> npt.NDArray[Any] | None:
    """Make a matrix of a column of lists, past Python objects; None where their lengths differ or some are null."""
    import pyarrow

    types = pyarrow.types
    if not any(is_list(values.type) for is_list in (types.is_list, types.is_large_list, types.is_fixed_size_list)):
        return None
    flat = values.flatten()
    if values.null_count or flat.null_count or not len(values) or len(flat) % len(values):
        return None
    if not types.is_fixed_size_list(values.type) and len(set(values.value_lengths().to_pylist())) > 1:
        return None
    matrix: npt.NDArray[Any] = flat.to_numpy(zero_copy_only=False).reshape(len(values), -1)
    return matrix


def _parquet() -> Any:
    try:
        from pyarrow import parquet
    except ModuleNotFoundError:
        raise ModelpickError("Parquet needs pyarrow: pip install 'modelpick[batch]'") from None
    return parquet


def _join(parts: Path, target: Path) -> int:
    """Write the target, and the bad rows if there are any: how many."""
    aside = target.with_name(f"{target.name}.bad.jsonl")
    temporary, temporary_aside = parts / "joined", parts / "bad"
    bad = 0
    decoder = msgspec.json.Decoder(Pick)
    try:
        with temporary.open("wb") as file, temporary_aside.open("wb") as bad_file, _JOINERS[target.suffix](file) as put:
            for part in sorted(parts.glob("*.jsonl")):
                picks = [decoder.decode(line) for line in part.read_bytes().splitlines()]
                put([pick.row for pick in picks], [pick.model for pick in picks])
                for pick in picks:
                    if pick.error is not None:
                        bad += 1
                        bad_file.write(msgspec.json.encode({"row": pick.row, "error": pick.error}) + b"\n")
        temporary.replace(target)
        if bad:
            temporary_aside.replace(aside)
        else:
            aside.unlink(missing_ok=True)
    except OSError as cause:
        raise ModelpickError(f"{target}: cannot be written: {cause.strerror}") from None
    return bad


class _JSONLines:
    """Writes picks as JSON lines."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file

    def __enter__(self) -> Callable[[list[int], list[str | None]], None]:
        return self._put

    def __exit__(self, *_: object) -> None:
        self._file.flush()
        os.fsync(self._file.fileno())

    def _put(self, rows: list[int], models: list[str | None]) -> None:
        for row, model in zip(rows, models, strict=True):
            self._file.write(msgspec.json.encode({"row": row, "model": model}) + b"\n")


class _Parquet:
    """Writes picks as a Parquet file."""

    def __init__(self, file: IO[bytes]) -> None:
        import pyarrow

        self._pyarrow = pyarrow
        schema = pyarrow.schema([("row", pyarrow.int64()), ("model", pyarrow.string())])
        self._writer = _parquet().ParquetWriter(file, schema)

    def __enter__(self) -> Callable[[list[int], list[str | None]], None]:
        return self._put

    def __exit__(self, *_: object) -> None:
        self._writer.close()

    def _put(self, rows: list[int], models: list[str | None]) -> None:
        self._writer.write_table(self._pyarrow.table({"row": rows, "model": models}, schema=self._writer.schema))


_READERS: dict[str, Callable[[Path, str, int], Iterator[Rows]]] = {
    ".npy": _read_npy,
    ".jsonl": _read_jsonl,
    ".parquet": _read_parquet,
}
_JOINERS: dict[str, Callable[[IO[bytes]], Any]] = {".jsonl": _JSONLines, ".parquet": _Parquet}
