"""The command that compares artifacts: diff."""

import json
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from modelpick.runtime import ModelpickError, Selector

from ..files.queries import Query, ask, read_queries
from ..training.records import required_embeddings
from .console import show
from .options import Artifact, AsJson, Embeddings
from .records import read_records


def diff(
    a: Artifact,
    b: Artifact,
    queries: Annotated[Path | None, typer.Option(help="File of queries, see `modelpick select`.")] = None,
    data: Annotated[Path | None, typer.Option(help="Benchmark records, whose queries to take instead.")] = None,
    embeddings: Embeddings = None,
    as_json: AsJson = False,
) -> None:
    """Show on how many queries two artifacts disagree, and on which."""
    given = _queries(queries, data, embeddings)
    with Selector.load(a) as one, Selector.load(b) as other:
        picks = [(ask(one.select, query), ask(other.select, query)) for query in given]
    differing = [(number, *pair) for number, pair in enumerate(picks) if pair[0] != pair[1]]
    if as_json:
        found = [{"query": number, "a": first, "b": second} for number, first, second in differing]
        print(json.dumps({"queries": len(picks), "different": len(found), "picks": found}, ensure_ascii=False))
        return
    table = Table("query", a.name, b.name, title=f"{len(differing)} of {len(picks)} queries differ")
    for number, first, second in differing:
        table.add_row(f"{number} ({given[number].place})", first, second)
    show(table)


def _queries(queries: Path | None, data: Path | None, embeddings: Path | None) -> list[Query]:
    if (queries is None) == (data is None):
        raise ModelpickError("expected one of --queries and --data")
    if data is None:
        return list(read_queries(queries))
    benchmark = read_records(data, embeddings=embeddings)
    rows = zip(benchmark.places, required_embeddings(benchmark), benchmark.categories, strict=True)
    return [Query(place, embedding=row.tolist(), category=category) for place, row, category in rows]
