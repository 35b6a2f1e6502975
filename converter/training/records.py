"""Benchmark records: what each language model came to on each query, read from JSON lines."""

import gzip
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, NamedTuple

import msgspec
import numpy as np
import numpy.typing as npt
from msgspec import Meta, Struct

from modelpick.runtime import DocumentError

from ..files.io import read_bytes
from ..formats.decoding import Name

Matrix = npt.NDArray[np.float64]
# More bad records than that share stop the reading.
MOST_BAD = 0.01
GZIP = b"\x1f\x8b"


class Record(Struct):
    """One answer of a language model."""

    query: Annotated[str, Meta(min_length=1)]
    category: str
    model_name: Name
    performance: float
    response_time: Annotated[float, Meta(ge=0, le=9e9)]
    """Seconds."""
    embedding: list[float] | None = None


class Benchmark(NamedTuple):
    """Outcomes of models on queries; queries and models are in order of their first record."""

    queries: list[str]
    categories: list[str]
    model_names: list[str]
    quality: Matrix
    """Performance, float64, shape (n_queries, n_models); NaN where a model has no record. Of several, the mean."""
    seconds: Matrix
    """Response time likewise."""
    embeddings: Matrix | None
    """Float64, shape (n_queries, e), if every query has one."""
    bad: list[str]
    """What was wrong with each record that was left out, with its line."""


def read_benchmark(source: str | Path | bytes) -> Benchmark:
    """Read benchmark records, JSON lines, gzipped or not.

    A query's embedding may stand in any of its records. Bad records are left out.

    Raises
    ------
    DocumentError
        When the file cannot be read, has no good record, or more than 1 % bad ones.
    """
    name, data = read_bytes(source, DocumentError)
    if data.startswith(GZIP):
        try:
            data = gzip.decompress(data)
        except (OSError, EOFError) as cause:
            raise DocumentError(f"{name}: expected gzip: {cause}") from None
    bad: list[str] = []
    records = list(_good_records(name, data, bad))
    total = len(records) + len(bad)
    if not records or len(bad) > MOST_BAD * total:
        first = f", the first of them {bad[0]}" if bad else ""
        raise DocumentError(f"{name}: expected records, at most 1 % bad, got {len(bad)} bad of {total}{first}")
    return _collected(records, bad)


def _good_records(name: str, data: bytes, bad: list[str]) -> Iterator[Record]:
    decoder = msgspec.json.Decoder(Record)
    width = None
    for number, line in enumerate(data.splitlines(), 1):
        if not line.strip():
            continue
        try:
            record = decoder.decode(line)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            bad.append(f"{name}:{number}: {error}")
            continue
        if record.embedding is not None:
            width = width or len(record.embedding)
            if len(record.embedding) != width or not width:
                bad.append(f"{name}:{number}: expected an embedding of {width} numbers, got {len(record.embedding)}")
                continue
        yield record


def _collected(records: list[Record], bad: list[str]) -> Benchmark:
    queries = {query: place for place, query in enumerate(dict.fromkeys(record.query for record in records))}
    models = {model: place for place, model in enumerate(dict.fromkeys(record.model_name for record in records))}
    sums = np.zeros((3, len(queries), len(models)))
    categories, embeddings = [""] * len(queries), [None] * len(queries)
    for record in records:
        place = queries[record.query]
        sums[:, place, models[record.model_name]] += 1.0, record.performance, record.response_time
        categories[place] = categories[place] or record.category
        embeddings[place] = embeddings[place] or record.embedding  # type: ignore[assignment]
    with np.errstate(invalid="ignore"):
        quality, seconds = sums[1:] / sums[0]
    complete = all(embedding is not None for embedding in embeddings)
    matrix = np.array(embeddings, dtype=np.float64) if complete else None
    return Benchmark(list(queries), categories, list(models), quality, seconds, matrix, bad)
