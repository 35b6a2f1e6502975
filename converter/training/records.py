"""Benchmark records: the outcome of each language model on each query, read from JSON, CSV or Parquet.

A record has ``query``, ``model_name`` and ``performance``, and may have ``category``, ``response_time`` in seconds (or
``latency_ms``), ``cost`` in any currency, ``success`` and ``embedding``. Records of the original router's tools are
read as its loader reads them, except that what is missing stays missing; `Benchmark.warnings` counts what is read so.
What other routers' tools write is read too, see `forms`.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from modelpick.runtime import ArtifactError, DocumentError, ModelpickError
from modelpick.runtime.artifact.metadata import Metadata
from modelpick.runtime.decision.outcomes import QUALITY
from modelpick.runtime.features import CATEGORIES
from modelpick.runtime.text import Encoder
from modelpick.runtime.text.selector import check_encoder

from ..files.io import reason
from ..files.rows import Row, Rows, read_rows
from ..formats.decoding import Refusal, refuse
from ..formats.outcomes import Benchmark
from .benchmark import benchmark_of, shown
from .embedder import embed
from .embeddings import ARRAYS, TENSORS, load_embeddings
from .encoding import encode
from .forms import FORMS, Form, recognise
from .lookups import read_given
from .record import Answer, Record, make_record

Matrix = npt.NDArray[np.float64]
# A larger share of bad rows is an error.
MOST_BAD = 0.01


def read_records(
    source: str | Path | bytes,
    *,
    embeddings: str | Path | None = None,
    encoder: Encoder | str | Path | None = None,
    embedder: str | None = None,
    categories: str | Path | None = None,
    prices: str | Path | None = None,
    done: Callable[[int, int], None] = lambda done, total: None,
) -> Benchmark:
    """Read benchmark records: JSON lines or an array, CSV, each gzipped or not, or Parquet, of one of `FORMS`.

    Kind and form of a file are recognised by its content. In a folder, all files are read, and must have one form. Any
    record of a query may have its category and embedding. Bad rows are left out.

    Parameters
    ----------
    embeddings
        File of the queries' embeddings, see `load_embeddings`, which replace the records' own.
    encoder
        Encoder to embed the queries with, or its file; its embeddings replace the records' own. They are kept in a file
        next to the source.
    embedder
        Name of a sentence-transformers model to embed the queries with, where one of them has no embedding.
    categories
        File of the categories of tasks, see `read_categories`; a record's own category counts before it. A task that is
        called like a category needs none.
    prices
        File of the prices of tokens, see `read_prices`; a record's own cost counts before it.
    done
        Called with the number of embedded queries and of all queries.

    Raises
    ------
    DocumentError
        When a file cannot be read, has an unknown form or another form than the first file, has no good row, or more
        than 1 % bad rows; when a query has two categories or embeddings; when categories or prices are given, and no
        record has a task or tokens; or when a decision has two answers.
    ArtifactError
        When the encoder is refused.
    ModelpickError
        When two of ``embeddings``, ``encoder`` and ``embedder`` are given, or the embedder cannot be loaded.
    """
    if sum(given is not None for given in (embedder, embeddings, encoder)) > 1:
        raise ModelpickError("expected one of --embedder, --embeddings and --encoder")
    loaded = Encoder.load(encoder) if isinstance(encoder, str | Path) else encoder
    read = read_answers(source, categories=categories, prices=prices)
    table = None if embeddings is None else load_embeddings(Path(embeddings))
    benchmark = benchmark_of(read.name, read.answers, read.odd, table)._replace(bad=read.bad, form=read.form.name)
    if loaded is not None:
        return encode(benchmark, loaded, None if isinstance(source, bytes) else Path(source), done)
    if embedder is not None and (benchmark.embeddings is None or np.isnan(benchmark.embeddings).any()):
        return benchmark._replace(embeddings=embed(benchmark.queries, embedder, done=done))
    return benchmark


class Read(NamedTuple):
    """The content of a file, or of a folder of files."""

    name: str
    form: Form
    answers: list[Answer]
    """Answers, at least one."""
    bad: list[str]
    """The error of each row that was left out, with its place."""
    odd: Counter[str]
    """Description of unusual records, and how they are read -> their number."""


def read_answers(
    source: str | Path | bytes,
    *,
    categories: str | Path | None = None,
    prices: str | Path | None = None,
    known: bool = True,
) -> Read:
    """Read records one by one, as `read_records` does, with the same errors.

    Parameters
    ----------
    known
        Whether a row without the quality of its answer is bad; decisions have no quality.
    """
    given = read_given(categories, prices)
    files = [read_rows(part, DocumentError) for part in _parts(source)]
    name = files[0].name if len(files) == 1 else str(source)
    form = _form(files)
    answers: list[Answer] = []
    bad: dict[int, str] = {}
    odd: Counter[str] = Counter()
    number = 0
    for file in files:
        models = form.models(file.columns)
        for row in file.rows:
            number += 1
            place = f"{file.name}:{row.number}"
            try:
                records = [given.complete(record) for record in _records(row, form, models, file, odd)]
                if known and any(record.outcomes[QUALITY] is None for record in records):
                    refuse("performance", "expected a number, or success false")
            except Refusal as refusal:
                bad[number] = f"{place}: {str(refusal).removeprefix('$.').removeprefix('$: ')}"
            else:
                answers += [Answer(number, place, record) for record in records]
    answers = _of_one_width(answers, bad)
    errors = [bad[row] for row in sorted(bad)]
    if not answers or len(bad) > MOST_BAD * number:
        first = f", the first of them {errors[0]}" if bad else ""
        raise DocumentError(f"{name}: expected records, at most 1 % bad, got {len(bad)} bad of {number}{first}")
    for path, fields in ((categories, ("task_name",)), (prices, ("input_tokens", "token_num"))):
        if path is not None and all(getattr(one.record, field) is None for one in answers for field in fields):
            raise DocumentError(f"{path}: expected records with {' or '.join(fields)}, got none in {name}")
    _check_decisions(answers)
    return Read(name, form, answers, errors, odd)


def _check_decisions(answers: Sequence[Answer]) -> None:
    """Refuse two answers of one decision."""
    first: dict[object, str] = {}
    for _, place, record in answers:
        decision = record.decision_id
        if decision is not None and first.setdefault(decision, place) != place:
            raise DocumentError(
                f"{place}: decision_id: {first[decision]} is an answer of the same decision, {decision!r}"
            )


def required_embeddings(benchmark: Benchmark) -> Matrix:
    """Return the embeddings of all queries, float64, shape (n_queries, e).

    Raises
    ------
    DocumentError
        When a query has none; the message names the first such query.
    """
    if benchmark.embeddings is None:
        lacking = np.arange(len(benchmark.queries))
    else:
        lacking = np.flatnonzero(np.isnan(benchmark.embeddings).any(axis=1))
        if not len(lacking):
            return benchmark.embeddings
    first = int(lacking[0])
    raise DocumentError(
        f"{benchmark.places[first]}: embedding: expected one in a record of query {shown(benchmark.queries[first])}, "
        f"or --encoder, --embeddings or --embedder; {len(lacking)} of {len(benchmark.queries)} queries have none"
    )


def fitting_embeddings(benchmark: Benchmark, name: str, metadata: Metadata) -> Matrix:
    """Return the embeddings of all queries, see `required_embeddings`, for an artifact of a name.

    Raises
    ------
    ArtifactError
        When the embeddings are of another encoder than the artifact was trained with, or have another width.
    """
    embeddings = required_embeddings(benchmark)
    width = embeddings.shape[1]
    if benchmark.encoder is not None:
        check_encoder(name, metadata, benchmark.encoder, width)
    elif metadata.encoder is not None and metadata.n_features_in not in (width, width + len(CATEGORIES)):
        raise ArtifactError(
            f"{name}: expected embeddings of the encoder {metadata.encoder}, got {width} numbers: say --encoder"
        )
    return embeddings


def values_of(source: str | Path, field: str, records: Benchmark) -> list[str]:
    """Return a field of the first record of each question, such as the set that it comes from.

    Raises
    ------
    DocumentError
        When a file cannot be read, or no record of a question has the field.
    """
    found: dict[str, str] = {}
    for file in _parts(source):
        for row in read_rows(file, DocumentError).rows:
            if field in row.fields and isinstance(query := row.fields.get("query"), str):
                found.setdefault(query, str(row.fields[field]))
    for place, query in zip(records.places, records.queries, strict=True):
        if query not in found:
            raise DocumentError(f"{place}: expected a field {field!r} of each question, next to its query")
    return [found[query] for query in records.queries]


def _parts(source: str | Path | bytes) -> Sequence[str | Path | bytes]:
    """Return the source, or the files of a folder in order of their names, without hidden files and embeddings."""
    if isinstance(source, bytes) or not Path(source).is_dir():
        return [source]
    try:
        files = sorted(
            file for file in Path(source).glob("[!.]*") if file.is_file() and file.suffix not in (ARRAYS, TENSORS)
        )
    except OSError as cause:
        raise DocumentError(f"{source}: cannot be read: {reason(cause)}") from None
    if not files:
        raise DocumentError(f"{source}: expected a file of records, or a folder of them, got an empty folder")
    return files


def _form(files: Sequence[Rows]) -> Form:
    """Return the form of all files."""
    forms = [recognise(file.name, file.columns) if file.columns else FORMS[0] for file in files]
    for file, form in zip(files, forms, strict=True):
        if form != forms[0]:
            raise DocumentError(f"{file.name}: expected {forms[0].name} as in {files[0].name}, got {form.name}")
    return forms[0]


def _records(row: Row, form: Form, models: Sequence[str], file: Rows, odd: Counter[str]) -> Iterator[Record]:
    """Make the records of a row.

    Raises
    ------
    Refusal
        When the row is bad.
    """
    if row.error is not None:
        raise Refusal("$", row.error)
    task = {"task_name": Path(file.name).name.partition(".")[0]} if form.is_of_a_task else {}
    for fields in form.answers(row.fields | task, models):
        yield make_record(fields, file.is_text, odd)


def _of_one_width(answers: Sequence[Answer], bad: dict[int, str]) -> list[Answer]:
    """Leave out answers whose embedding has another width than most embeddings, and note their rows as bad."""
    widths = Counter(len(answer.record.embedding) for answer in answers if answer.record.embedding is not None)
    usual = widths.most_common(1)[0][0] if widths else 0
    good = []
    for answer in answers:
        embedding = answer.record.embedding
        if embedding is None or len(embedding) == usual:
            good.append(answer)
        else:
            expected = f"embedding: expected {usual} numbers as in most records, got {len(embedding)}"
            bad[answer.row] = f"{answer.place}: {expected}"
    return good
