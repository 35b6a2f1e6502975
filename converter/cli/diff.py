"""The command that compares artifacts: diff."""

import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from modelpick.runtime import ModelpickError
from modelpick.runtime.text import Encoder
from modelpick.runtime.text.messages import Messages, prompt_of

from ..evaluation.seen import unseen
from ..files.queries import Query, ask, parse_prompt, read_queries
from ..training.records import required_embeddings
from ..verification.diff import diff as compare
from .console import emit, plain, say, show, warn
from .names import to_read
from .options import AsJson, Categories, Embeddings, EncoderFile, Reading, expanded
from .records import load_records

# Most changes, and most queries, that are printed.
MOST = 12


@expanded
def diff(
    old: Annotated[
        Path, typer.Argument(metavar="OLD", help="The artifact that picks are compared with.", parser=to_read)
    ],
    new: Annotated[Path, typer.Argument(metavar="NEW", help="The artifact that perhaps replaces it.", parser=to_read)],
    queries: Annotated[
        Path | None, typer.Option(help="File of queries, see `modelpick select`.", parser=to_read)
    ] = None,
    data: Annotated[
        Path | None, typer.Option(help="Benchmark records, whose queries to take instead.", parser=to_read)
    ] = None,
    *,
    reading: Annotated[Reading, {"embeddings": Embeddings, "encoder": EncoderFile, "categories": Categories}],
    as_json: AsJson = False,
) -> None:
    """Show where two artifacts pick differently, and why.

    Changes are counted from which model to which. Where no queries are given, they are made from the model of OLD.
    Reasons are: a tie, which the two break differently; other neighbours; other weights of the same neighbours;
    otherwise other scores.
    """
    encoder = None if reading.encoder is None else Encoder.load(reading.encoder)
    given = _queries([old, new], queries, data, reading, encoder)
    rules, compared, changes = compare(old, new, given, encoder)
    moved = Counter((change.old, change.new, change.why) for change in changes).most_common()
    if as_json:
        emit(
            json.dumps(
                {
                    "queries": len(compared),
                    "different": len(changes),
                    "rules": rules,
                    "changes": [{"a": a, "b": b, "why": why, "queries": count} for (a, b, why), count in moved],
                    "picks": [{"query": number, "a": a, "b": b, "why": why} for number, a, b, why in changes],
                },
                ensure_ascii=False,
            )
        )
        return
    emit(f"{rules[0]}, then {rules[1]}: {len(changes)} of {len(compared)} queries differ")
    if not changes:
        return
    table = plain("queries", "why", "from → to")
    for (a, b, why), count in moved[:MOST]:
        table.add_row(f"{count:,}", why, f"{a} → {b}")
    show(table)
    if others := moved[MOST:]:
        say(f"{len(others):,} other changes of {sum(count for _, count in others):,} queries are in --json.")
    emit("")
    table = plain("query", "why", "from → to")
    for number, a, b, why in changes[:MOST]:
        table.add_row(f"{number} ({compared[number].place})", why, f"{a} → {b}")
    show(table)
    if len(changes) > MOST:
        say(f"{len(changes) - MOST:,} other queries are in --json.")


def _queries(
    artifacts: Sequence[Path], queries: Path | None, data: Path | None, reading: Reading, encoder: Encoder | None
) -> list[Query] | None:
    """Read queries, or take the records' queries; None where neither is given."""
    if queries is not None and data is not None:
        raise ModelpickError("expected one of --queries and --data")
    if queries is not None:
        return list(read_queries(queries)) if encoder is None else _embedded(queries, encoder)
    if data is None:
        return None
    benchmark = load_records(data, reading, encoder)
    benchmark, seen = unseen({str(artifact): artifact for artifact in artifacts}, benchmark)
    for one in seen:
        warn(one)
    rows = zip(benchmark.places, required_embeddings(benchmark), benchmark.categories, strict=True)
    return [Query(place, embedding=row.tolist(), category=category) for place, row, category in rows]


def _embedded(queries: Path, encoder: Encoder) -> list[Query]:
    """Read prompts, and embed each once for both artifacts."""
    prompts = list(read_queries(queries, parse_prompt))
    rows = encoder.embed([ask(_text, query) for query in prompts])
    return [
        Query(query.place, embedding=row.tolist(), category=query.category)
        for query, row in zip(prompts, rows, strict=True)
    ]


def _text(text: str | None = None, *, messages: Messages | None = None, category: str | None = None) -> str:
    """Return the text of a prompt, as `Query.given_to` gives it."""
    return prompt_of(messages or []) if text is None else text
