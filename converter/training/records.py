"""Benchmark records: the outcome of each language model on each query, read from JSON lines.

A record has ``query``, ``model_name`` and ``performance``, and may have ``category``, ``response_time`` in seconds (or
``latency_ms``), ``cost`` in any currency, ``success`` and ``embedding``. Records of the original router's tools are
read as its loader reads them, except that what is missing stays missing; `Benchmark.warnings` counts what is read so.
"""

import io
import json
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from math import isfinite
from pathlib import Path
from typing import Annotated, Any

import msgspec
import numpy as np
import numpy.typing as npt
from msgspec import Meta, Struct

from modelpick.runtime import DocumentError
from modelpick.runtime.features import CATEGORIES, OTHER

from ..files.io import read_bytes, reason
from ..files.parquet import PARQUET, read_parquet
from ..files.text import UNREADABLE, NotTextError, as_text, not_utf8
from ..formats.decoding import Name, Refusal, decode
from ..formats.outcomes import Benchmark

Matrix = npt.NDArray[np.float64]
# A larger share of bad records stops the reading.
MOST_BAD = 0.01
# Models answer within minutes: a larger median, in seconds, is more likely in milliseconds.
LIKELY_MILLISECONDS = 600.0
MILLISECONDS = 1e3
NAMES_SHOWN = 5
SHOWN_CHARACTERS = 60
# Embeddings of one text by one encoder differ by rounding, in float16 by up to 5e-4 of their length.
SAME_EMBEDDING = 1e-3


class Record(Struct):
    """One answer of a language model."""

    query: Annotated[str, Meta(min_length=1)]
    model_name: Name
    performance: float | None = None
    category: str | None = None
    response_time: Annotated[float, Meta(ge=0, le=9e9)] | None = None
    """Seconds."""
    latency_ms: Annotated[float, Meta(ge=0, le=9e12)] | None = None
    cost: Annotated[float, Meta(ge=0)] | None = None
    success: bool | None = None
    embedding: list[float] | None = None

    @property
    def outcome(self) -> tuple[float | None, float | None, float | None, bool]:
        """Quality, 0 for an answer that failed; seconds; cost; whether it failed."""
        late = self.latency_ms
        seconds = self.response_time if self.response_time is not None or late is None else late / MILLISECONDS
        failed = self.success is False
        return 0.0 if failed else self.performance, seconds, self.cost, failed


def read_benchmark(source: str | Path | bytes) -> Benchmark:
    """Read benchmark records: JSON lines, gzipped or not, or the rows of a Parquet file; told by content.

    A query's category and embedding may stand in any of its records. Bad records are left out.

    Raises
    ------
    DocumentError
        When the file cannot be read, has no good record, or more than 1 % bad ones; or when a query has two categories
        or embeddings, in which nothing says which is right.
    """
    name, data = _read(source)
    bad: dict[int, str] = {}
    odd: Counter[str] = Counter()
    records = dict(_decoded(data, bad, odd))
    _leave_out_odd_widths(records, bad)
    total = len(records) + len(bad)
    errors = [f"{name}:{number}: {bad[number]}" for number in sorted(bad)]
    if not records or len(bad) > MOST_BAD * total:
        first = f", the first of them {errors[0]}" if bad else ""
        raise DocumentError(f"{name}: expected records, at most 1 % bad, got {len(bad)} bad of {total}{first}")
    return _collected(name, records, odd)._replace(bad=errors)


def _read(source: str | Path | bytes) -> tuple[str, bytes]:
    """Return the name of a source, and its JSON lines; rows of a Parquet file become such lines."""
    name, data = read_bytes(source, DocumentError)
    if data.startswith(PARQUET):
        rows = read_parquet(name, data)
        return name, b"\n".join(msgspec.json.encode(row) for row in rows)
    try:
        return name, as_text(io.BytesIO(data)).read()
    except NotTextError as cause:
        raise DocumentError(f"{name}: {cause}") from None
    except UNREADABLE as cause:
        raise DocumentError(f"{name}: expected gzip: {reason(cause)}") from None


def required_embeddings(benchmark: Benchmark) -> Matrix:
    """Return the embeddings of all queries, float64, shape (n_queries, e).

    Raises
    ------
    DocumentError
        When a query has none; the first of them is named.
    """
    if benchmark.embeddings is None:
        lacking = np.arange(len(benchmark.queries))
    else:
        lacking = np.flatnonzero(np.isnan(benchmark.embeddings).any(axis=1))
        if not len(lacking):
            return benchmark.embeddings
    first = int(lacking[0])
    raise DocumentError(
        f"{benchmark.places[first]}: embedding: expected one in a record of query {_shown(benchmark.queries[first])}, "
        f"or an embedder, or a file of embeddings; {len(lacking)} of {len(benchmark.queries)} queries have none"
    )


def _shown(query: str) -> str:
    return repr(query if len(query) <= SHOWN_CHARACTERS else f"{query[:SHOWN_CHARACTERS]}...")


def _decoded(data: bytes, bad: dict[int, str], odd: Counter[str]) -> Iterator[tuple[int, Record]]:
    """Decode the records, with their lines; count what is odd."""
    strict = msgspec.json.Decoder(Record)
    for number, line in enumerate(data.split(b"\n"), 1):
        if not line.strip():
            continue
        try:
            try:
                record = strict.decode(line)
            except msgspec.ValidationError:
                record = decode(line, Record, strict=False)
                odd["have numbers that are strings: they are read as numbers"] += 1
        except Refusal as refusal:
            bad[number] = str(refusal)
            continue
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            bad[number] = _non_finite(line) or not_utf8(line) or f"expected JSON: {error}"
            continue
        error_found = _error(record)
        if error_found:
            bad[number] = error_found
        else:
            yield number, record


def _error(record: Record) -> str | None:
    if record.outcome[0] is None:
        return "performance: expected a number, or success false"
    for field in ("performance", "response_time", "latency_ms", "cost"):
        value = getattr(record, field)
        if value is not None and not isfinite(value):
            return f"{field}: expected a finite number, got {value}"
    if record.embedding is None:
        return None
    if not record.embedding:
        return "embedding: expected at least one number"
    return None if np.isfinite(record.embedding).all() else "embedding: expected finite numbers"


def _non_finite(line: bytes) -> str | None:
    """Name the field that holds NaN or infinity, which JSON has no words for but Python's writer writes."""
    try:
        value = json.loads(line)
    except (ValueError, RecursionError):
        return None
    for field, content in value.items() if isinstance(value, dict) else ():
        for place, number in enumerate(content if isinstance(content, list) else [content]):
            if isinstance(number, float) and not isfinite(number):
                where = f"{field}[{place}]" if isinstance(content, list) else field
                return f"{where}: expected a finite number, got {number}"
    return None


def _leave_out_odd_widths(records: dict[int, Record], bad: dict[int, str]) -> None:
    """Move the records whose embedding is not as wide as most are to the bad ones."""
    widths = Counter(len(record.embedding) for record in records.values() if record.embedding is not None)
    if len(widths) < 2:
        return
    ((usual, _),) = widths.most_common(1)
    for number, record in list(records.items()):
        if record.embedding is not None and len(record.embedding) != usual:
            bad[number] = f"embedding: expected {usual} numbers as in most records, got {len(record.embedding)}"
            del records[number]


def _collected(name: str, records: dict[int, Record], odd: Counter[str]) -> Benchmark:
    queries = {query: place for place, query in enumerate(dict.fromkeys(r.query for r in records.values()))}
    models = {model: place for place, model in enumerate(dict.fromkeys(r.model_name for r in records.values()))}
    n, m = len(queries), len(models)
    rows = np.fromiter((queries[record.query] for record in records.values()), np.int64, len(records))
    columns = np.fromiter((models[record.model_name] for record in records.values()), np.int64, len(records))
    outcomes = np.array([record.outcome for record in records.values()], dtype=np.float64)
    cells = rows * m + columns
    quality, seconds, cost, failures = (_means(cells, values, n * m).reshape(n, m) for values in outcomes.T)

    numbers = dict(zip(reversed(rows.tolist()), reversed(records), strict=True))
    categories = _agreed(name, records, rows.tolist(), "category", str.__eq__)
    embeddings = _agreed(name, records, rows.tolist(), "embedding", _same_embedding)
    odd.update(_oddities(list(records.values()), outcomes, len(records) - len(np.unique(cells))))
    warnings = [f"{name}: {count:,} of {len(records):,} records {kind}" for kind, count in odd.items() if count]
    warnings += [f"{name}: {text}" for text in _notes(outcomes[:, 1], list(models), n, categories)]
    return Benchmark(
        list(queries),
        [category or OTHER for category in categories],
        list(models),
        quality,
        seconds,
        cost,
        failures,
        _matrix(embeddings),
        [],
        warnings,
        [f"{name}:{numbers[row]}" for row in range(n)],
    )


def _agreed(
    name: str, records: dict[int, Record], queries: Sequence[int], field: str, same: Callable[[Any, Any], bool]
) -> list[Any]:
    """Return the value of a field of each query, which all records of the query that have one agree on, or None.

    Raises
    ------
    DocumentError
        When they do not agree; both places are named.
    """
    known: dict[int, tuple[int, Any]] = {}
    for query, (number, record) in zip(queries, records.items(), strict=True):
        value = getattr(record, field)
        if not value:
            continue
        first, expected = known.setdefault(query, (number, value))
        if not same(expected, value):
            told = (
                f"expected {expected!r}, got {value!r}" if isinstance(value, str) else "expected the same, got another"
            )
            raise DocumentError(
                f"{name}:{number}: {field}: {name}:{first} is of the same query, {_shown(record.query)}: {told}"
            )
    return [known.get(query, (0, None))[1] for query in range(max(queries) + 1)]


def _same_embedding(one: list[float], other: list[float]) -> bool:
    return one == other or bool(
        np.linalg.norm(np.subtract(one, other)) <= SAME_EMBEDDING * max(np.linalg.norm(one), np.linalg.norm(other))
    )


def _means(cells: npt.NDArray[np.int64], values: Matrix, n_cells: int) -> Matrix:
    """Average the values of each cell, NaN left out; NaN where there are none."""
    known = ~np.isnan(values)
    counts = np.bincount(cells[known], minlength=n_cells)
    sums = np.bincount(cells[known], weights=values[known], minlength=n_cells)
    return np.where(counts, sums / np.maximum(counts, 1), np.nan)


def _matrix(embeddings: Sequence[list[float] | None]) -> Matrix | None:
    width = next((len(embedding) for embedding in embeddings if embedding is not None), None)
    if width is None:
        return None
    lacking = [np.nan] * width
    return np.array([embedding if embedding is not None else lacking for embedding in embeddings], dtype=np.float64)


def _oddities(records: Sequence[Record], outcomes: Matrix, repeated: int) -> dict[str, int]:
    """Count the records that are not as they should be: how they count -> how many there are."""
    unknown = np.isnan(outcomes).sum(axis=0)
    return {
        f"have no category: they count as {OTHER}": sum(not record.category for record in records),
        "have latency_ms instead of response_time: it is read as seconds": sum(
            record.response_time is None and record.latency_ms is not None for record in records
        ),
        "have no response time: it stays unknown, and training takes the model's mean": int(unknown[1]),
        # Records without any cost are the usual kind.
        "have no cost: it stays unknown": int(unknown[2]) % len(records),
        "are failed answers: their quality counts as 0": sum(record.success is False for record in records),
        "have a quality outside 0 to 1: it counts as it is": int(((outcomes[:, 0] < 0) | (outcomes[:, 0] > 1)).sum()),
        "repeat a query and model: the mean counts": repeated,
    }


def _notes(seconds: Matrix, models: list[str], n_queries: int, categories: list[Any]) -> Iterator[str]:
    known = seconds[~np.isnan(seconds)]
    if len(known) and np.median(known) > LIKELY_MILLISECONDS:
        yield (
            f"the median response time is {np.median(known):,.0f}, which counts as seconds: write milliseconds as "
            "latency_ms"
        )
    if len(models) == 1:
        yield f"all records are of one model, {models[0]}: nothing else can be picked"
    if n_queries == 1:
        yield "all records are of one query: nothing can be learned of others"
    names = Counter(category for category in categories if category and category not in CATEGORIES)
    if names:
        more = f" and {len(names) - NAMES_SHOWN} others" if len(names) > NAMES_SHOWN else ""
        shown = ", ".join(repr(name) for name in list(names)[:NAMES_SHOWN])
        yield f"{names.total():,} queries have an unknown category, {shown}{more}: its features are those of {OTHER}"
