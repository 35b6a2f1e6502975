"""Parquet files, where pyarrow is installed."""

import io
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import IO, Any

import numpy.typing as npt

from modelpick.runtime import DocumentError, ModelpickError
from modelpick.runtime.errors import first_line

# The first bytes of Parquet files.
PARQUET = b"PAR1"
SUFFIX = ".parquet"
# A file of any size may hold this number of rows: repeated values take next to no space.
ROWS_FREELY = 10**6


def pyarrow() -> Any:
    """Import pyarrow, and its Parquet reader.

    Raises
    ------
    ModelpickError
        When pyarrow is missing.
    """
    try:
        import pyarrow
        import pyarrow.parquet
    except ModuleNotFoundError:
        raise ModelpickError("Parquet needs pyarrow: pip install 'modelpick[batch]'") from None
    return pyarrow


def read_parquet(name: str, data: bytes) -> list[dict[str, Any]]:
    """Return the rows of a file that is in memory.

    Raises
    ------
    DocumentError
        When it cannot be read.
    """
    arrow = pyarrow()
    try:
        file = arrow.parquet.ParquetFile(io.BytesIO(data))
        _check(name, file, len(data))
        rows: list[dict[str, Any]] = file.read().to_pylist()
    except _unreadable(arrow) as cause:
        raise DocumentError(f"{name}: cannot be read: {first_line(cause)}") from None
    return rows


def to_parquet(rows: list[dict[str, Any]]) -> bytes:
    """Write rows, whose columns may differ, as a file.

    Raises
    ------
    ModelpickError
        When a column holds values of incompatible types.
    """
    arrow = pyarrow()
    columns = dict.fromkeys(column for row in rows for column in row)
    file = io.BytesIO()
    try:
        table = arrow.Table.from_pylist([{column: row.get(column) for column in columns} for row in rows])
        arrow.parquet.write_table(table, file)
    except (OSError, TypeError, ValueError) as cause:
        raise ModelpickError(f"cannot be written as Parquet: {str(cause).splitlines()[0]}") from None
    return file.getvalue()


def _unreadable(arrow: Any) -> tuple[type[Exception], ...]:
    """Return the classes of pyarrow's errors about a file, without this package's."""
    return arrow.lib.ArrowException, OSError, MemoryError, OverflowError, UnicodeDecodeError


def _check(name: str, file: Any, size: int) -> None:
    """Refuse columns of one name, and a file that holds far more rows than bytes.

    Raises
    ------
    DocumentError
    """
    columns = file.schema_arrow.names
    twice = next((column for column in columns if columns.count(column) > 1), None)
    if twice is not None:
        raise DocumentError(f"{name}: expected each column once, got {twice!r} twice")
    if file.metadata.num_rows > max(ROWS_FREELY, size):
        raise DocumentError(f"{name}: expected at most a row a byte, got {file.metadata.num_rows:,} in {size:,}")


def read_columns(source: Path, columns: tuple[str, ...], chunk: int) -> Iterator[tuple[Any, int]]:
    """Yield record batches of at most ``chunk`` rows, of the columns that the file has, and the file's number of rows.

    Raises
    ------
    ModelpickError
        When the file cannot be read.
    """
    arrow = pyarrow()
    try:
        file = arrow.parquet.ParquetFile(source)
        _check(str(source), file, source.stat().st_size)
        wanted = [name for name in columns if name in file.schema_arrow.names]
        for batch in file.iter_batches(batch_size=chunk, columns=wanted):
            yield batch, file.metadata.num_rows
    except _unreadable(arrow) as cause:
        raise ModelpickError(f"{source}: cannot be read: {first_line(cause)}") from None


def as_matrix(values: Any) -> npt.NDArray[Any] | None:
    """Make a matrix of a column of lists or tensors, past Python objects.

    Returns None where the lists are of other types, differ in length, or are null.
    """
    arrow = pyarrow()
    types = arrow.types
    if isinstance(values, arrow.ExtensionArray):  # tensors of one shape are stored as lists
        values = values.storage
    if not any(is_list(values.type) for is_list in (types.is_list, types.is_large_list, types.is_fixed_size_list)):
        return None
    flat = values.flatten()
    if values.null_count or flat.null_count or not len(values) or len(flat) % len(values):
        return None
    if not types.is_integer(flat.type) and not types.is_floating(flat.type):
        return None
    if not types.is_fixed_size_list(values.type) and len(set(values.value_lengths().to_pylist())) > 1:
        return None
    matrix: npt.NDArray[Any] = flat.to_numpy(zero_copy_only=False).reshape(len(values), -1)
    return matrix


def as_objects(values: Any) -> list[Any]:
    """Return the values of a column of any type as Python objects."""
    objects: list[Any] = (values.storage if isinstance(values, pyarrow().ExtensionArray) else values).to_pylist()
    return objects


class ParquetWriter:
    """Writes objects as a Parquet file.

    Parameters
    ----------
    file
        Where to write.
    columns
        Attribute of the objects -> type of its column, by pyarrow's name.
    """

    def __init__(self, file: IO[bytes], columns: Mapping[str, str]) -> None:
        self._arrow, self._names = pyarrow(), tuple(columns)
        schema = self._arrow.schema([(name, getattr(self._arrow, kind)()) for name, kind in columns.items()])
        self._writer = self._arrow.parquet.ParquetWriter(file, schema)

    def __enter__(self) -> Callable[[list[Any]], None]:
        return self._put

    def __exit__(self, *_: object) -> None:
        self._writer.close()

    def _put(self, rows: list[Any]) -> None:
        columns = {name: [getattr(row, name) for row in rows] for name in self._names}
        self._writer.write_table(self._arrow.table(columns, schema=self._writer.schema))
