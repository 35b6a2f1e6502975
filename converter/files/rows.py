"""Rows of tables: JSON lines or an array, CSV or Parquet, recognised by content, gzipped or not."""

import csv
import io
import json
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from modelpick.runtime.errors import ModelpickError

from .io import read_bytes, reason, write_atomically
from .kinds import ARTIFACT, EMPTY, MODEL, kind_of
from .parquet import PARQUET, SUFFIX, read_parquet, to_parquet
from .text import LINE_BYTES, UNREADABLE, NotTextError, as_text, decode_json, not_utf8

# The first bytes of pickles of protocols 2 to 5, and of ZIP files, which may hold pickles.
PICKLES = (b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05", b"PK\x03\x04")
# Number of rows of JSON lines whose columns count as the file's: rows leave out columns without a value.
HEAD = 100


class Row(NamedTuple):
    """A row, or the reason why it cannot be read."""

    number: int
    """The line on which it begins, or its number in a Parquet file or an array, from 1."""
    fields: dict[str, Any]
    """Values by column, without columns that have none."""
    error: str | None = None


class Rows(NamedTuple):
    """A table."""

    name: str
    """Name of the file, for messages."""
    columns: list[str]
    """Columns of the header, or, where there is none, of the first rows."""
    rows: Iterable[Row]
    is_text: bool = False
    """Whether all values are strings, as in CSV."""


def read_rows(source: str | Path | bytes, error: type[ModelpickError]) -> Rows:
    """Read a table: Parquet, a JSON array, which begins with a bracket, JSON lines, which begin with a brace, or CSV.

    Raises
    ------
    ModelpickError
        Of the class ``error``, when the file cannot be read, is a pickle, or is malformed.
    """
    name, data = read_bytes(source, error)
    if data.startswith(PARQUET):
        table = read_parquet(name, data)
        return Rows(name, list(table[0]) if table else [], _numbered(table))
    if data.startswith(PICKLES):
        raise error(
            f"{name}: expected JSON lines, CSV or Parquet, got a pickle or ZIP file: reading a pickle runs what is in "
            "it; write the table by pandas' to_parquet"
        )
    try:
        text = as_text(io.BytesIO(data)).read()
    except NotTextError as cause:
        raise error(f"{name}: {cause}") from None
    except UNREADABLE as cause:
        raise error(f"{name}: expected gzip: {reason(cause)}") from None
    if (kind := kind_of(text)) in (ARTIFACT, MODEL, EMPTY):
        raise error(f"{name}: expected JSON lines, CSV or Parquet, got {kind}")
    if text.lstrip()[:1] == b"[":
        array = _json_array(name, text, error)
        return Rows(name, _columns(array), array)
    if text.lstrip()[:1] in (b"{", b""):
        return Rows(name, _columns(_json_lines(text)), _json_lines(text))
    return Rows(name, *_csv(name, text, error), is_text=True)


def write_rows(target: Path, rows: Sequence[Any]) -> None:
    """Write rows as JSON lines; as Parquet where the name ends so, which takes dictionaries alone."""
    is_parquet = target.suffix == SUFFIX
    write_atomically(target, to_parquet(list(rows)) if is_parquet else msgspec.json.Encoder().encode_lines(rows))


def _numbered(table: list[dict[str, Any]]) -> Iterator[Row]:
    for number, row in enumerate(table, 1):
        yield Row(number, {column: value for column, value in row.items() if value is not None})


def _columns(rows: Iterable[Row]) -> list[str]:
    return list(dict.fromkeys(column for row in islice(rows, HEAD) for column in row.fields))


def _json_array(name: str, data: bytes, error: type[ModelpickError]) -> list[Row]:
    value, cause = _decoded(data)
    if not isinstance(value, list):
        raise error(f"{name}: {cause}")
    return [_row(number, row) for number, row in enumerate(value, 1)]


def _json_lines(data: bytes) -> Iterator[Row]:
    for number, line in enumerate(data.split(b"\n"), 1):
        if line.strip():
            yield _json_row(number, line)


def _json_row(number: int, line: bytes) -> Row:
    value, cause = _decoded(line)
    return Row(number, {}, cause) if cause else _row(number, value)


def _decoded(data: bytes) -> tuple[Any, str]:
    """Decode JSON that may hold NaN and infinity; returns its value, or the reason why it is invalid."""
    value, error = decode_json(data)
    constants = _with_constants(data) if error else None
    return (value, error) if constants is None else (constants, "")


def _row(number: int, value: Any) -> Row:
    if not isinstance(value, dict):
        return Row(number, {}, "expected an object")
    return Row(number, {column: content for column, content in value.items() if content is not None})


def _with_constants(line: bytes) -> Any:
    """Decode JSON with NaN or infinity, which are not JSON but are written by Python's json; else return None."""
    found: list[str] = []

    def constant(word: str) -> float:
        found.append(word)
        return float(word)

    try:
        value = json.loads(line, parse_constant=constant)
    except (ValueError, RecursionError):
        return None
    return value if found else None


def _csv(name: str, data: bytes, error: type[ModelpickError]) -> tuple[list[str], Iterator[Row]]:
    """Read the header and rows of CSV as pandas writes it, with commas, and double quotes where a cell needs them."""
    if odd := not_utf8(data):
        raise error(f"{name}: {odd}")
    # The limit holds for the whole process: it is only ever raised.
    csv.field_size_limit(max(csv.field_size_limit(), LINE_BYTES))
    reader = csv.reader(io.StringIO(data.decode(), newline=""), strict=True)
    try:
        header = next(reader)
    except csv.Error as cause:
        raise error(f"{name}:1: expected JSON lines, CSV or Parquet: {cause}") from None
    twice = next((column for column in header if header.count(column) > 1), None)
    if twice is not None:
        raise error(f"{name}:1: expected each column once, got {twice!r} twice")
    return header, _csv_rows(name, header, reader, error)


def _csv_rows(name: str, header: list[str], reader: Any, error: type[ModelpickError]) -> Iterator[Row]:
    while True:
        number = reader.line_num + 1
        try:
            cells = next(reader, None)
        except csv.Error as cause:
            raise error(f"{name}:{number}: expected CSV: {cause}") from None
        if cells is None:
            return
        if len(cells) == len(header):
            yield Row(number, {column: cell for column, cell in zip(header, cells, strict=True) if cell})
        elif cells:
            yield Row(number, {}, f"expected {len(header)} cells as in the header, got {len(cells)}")
