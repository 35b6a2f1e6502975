"""The command that compares artifacts: diff."""

import json
from collections import Counter
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from modelpick.runtime import ModelpickError, Selector

from ..files.queries import Query, read_queries
from ..training.records import required_embeddings
from ..verification.diff import changes, queries_of
from .console import show
from .options import Artifact, AsJson, Embeddings
from .records import read_records


def diff(
    old: Artifact,
    new: Artifact,
    queries: Annotated[Path | None, typer.Option(help="File of queries, see `modelpick select`.")] = None,
    data: Annotated[Path | None, typer.Option(help="Benchmark records, whose queries to take instead.")] = None,
    embeddings: Embeddings = None,
    as_json: AsJson = False,
) -> None:
    """Show on which queries two artifacts pick differently, from which model to which, and why.

    Queries are made from the model of OLD where none are given. Reasons are: a tie, which the two break otherwise;
    other neighbours; other weights of the same neighbours; or else other scores.
    """
    given = _queries(old, queries, data, embeddings)
    with Selector.load(old) as one, Selector.load(new) as other:
        found = changes(one, other, given)
        rules = [f"{selector.algorithm} {selector.metadata.semantics}" for selector in (one, other)]
    moved = Counter((change.old, change.new, change.why) for change in found).most_common()
    if as_json:
        print(
            json.dumps(
                {
                    "queries": len(given),
                    "different": len(found),
                    "rules": rules,
                    "changes": [{"a": a, "b": b, "why": why, "queries": count} for (a, b, why), count in moved],
                    "picks": [{"query": number, "a": a, "b": b, "why": why} for number, a, b, why in found],
                },
                ensure_ascii=False,
            )
        )
        return
    print(f"{rules[0]}, then {rules[1]}: {len(found)} of {len(given)} queries differ")
    if not found:
        return
    table = Table("from", "to", "why", "queries")
    for names, count in moved:
        table.add_row(*names, str(count))
    show(table)
    table = Table("query", old.name, new.name, "why")
    for number, *change in found:
        table.add_row(f"{number} ({given[number].place})", *change)
    show(table)


def _queries(old: Path, queries: Path | None, data: Path | None, embeddings: Path | None) -> list[Query]:
    if queries is not None and data is not None:
        raise ModelpickError("expected one of --queries and --data")
    if queries is not None:
        return list(read_queries(queries))
    if data is None:
        return queries_of(old)
    benchmark = read_records(data, embeddings=embeddings)
    rows = zip(benchmark.places, required_embeddings(benchmark), benchmark.categories, strict=True)
    return [Query(place, embedding=row.tolist(), category=category) for place, row, category in rows]
