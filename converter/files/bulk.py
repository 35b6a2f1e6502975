"""Selections for a file of queries, chunk by chunk: in bounded memory, resumable; bad rows keep their errors.

Each chunk's picks are written to a part next to the target, whole or not at all. A restarted run continues behind the
existing parts, if neither artifact nor source has changed. The last step joins the parts.
"""

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
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
from modelpick.runtime.deciding import Decision, Exploring
from modelpick.runtime.errors import first_line
from modelpick.runtime.request import Given
from modelpick.runtime.text import Encoder, TextSelector
from modelpick.runtime.text.messages import Which, text_of

from .io import check_distinct, new_file, open_bytes, read_bytes, reason, resolved
from .parquet import PARQUET, ParquetWriter, as_matrix, as_objects, read_columns
from .parts import Parts, open_parts
from .queries import FEATURES, PROMPTS, Parse, Query, keyed, parse_file, parse_prompt, parse_query

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


class Decided(Struct, omit_defaults=True):
    """The decision on a row, as `modelpick.runtime.deciding.Decision.as_record` has it, or the error of the row."""

    row: int
    model_name: str | None
    error: str | None = None
    query: str | None = None
    """The prompt, if the row has one."""
    decision_id: str | None = None
    timestamp: float | None = None
    default: str | None = None
    propensity: float | None = None
    policy: str | None = None
    session: str | None = None


class _Kind(NamedTuple):
    """A kind of answers."""

    row: type[Pick | Decided]
    columns: Mapping[str, str]
    """Its fields, with the types of their columns in Parquet."""


_COLUMNS = {"row": "int64", "timestamp": "float64", "propensity": "float64"}
_PICKS, _DECISIONS = (
    _Kind(row, {name: _COLUMNS.get(name, "string") for name in row.__struct_fields__}) for row in (Pick, Decided)
)
Answers = Sequence[Pick | Decided]
Writer = Callable[[IO[bytes], Mapping[str, str]], AbstractContextManager[Callable[[Any], None]]]


class _Form(NamedTuple):
    """Contents of rows."""

    columns: tuple[str, ...]
    """Columns of which one at least must be there, the first and ``category`` with it."""
    parse: Parse
    features: str | None = None
    """Column that alone is a query."""

    def keyed(self, key: str | None) -> "_Form":
        """Return the form with a key in each row."""
        return self if key is None else _Form((*self.columns, key), keyed(self.parse, key))


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
    exploring: Exploring | None = None,
) -> Outcome:
    """Pick the model for each row of a file, or decide on each row.

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
    exploring
        How to decide; the target then has a row of `Decided` for each row. None to pick.

    Raises
    ------
    FeatureError
        When a preference is invalid.
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
    kind = _PICKS if exploring is None else _DECISIONS
    times = [status.st_mtime_ns, status.st_ctime_ns]
    identity = [str(source.resolve()), status.st_size, status.st_ino, *times]
    read_by = [prompts.digest, message] if prompts else []
    made_of = [hashlib.sha256(data).hexdigest(), read_by, identity, column, chunk, repr(given or {}), repr(exploring)]
    folder = final.with_name(f".{final.name}.modelpick-parts")
    rows = resumed = 0
    try:
        with (
            _loaded(artifact, data, prompts, message, given or {}) as selector,
            open_parts(folder, msgspec.json.encode(made_of)) as parts,
        ):
            if exploring is not None:
                selector.check_exploring(None, exploring.explore, exploring.margin)
            answers = partial(_answers, selector, exploring, message)
            form = form.keyed(exploring.key if exploring else None)
            for number, (values, total) in enumerate(read(source, form, chunk)):
                if parts.get(number) is None:
                    made = answers(values, rows)
                    parts.put(number, b"".join(msgspec.json.encode(row) + b"\n" for row in made))
                else:
                    resumed += len(values)
                rows += len(values)
                done(rows, total)
            bad = _join(parts, rows, final, _WRITERS[suffix], kind)
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


def _answers(
    selector: Selector | TextSelector, exploring: Exploring | None, message: Which, values: Rows, first: int
) -> Answers:
    """Answer all rows at once, or, where that is refused, row by row."""
    queries = [Query("", row) for row in values] if isinstance(values, np.ndarray) else values
    try:
        found: Sequence[Any] = _batch(selector, exploring, values)
    except FeatureError:
        found = [_one(selector, exploring, query) for query in queries]
    if exploring is None:
        return [_pick(row, answer) for row, answer in enumerate(found, first)]
    return [
        _decided(row, answer, query, message)
        for row, (answer, query) in enumerate(zip(found, queries, strict=True), first)
    ]


def _batch(selector: Selector | TextSelector, exploring: Exploring | None, values: Rows) -> Sequence[str | Decision]:
    """Answer a matrix, or prompts that are all valid; raises `FeatureError` for anything else."""
    queries = [query for query in values if isinstance(query, Query)]
    many: Callable[..., Sequence[str | Decision]] = selector.select_batch
    if exploring is not None:
        keys = [query.key for query in queries] or None
        many = partial(selector.decide_batch, keys=keys, explore=exploring.explore, margin=exploring.margin)
    if isinstance(values, np.ndarray) and isinstance(selector, Selector):
        return many(values)
    prompts = [query.prompt for query in queries if query.prompt is not None]
    if isinstance(selector, Selector) or len(prompts) < len(values):
        raise FeatureError("expected prompts alone")
    return many(prompts, [query.category for query in queries])


def _one(selector: Selector | TextSelector, exploring: Exploring | None, query: Query) -> str | Decision | FeatureError:
    one: Callable[..., str | Decision] = selector.select
    if exploring is not None:
        one = partial(selector.decide, key=query.key, explore=exploring.explore, margin=exploring.margin)
    try:
        return query.given_to(one)
    except FeatureError as error:
        return error


def _pick(row: int, answer: str | FeatureError) -> Pick:
    return Pick(row, answer) if isinstance(answer, str) else Pick(row, None, str(answer))


def _decided(row: int, answer: Decision | FeatureError, query: Query, message: Which) -> Decided:
    if isinstance(answer, FeatureError):
        return Decided(row, None, str(answer))
    prompt = None if query.prompt is None else text_of(query.prompt, message)
    return Decided(row, query=prompt, **answer.as_record())


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
    if form.columns[: len(PROMPTS)] == PROMPTS:
        raise ModelpickError(f"{source}: expected prompts, .jsonl or .parquet, with an encoder")
    if form.features is None:
        raise ModelpickError(f"{source}: expected rows with a key, .jsonl or .parquet")
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


def _join(parts: Parts, rows: int, target: Path, writer: Writer, kind: _Kind) -> int:
    """Write the target from parts that hold ``rows`` rows, and return the number of bad rows."""
    bad = joined = number = 0
    decoder = msgspec.json.Decoder(kind.row)
    with new_file(target) as file, writer(file, kind.columns) as put:
        while joined < rows:
            part = parts.get(number)
            if part is None:
                raise OSError("its parts were altered")
            answers = [decoder.decode(line) for line in part.splitlines()]
            put(answers)
            bad += sum(answer.error is not None for answer in answers)
            joined, number = joined + len(answers), number + 1
    return bad


@contextmanager
def _json_lines(file: IO[bytes], _: Mapping[str, str]) -> Iterator[Callable[[Answers], None]]:
    """Write answers as JSON lines."""
    yield lambda answers: file.writelines(msgspec.json.encode(answer) + b"\n" for answer in answers)


_READERS: dict[bytes, Callable[[Path, _Form, int], Chunks]] = {NPY: _read_npy, PARQUET: _read_parquet}
_WRITERS: dict[str, Writer] = {
    ".jsonl": _json_lines,
    ".parquet": ParquetWriter,
}
