"""The command that shows what records hold, and joins decisions with their outcomes: records."""

from pathlib import Path
from typing import Annotated

import msgspec
import typer
from rich.table import Table

from modelpick.runtime import DocumentError, ModelpickError

from ..files.io import check_distinct, write_atomically
from ..files.parquet import SUFFIX, to_parquet
from ..files.rows import read_rows
from ..training.logs import Understood, join, understand
from ..training.records import read_answers
from .console import emit, note, show, warn
from .names import to_read, to_write
from .options import AsJson, Categories, Prices

MOST_SHOWN = 20


def records(
    file: Annotated[
        Path, typer.Argument(metavar="FILE", help="Records or decisions, or a folder of such files.", parser=to_read)
    ],
    outcomes: Annotated[
        Path | None, typer.Option(help="Outcomes, to join with the decisions by decision_id.", parser=to_read)
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            help="Of --outcomes: file for the records, .parquet or JSON lines.",
            parser=to_write(SUFFIX, ".jsonl", ".json"),
        ),
    ] = None,
    categories: Categories = None,
    prices: Prices = None,
    as_json: AsJson = False,
) -> None:
    """Show what is understood of records, and what they can and cannot support; or join decisions with outcomes.

    Outcomes have decision_id and what became known later: performance, success, response_time, cost, tokens. What both
    files have, the outcome says. Decisions and outcomes that have no counterpart are counted and left out.
    """
    if (outcomes is None) != (output is None):
        raise ModelpickError("expected both of --outcomes and --output, or neither")
    if outcomes is not None and output is not None:
        check_distinct(output, (file, outcomes))
        joined = join(read_rows(file, DocumentError), read_rows(outcomes, DocumentError))
        if not joined.records:
            raise DocumentError(f"{outcomes}: expected outcomes of decisions of {file}, got none")
        lines = b"".join(msgspec.json.encode(row) + b"\n" for row in joined.records)
        write_atomically(output, to_parquet(joined.records) if output.suffix == SUFFIX else lines)
        note(
            f"{len(joined.records):,} records; {joined.without_outcome:,} decisions have no outcome, "
            f"{joined.without_decision:,} outcomes no decision"
        )
        file = output
    read = read_answers(file, categories=categories, prices=prices, known=False)
    for bad in read.bad[:MOST_SHOWN]:
        warn(bad)
    found = understand(read)
    if as_json:
        emit(msgspec.json.encode(found).decode())
    else:
        _show(found, read.name)


def _show(found: Understood, name: str) -> None:
    table = Table(f"read as {found.form}", "", title=name)
    for count, of, what in (
        (found.answers, None, "answers"),
        (found.bad, None, "bad rows"),
        (found.questions, None, "questions"),
        (found.duplicates, None, "repeat a question and model"),
        *((count, found.answers, f"of known {kind}") for kind, count in found.known.items()),
        (found.failed, found.answers, "failed"),
        (found.embedded, found.questions, "questions with an embedding"),
        (found.propensities, found.answers, "with a propensity"),
        (found.sessions, None, "sessions"),
    ):
        share = "" if of is None else f" ({count / of:.1%})"
        table.add_row(what, f"{count:,}{share}")
    if found.first is not None:
        table.add_row("time", f"{found.first} to {found.last}")
    for policy, count in found.policies.items():
        table.add_row(f"policy {policy}", f"{count:,} ({count / found.answers:.1%})")
    for models, count in found.models_a_question.items():
        table.add_row(f"questions with answers of {models}", f"{count:,} ({count / found.questions:.1%})")
    show(table)
    table = Table("model", "answers", "share")
    for model, count in found.models.items():
        table.add_row(model, f"{count:,}", f"{count / found.answers:.1%}")
    show(table)
    for text in found.can:
        emit(f"can {text}")
    for text in found.cannot:
        emit(f"cannot {text}")
