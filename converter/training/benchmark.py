"""From answers of models to a benchmark: queries with their categories and embeddings, mean outcomes, and warnings."""

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from modelpick.runtime import DocumentError
from modelpick.runtime.decision.outcomes import KINDS, SECONDS
from modelpick.runtime.features import CATEGORIES, OTHER

from ..formats.outcomes import Benchmark
from .embeddings import Embeddings
from .record import Answer, Record

Matrix = npt.NDArray[np.float64]
# Models answer within minutes: a larger median is more likely in milliseconds than in seconds.
LIKELY_MILLISECONDS = 600.0
# Begins a warning that does not matter where models are added to others.
ONE_MODEL = "all records are of one model"
NAMES_SHOWN = 5
SHOWN_CHARACTERS = 60
# Embeddings of one text by one encoder differ by rounding, in float16 by up to 5e-4 of their length.
SAME_EMBEDDING = 1e-3
# Standard errors by which the sum of inverse propensities may exceed the number of answers without a warning.
MOST_ERRORS = 4.0


def benchmark_of(name: str, answers: Sequence[Answer], odd: Counter[str], embeddings: Embeddings | None) -> Benchmark:
    """Collect one or more answers; the benchmark's `bad` is empty.

    Parameters
    ----------
    name
        Name of the file, for warnings.
    odd
        What is unusual about records, and how they are read -> their number.
    embeddings
        Embeddings of the queries, instead of the records' own.

    Raises
    ------
    DocumentError
        When a query has two categories or embeddings.
    """
    records = [answer.record for answer in answers]
    queries = {query: place for place, query in enumerate(dict.fromkeys(record.query for record in records))}
    models = {model: place for place, model in enumerate(dict.fromkeys(record.model_name for record in records))}
    n, m = len(queries), len(models)
    rows = np.fromiter((queries[record.query] for record in records), np.int64, len(records))
    columns = np.fromiter((models[record.model_name] for record in records), np.int64, len(records))
    outcomes = np.array([record.outcomes for record in records], dtype=np.float64)
    failed = np.array([record.failed for record in records], dtype=np.float64)
    cells = rows * m + columns
    failures = _means(cells, failed, (n, m))
    recorded = np.stack([_means(cells, values, (n, m)) for values in outcomes.T], axis=1)
    for place, kind in enumerate(KINDS):
        if not kind.counts_failures:
            answered = _means(cells, np.where(failed, np.nan, outcomes[:, place]), (n, m))
            recorded[:, place] = np.where(failures == 1, recorded[:, place], answered)
    logged, times = np.array([(record.propensity, record.time) for record in records], dtype=np.float64).T

    categories = _agreed(answers, rows.tolist(), "category", str.__eq__)
    odd.update(_oddities(records, outcomes, len(records) - len(np.unique(cells))))
    warnings = [f"{name}: {count:,} of {len(records):,} records {kind}" for kind, count in odd.items() if count]
    warnings += [f"{name}: {text}" for text in _notes(outcomes[:, SECONDS], list(models), n, categories)]
    warnings += [
        f"{name}: the propensities of {model} stand for {picked:,.0f} answers of {logged:,}: they are too small"
        for model, picked, logged in contradicted(records)
    ]
    return Benchmark(
        list(queries),
        [category or OTHER for category in categories],
        list(models),
        recorded,
        failures,
        _embedded(answers, rows.tolist(), list(queries), embeddings),
        [],
        warnings,
        [answers[first].place for first in np.unique(rows, return_index=True)[1]],
        propensities=None if np.isnan(logged).all() else _means(cells, logged, (n, m)),
        times=None if np.isnan(times).all() else _means(cells, times, (n, m)),
    )


def shown(query: str) -> str:
    """Return the beginning of a query, for messages."""
    return repr(query if len(query) <= SHOWN_CHARACTERS else f"{query[:SHOWN_CHARACTERS]}...")


def contradicted(records: Sequence[Record]) -> Iterable[tuple[str, float, int]]:
    """Yield models whose propensities are too small: the name, the sum of 1 / propensity, the number of all answers.

    If each question could have been given to the model, the expectation of the sum is the number of all answers, and
    its variance is about the sum of (1 - propensity) / propensity^2.
    """
    logged = [record for record in records if record.propensity is not None]
    for model in dict.fromkeys(record.model_name for record in logged):
        propensities = np.array([record.propensity for record in logged if record.model_name == model])
        total = float((1 / propensities).sum())
        error = float(np.sqrt(((1 - propensities) / propensities**2).sum()))
        if total - len(logged) > MOST_ERRORS * error + 1e-9 * total:
            yield model, total, len(logged)


def _agreed(
    answers: Sequence[Answer], queries: Sequence[int], field: str, same: Callable[[Any, Any], bool]
) -> list[Any]:
    """Return the value of a field on which the records of each query agree; None where no record has one.

    Raises
    ------
    DocumentError
        When two records disagree; the message names both.
    """
    known: dict[int, tuple[str, Any]] = {}
    for query, (_, place, record) in zip(queries, answers, strict=True):
        value = getattr(record, field)
        if value is None or value == "":
            continue
        first, expected = known.setdefault(query, (place, value))
        if not same(expected, value):
            values = (
                f"expected {expected!r}, got {value!r}" if isinstance(value, str) else "expected the same, got another"
            )
            raise DocumentError(f"{place}: {field}: {first} is of the same query, {shown(record.query)}: {values}")
    return [known.get(query, ("", None))[1] for query in range(max(queries) + 1)]


def _embedded(
    answers: Sequence[Answer], rows: Sequence[int], queries: Sequence[str], embeddings: Embeddings | None
) -> Matrix | None:
    if embeddings is None:
        return _matrix(_agreed(answers, rows, "embedding", _same_embedding))
    if not embeddings.by_id:
        return embeddings.of(queries)
    vectors = embeddings.of_ids

    def same(one: Any, other: Any) -> bool:
        return bool(one == other) or _same_embedding(*vectors([one, other]))

    return vectors(_agreed(answers, rows, "embedding_id", same))


def _same_embedding(one: Any, other: Any) -> bool:
    return one is other or bool(
        np.linalg.norm(np.subtract(one, other)) <= SAME_EMBEDDING * max(np.linalg.norm(one), np.linalg.norm(other))
    )


def _means(cells: npt.NDArray[np.int64], values: Matrix, shape: tuple[int, int]) -> Matrix:
    """Return the mean of the values of each cell of a matrix, without NaN; NaN where there are no values."""
    known, n_cells = ~np.isnan(values), shape[0] * shape[1]
    counts = np.bincount(cells[known], minlength=n_cells)
    sums = np.bincount(cells[known], weights=values[known], minlength=n_cells)
    return np.where(counts, sums / np.maximum(counts, 1), np.nan).reshape(shape)


def _matrix(embeddings: Sequence[list[float] | None]) -> Matrix | None:
    width = next((len(embedding) for embedding in embeddings if embedding is not None), None)
    if width is None:
        return None
    lacking = [np.nan] * width
    return np.array([embedding if embedding is not None else lacking for embedding in embeddings], dtype=np.float64)


def _oddities(records: Sequence[Record], outcomes: Matrix, repeated: int) -> dict[str, int]:
    """Count unusual records: description and how they are read -> number of records."""
    return {
        f"have no category: they count as {OTHER}{_tasks(records)}": sum(not record.category for record in records),
        **dict(_missing(records, outcomes)),
        "have no propensity, as the others do": sum(record.propensity is None for record in records) % len(records),
        "are failed answers: their quality counts as 0": sum(record.failed for record in records),
        "have a quality outside 0 to 1: it counts as it is": int(((outcomes[:, 0] < 0) | (outcomes[:, 0] > 1)).sum()),
        "repeat a query and model: the mean counts": repeated,
    }


def _missing(records: Sequence[Record], outcomes: Matrix) -> Iterator[tuple[str, int]]:
    """Yield how records without an outcome, or without its usual field, are read, and their number."""
    for kind, lacking in zip(KINDS, np.isnan(outcomes).sum(axis=0).tolist(), strict=True):
        usual, *others = kind.fields
        for other in others:
            instead = (getattr(record, usual) is None and getattr(record, other) is not None for record in records)
            yield f"have {other} instead of {usual}: it is read as {kind.name}", sum(instead)
        if kind.is_usual:
            yield f"have no {kind.noun}: it stays unknown, and training takes the model's mean", lacking
        elif kind.weight:  # records without any are common
            yield f"have no {kind.noun}: it stays unknown", lacking % len(records)


def _tasks(records: Sequence[Record]) -> str:
    """Name the tasks whose category is not known."""
    tasks = dict.fromkeys(record.task_name for record in records if record.task_name and not record.category)
    return f"; use --categories for {_named(tasks)}" if tasks else ""


def _named(names: Collection[object]) -> str:
    """List the first names, and count the others."""
    more = f" and {len(names) - NAMES_SHOWN} others" if len(names) > NAMES_SHOWN else ""
    return ", ".join(repr(name) for name in list(names)[:NAMES_SHOWN]) + more


def _notes(seconds: Matrix, models: list[str], n_queries: int, categories: list[Any]) -> Iterator[str]:
    known = seconds[~np.isnan(seconds)]
    if len(known) and np.median(known) > LIKELY_MILLISECONDS:
        yield (
            f"the median response time is {np.median(known):,.0f}, which counts as seconds: write milliseconds as "
            "latency_ms"
        )
    if len(models) == 1:
        yield f"{ONE_MODEL}, {models[0]}: nothing else can be picked"
    if n_queries == 1:
        yield "all records are of one query: nothing can be learned of others"
    names = Counter(category for category in categories if category and category not in CATEGORIES)
    if names:
        yield f"{names.total():,} queries have an unknown category, {_named(names)}: it counts as {OTHER}"
