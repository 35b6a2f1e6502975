"""The command that shows what records hold, and joins decisions with their outcomes: records."""

from collections import Counter
from pathlib import Path
from typing import Annotated, Any

import msgspec
import typer

from modelpick.runtime import DocumentError, ModelpickError

from ..files.io import check_distinct
from ..files.parquet import SUFFIX
from ..files.rows import read_rows, write_rows
from ..formats.words import MOST_MODELS, listed
from ..statistics.bootstrap import in_percent
from ..statistics.equals import alike
from ..training.logs import Understood, join, understand
from ..training.records import read_answers
from .console import emit, note, plain, say, show, warn, wrote
from .names import to_read, to_write
from .options import AsJson, Categories, Prices

MOST_SHOWN = 20


def records(
    file: Annotated[
        str,
        typer.Argument(
            metavar="FILE", help="Records or decisions, or a folder of such files; or the URL of a gateway's decisions."
        ),
    ],
    outcomes: Annotated[
        Path | None, typer.Option(help="Outcomes, to join with the decisions by decision_id.", parser=to_read)
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            help="With --outcomes, or for a gateway: file for the records, .parquet or JSON lines.",
            parser=to_write(SUFFIX, ".jsonl", ".json"),
        ),
    ] = None,
    signal: Annotated[
        str | None,
        typer.Option(help="For a gateway: name of the signal that is the quality, instead of the mean of all signals."),
    ] = None,
    categories: Categories = None,
    prices: Prices = None,
    as_json: AsJson = False,
) -> None:
    """Show what records hold; join decisions and outcomes.

    It says what they can and cannot support. Outcomes have decision_id and what became known later: performance,
    success, response_time, cost, tokens. Where both files have a field, the outcome's value counts. Decisions and
    outcomes without a counterpart are counted and left out.
    """
    is_gateway = "://" in file
    if is_gateway and (outcomes is not None or output is None):
        raise ModelpickError("expected --output of a gateway's decisions, which have their outcomes with them")
    if not is_gateway and ((outcomes is None) != (output is None) or signal is not None):
        raise ModelpickError("expected both of --outcomes and --output, or neither")
    source = Path() if is_gateway else to_read(file)
    if is_gateway and output is not None:
        write_rows(output, _of_gateway(file, signal))
        source = output
        wrote(output)
    elif outcomes is not None and output is not None:
        check_distinct(output, (source, outcomes))
        joined = join(read_rows(source, DocumentError), read_rows(outcomes, DocumentError))
        write_rows(output, joined.records)
        note(
            f"{len(joined.records):,} records; {joined.without_outcome:,} decisions have no outcome, "
            f"{joined.without_decision:,} outcomes no decision"
        )
        source = output
        wrote(output)
    read = read_answers(source, categories=categories, prices=prices, known=False)
    for bad in read.bad[:MOST_SHOWN]:
        warn(bad)
    found = understand(read)
    if as_json:
        emit(msgspec.json.encode(found).decode())
    else:
        _show(found, read.name)


def _of_gateway(url: str, signal: str | None) -> list[dict[str, Any]]:
    """Return the records of a gateway's decisions, and say what the others lack."""
    try:
        from modelpick.gateway.database import Database
        from modelpick.gateway.records import records as read
    except ModuleNotFoundError as error:
        raise ModelpickError(f"a gateway's decisions need {error.name}: pip install 'modelpick[gateway]'") from None
    skipped: Counter[str] = Counter()
    database = Database(url, reads=True)
    found = list(read(database, signal, skipped))
    for process, count in database.lost().items():
        warn(f"process {process} of the gateway lost {count:,} decisions: it ended before they were written")
    lacking = "".join(f", {count:,} decisions without {what}" for what, count in skipped.most_common())
    if not found:
        raise DocumentError(f"expected decisions that are records, got none{lacking}")
    note(f"{len(found):,} records{lacking}")
    return found


def _show(found: Understood, name: str) -> None:
    say(f"{name}: read as {found.form}")
    table = plain("", "")
    table.show_header = False
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
        share = "" if of is None else f" ({in_percent(count / of)})"
        table.add_row(what, f"{count:,}{share}")
    if found.first is not None:
        table.add_row("time", f"{found.first} to {found.last}")
    for policy, count in found.policies.items():
        table.add_row(f"policy {policy}", f"{count:,} ({in_percent(count / found.answers)})")
    for models, count in found.models_a_question.items():
        table.add_row(f"questions with answers of {models}", f"{count:,} ({in_percent(count / found.questions)})")
    show(table)
    ranked = sorted(found.models.items(), key=lambda of_model: -of_model[1])
    if len({count for _, count in ranked}) == 1 < len(ranked):
        say(f"{len(ranked)} models, each with {ranked[0][1]:,} answers: {listed([*found.models], MOST_MODELS)}")
    else:
        table = plain("model", "answers", "share")
        for model, count in ranked[:MOST_MODELS]:
            table.add_row(model, f"{count:,}", in_percent(count / found.answers))
        if others := [count for _, count in ranked[MOST_MODELS:]]:
            table.add_row(f"{len(others)} others", f"{sum(others):,}", in_percent(sum(others) / found.answers))
        show(table)
    for first, same in found.equal_models.items():
        say(f"{alike(first, same)}: nothing tells them apart")
    for text in found.can:
        say(f"can {text}")
    for text in found.cannot:
        say(f"cannot {text}")
