"""The command that picks: select."""

import json
import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from modelpick.runtime import ModelpickError, Objective, Selector
from modelpick.runtime.query import Asked

from ..files.bulk import select_file
from ..files.queries import FEATURES, ask, read_queries
from .console import console, emit
from .options import Artifact, AsJson


def select(
    artifact: Artifact,
    queries: Annotated[Path | None, typer.Argument(help="File of queries; - or none is standard input.")] = None,
    as_json: AsJson = False,
    source: Annotated[
        Path | None, typer.Option("--input", help="Large file of queries: .npy, .jsonl, .jsonl.gz or .parquet.")
    ] = None,
    target: Annotated[
        Path | None, typer.Option("--output", help="Picks for --input, .jsonl or .parquet; bad rows have an error.")
    ] = None,
    column: Annotated[str, typer.Option(help="Features in --input; else embedding and category.")] = FEATURES,
    keep: Annotated[
        float | None,
        typer.Option(help="Pick by the cheapest operating point that kept this share of the best model's quality."),
    ] = None,
    cost_weight: Annotated[float, typer.Option(min=0, help="Quality that one unit of cost is worth.")] = 0.0,
    seconds_weight: Annotated[float, typer.Option(min=0, help="Quality that one second is worth.")] = 0.0,
    evidence: Annotated[
        float | None, typer.Option(help="Standard errors by which the default model must be led, for KNN by queries.")
    ] = None,
) -> None:
    """Pick the model for each query, one a line or in an array.

    A query is a JSON array of numbers, or an object with features, or with embedding and category. With --input and
    --output, a file of any size is answered; run again, the command continues where it was interrupted. Exit code 1
    where rows were bad.
    """
    objective = Objective(cost_weight, seconds_weight)
    asked = Asked(keep=keep, evidence=evidence, objective=None if objective == Objective() else objective)
    if source is not None and target is not None:
        _select_file(artifact, source, target, column, asked)
        return
    if source is not None or target is not None:
        raise ModelpickError("expected --input and --output together")
    with Selector.load(artifact, **asked) as selector:
        for query in read_queries(queries):
            if as_json:
                emit(json.dumps(ask(selector.explain, query), ensure_ascii=False))
            else:
                emit(ask(selector.select, query))


def _select_file(artifact: Path, source: Path, target: Path, column: str, asked: Asked) -> None:
    progress = Progress(
        TextColumn("{task.completed:,} rows"),
        SpinnerColumn(),
        TimeElapsedColumn(),
        console=console(stderr=True),
        transient=True,
        disable=not sys.stderr.isatty(),
    )
    with progress:
        task = progress.add_task("", total=None)
        found = select_file(
            artifact, source, target, column=column, done=lambda rows: progress.advance(task, rows), asked=asked
        )
    print(f"{found.rows} rows, {found.bad} bad, {found.resumed} from an earlier run", file=sys.stderr)
    if found.bad:
        sys.exit(1)
