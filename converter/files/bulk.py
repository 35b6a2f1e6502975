"""Selections for a file of queries, chunk by chunk: in bounded memory, resumable; bad rows keep their errors.

Each chunk's picks are written to a part next to the target, whole or not at all. A restarted run continues behind the
existing parts, if neither artifact nor source has changed. The last step joins the parts.
"""

import hashlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from itertools import islice
from pathlib import Path
from typing import IO, Any, NamedTuple

import msgspec
import numpy as np
import numpy.typing as npt
from msgspec import Struct

from modelpick.runtime import ArtifactError, FeatureError, ModelpickError, Selector
from modelpick.runtime.errors import first_line
from modelpick.runtime.request import Given
from modelpick.runtime.text import Encoder, TextSelector
from modelpick.runtime.text.messages import Which

from .io import check_distinct, new_file, open_bytes, read_bytes, reason, resolved
from .parquet import PARQUET, ParquetWriter, as_matrix, as_objects, read_columns
from .parts import Parts, open_parts
from .queries import FEATURES, PROMPTS, Parse, Query, parse_file, parse_prompt, parse_query

CHUNK = 8_192
NPY = b"\x93NUMPY"
TEXT = (".jsonl", ".jsonl.gz")
# Rows of features as a matrix, or queries one by one.
Rows = npt.NDArray[Any] | Sequence[Query]
# Chunks, each with the number of rows in the file; for text, the number is an estimate, or None where there is none.
Chunks = Iterator[tuple[Rows, int | None]]


class Pick(Struct, omit_defaults=True):
    """The answer to a row, counted from 0: a model, or the error of the row."""

    row: int
    model: str | None
    error: str | None = None


_PICK = msgspec.json.Decoder(Pick)
Writer = Callable[[IO[bytes]], AbstractContextManager[Callable[[list[Pick]], None]]]


class _Form(NamedTuple):
    """Contents of rows."""

    columns: tuple[str, ...]
    """Columns of which one at least must be there, the first and ``category`` with it."""
    parse: Parse
    features: str | None = None
    """Column that alone is a query."""


_PROMPTS = _Form(PROMPTS, parse_prompt)


def _features(column: str) -> _Form:
    return _Form((column, "embedding"), partial(parse_query, column=column), column)


class Outcome(NamedTuple):
    """The result for a file."""

    rows: int
    bad: int
    resumed: int
    """Number of rows that an earlier run had answered."""


def select_file(
    artifact: Path,
    source: Path,
    target: Path,
    *,
    column: str = FEATURES,
    chunk: int = CHUNK,
    done: Callable[[int, int | None], None] = lambda done, total: None,
    given: Given | None = None,
    encoder: Path | None = None,
    message: Which = "last_user",
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
        Name of the features in objects and columns. Without it, ``embedding`` and ``category`` are taken; and with an
        encoder ``query`` or ``messages``, and ``category``.
    chunk
        Rows in memory at once.
    done
        Called after each chunk with the number of finished rows and of all rows; for text, the latter is an estimate,
        or None.
    given
        Preferences of the selector for all rows.
    encoder
        Path of an encoder, where rows are prompts.
    message
        Which of ``messages`` count, see `modelpick.runtime.text.messages.prompt_of`.

    Raises
    ------
    ModelpickError
        When a file cannot be read or written, or is of another kind.
    """
    suffix = target.suffix
    if suffix not in _WRITERS:
        raise ModelpickError(f"{target}: expected a name that ends in one of {', '.join(_WRITERS)}")
    check_distinct(target, filter(None, (artifact, source, encoder)))
    try:
        final = resolved(target)
    except OSError as cause:
        raise ModelpickError(f"{target}: cannot be written: {reason(cause)}") from None
    read = _reader(source)
    _, data = read_bytes(artifact, ModelpickError)
    status, prompts = source.stat(), None if encoder is None else Encoder.load(encoder)
    form = _features(column) if prompts is None else _PROMPTS
    times = [status.st_mtime_ns, status.st_ctime_ns]
    identity = [str(source.resolve()), status.st_size, status.st_ino, *times]
    read_by = [prompts.digest, message] if prompts else []
    made_of = [hashlib.sha256(data).hexdigest(), read_by, identity, column, chunk, repr(given or {})]
    folder = final.with_name(f".{final.name}.modelpick-parts")
    rows = resumed = 0
    try:
        with (
            _loaded(artifact, data, prompts, message, given or {}) as selector,
            open_parts(folder, msgspec.json.encode(made_of)) as parts,
        ):
            for number, (values, total) in enumerate(read(source, form, chunk)):
                if parts.get(number) is None:
                    picks = _picks(selector, values, rows)
                    parts.put(number, b"".join(msgspec.json.encode(pick) + b"\n" for pick in picks))
                else:
                    resumed += len(values)
                rows += len(values)
                done(rows, total)
            bad = _join(parts, rows, final, _WRITERS[suffix])
            parts.clear()
    except OSError as cause:
        raise ModelpickError(f"{target}: cannot be written: {reason(cause)}") from None
    return Outcome(rows, bad, resumed)


def _loaded(
    artifact: Path, data: bytes, encoder: Encoder | None, message: Which, given: Given
) -> Selector | TextSelector:
    """Load the bytes that the parts were made from, not a file that may have replaced them; errors name the file."""
    try:
        if encoder is None:
            return Selector.load(data, **given)
        return TextSelector.load(data, encoder, message=message, **given)
    except ArtifactError as error:
        raise ArtifactError(str(error).replace("<bytes>", str(artifact), 1)) from None


def _picks(selector: Selector | TextSelector, values: Rows, first: int) -> list[Pick]:
    """Pick for all rows at once, or, where that is refused, row by row."""
    try:
        models = _batch(selector, values)
    except FeatureError:
        queries = [Query("", row) for row in values] if isinstance(values, np.ndarray) else values
        return [_pick(selector, query, row) for row, query in enumerate(queries, first)]
    return [Pick(first + place, model) for place, model in enumerate(models)]


def _batch(selector: Selector | TextSelector, values: Rows) -> list[str]:
    """Pick for a matrix, or for prompts that are all valid; raises `FeatureError` for anything else."""
    if isinstance(values, np.ndarray) and isinstance(selector, Selector):
        return selector.select_batch(values)
    prompts = [query.prompt for query in values if isinstance(query, Query) and query.prompt is not None]
    if isinstance(selector, Selector) or len(prompts) < len(values):
        raise FeatureError("expected prompts alone")
    return selector.select_batch(prompts, [query.category for query in values if isinstance(query, Query)])


def _pick(selector: Selector | TextSelector, query: Query, row: int) -> Pick:
    try:
        return Pick(row, query.given_to(selector.select))
    except FeatureError as error:
        return Pick(row, None, str(error))


def _reader(source: Path) -> Callable[[Path, _Form, int], Chunks]:
    """Return how to read a source: its first bytes tell, or its name in case of text.

    Raises
    ------
    ModelpickError
        When the source cannot be read, or is of another kind.
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


def _read_npy(source: Path, form: _Form, chunk: int) -> Chunks:
    if form is _PROMPTS:
        raise ModelpickError(f"{source}: expected prompts, .jsonl or .parquet, with an encoder")
    try:
        matrix = np.load(source, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, OverflowError, MemoryError) as cause:
        raise ModelpickError(f"{source}: cannot be read: {first_line(cause)}") from None
    if matrix.ndim != 2:
        raise ModelpickError(f"{source}: expected an array of shape (n, d), got {matrix.shape}")
    for start in range(0, len(matrix), chunk):
        yield np.array(matrix[start : start + chunk]), len(matrix)


def _read_text(source: Path, form: _Form, chunk: int) -> Chunks:
    name, file = open_bytes(source, ModelpickError)
    size, seen, head = source.stat().st_size, 0, 0
    with file:
        queries = parse_file(name, file, form.parse)
        while rows := list(islice(queries, chunk)):
            seen += len(rows)
            read = file.tell()
            head = head or read  # is read at once, and ahead of its rows; so is all of a small file
            yield rows, round(seen * size / read) if head < read < size else None


def _read_parquet(source: Path, form: _Form, chunk: int) -> Chunks:
    for batch, total in read_columns(source, (*form.columns, "category"), chunk):
        names = batch.schema.names
        if not set(form.columns) & set(names):
            raise ModelpickError(f"{source}: expected a column {', or '.join(form.columns)}")
        matrix = as_matrix(batch.column(form.features)) if form.features in names else None
        if matrix is not None:
            yield matrix, total
        else:
            values = [as_objects(batch.column(name)) for name in names]
            rows = (dict(zip(names, row, strict=True)) for row in zip(*values, strict=True))
            yield [form.parse("", row) for row in rows], total


def _join(parts: Parts, rows: int, target: Path, writer: Writer) -> int:
    """Write the target from parts that hold ``rows`` rows, and return the number of bad rows."""
    bad = joined = number = 0
    with new_file(target) as file, writer(file) as put:
        while joined < rows:
            part = parts.get(number)
            if part is None:
                raise OSError("its parts were altered")
            picks = [_PICK.decode(line) for line in part.splitlines()]
            put(picks)
            bad += sum(pick.error is not None for pick in picks)
            joined, number = joined + len(picks), number + 1
    return bad


@contextmanager
def _json_lines(file: IO[bytes]) -> Iterator[Callable[[list[Pick]], None]]:
    """Write picks as JSON lines."""
    yield lambda picks: file.writelines(msgspec.json.encode(pick) + b"\n" for pick in picks)


_READERS: dict[bytes, Callable[[Path, _Form, int], Chunks]] = {NPY: _read_npy, PARQUET: _read_parquet}
_WRITERS: dict[str, Writer] = {
    ".jsonl": _json_lines,
    ".parquet": ParquetWriter,
}
