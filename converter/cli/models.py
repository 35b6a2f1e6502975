"""Commands that train models and compare artifacts: train, diff."""

import json
import sys
import time
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import msgspec
import typer
from rich.console import Console
from rich.progress import track
from rich.table import Table

from modelpick.runtime import ModelpickError, Selector

from ..algorithms.rules import Semantics
from ..files.io import write_atomically
from ..files.queries import Query, ask, read_queries
from ..training.records import required_embeddings
from ..training.train import TRAINERS, training_data
from ..training.train import train as train_selector
from ..training.tune import tune as tune_neighbours
from .console import show
from .options import Artifact, AsJson, Data, Embedder, Embeddings, Seed
from .records import read_records

Algorithm = StrEnum("Algorithm", {name: name for name in TRAINERS})  # type: ignore[misc]


def train(
    data: Data,
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder for the JSON models.")],
    algorithm: Annotated[list[Algorithm] | None, typer.Option(help="What to train; all by default.")] = None,
    embedder: Embedder = None,
    embeddings: Embeddings = None,
    k: Annotated[int, typer.Option("--k", min=1, help="Neighbours of the KNN model.")] = 5,
    tune: Annotated[
        Semantics | None, typer.Option(help="Choose k by cross-validation for these semantics, native or queries.")
    ] = None,
    clusters: Annotated[int, typer.Option(min=1, help="Clusters of the KMeans model.")] = 8,
    seed: Seed = 0,
) -> None:
    """Train selectors on benchmark records, and write them as JSON models that the original library reads.

    A record has query, model_name and performance, and may have category, response_time in seconds or latency_ms, cost,
    success and embedding.
    """
    training = training_data(read_records(data, embedder, embeddings), k=k, clusters=clusters, seed=seed)
    if tune is not None:
        found = tune_neighbours(training, tune)
        best = max(found, key=found.__getitem__)
        table = Table("k", "mean quality on held-out queries")
        for number, quality in found.items():
            table.add_row(str(number), f"{quality:.4f}{' *' if number == best else ''}")
        show(table)
        training = training._replace(k=best)
    table = Table("algorithm", "file", "MB", "seconds")
    console = Console(stderr=True)
    names = algorithm or list(Algorithm)
    for name in track(names, "Training", console=console, transient=True, disable=not sys.stderr.isatty()):
        start = time.perf_counter()
        target = output / f"{name}.json"
        document = msgspec.json.encode(train_selector(training, name))
        write_atomically(target, document)
        table.add_row(name, str(target), f"{len(document) / 1e6:,.2f}", f"{time.perf_counter() - start:.2f}")
    show(table)


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
