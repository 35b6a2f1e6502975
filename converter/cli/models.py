"""Commands that make and judge models: train, evaluate, diff."""

import json
import sys
import time
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import msgspec
import numpy as np
import typer
from rich.console import Console
from rich.progress import track
from rich.table import Table

from modelpick.runtime import ModelpickError, Selector
from modelpick.runtime.errors import one_line

from ..algorithms.rules import Semantics
from ..evaluation.evaluate import Evaluation, plot
from ..evaluation.evaluate import evaluate as evaluate_artifacts
from ..files.io import write_atomically
from ..files.queries import Query, ask, read_queries
from ..training.embedder import embed
from ..training.embeddings import read_embeddings
from ..training.records import Benchmark, read_benchmark, required_embeddings
from ..training.train import TRAINERS, training_data
from ..training.train import train as train_selector
from ..training.tune import tune as tune_neighbours
from .console import show
from .options import Artifact, AsJson

MOST_SHOWN = 20
Algorithm = StrEnum("Algorithm", {name: name for name in TRAINERS})  # type: ignore[misc]
Data = Annotated[Path, typer.Option(help="Benchmark records, JSON lines, gzipped or not.")]
Embedder = Annotated[
    str | None, typer.Option(help="Embed queries without an embedding by this sentence-transformers model or folder.")
]
Embeddings = Annotated[
    Path | None,
    typer.Option(
        help="Take the queries' embeddings from this .npz: key, the first 16 hex digits of the SHA-1 of each query's "
        "UTF-8, and embedding, a row each."
    ),
]
Seed = Annotated[int, typer.Option(help="Seed of everything that is random.")]


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
    training = training_data(_read(data, embedder, embeddings), k=k, clusters=clusters, seed=seed)
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


def _read(data: Path, embedder: str | None = None, embeddings: Path | None = None) -> Benchmark:
    """Read records with their embeddings; what is odd about them goes to standard error."""
    if embedder is not None and embeddings is not None:
        raise ModelpickError("expected one of --embedder and --embeddings")
    benchmark = read_benchmark(data)
    for warning in [*benchmark.warnings, *benchmark.bad[:MOST_SHOWN]]:
        print(f"warning: {one_line(warning)}", file=sys.stderr)
    if benchmark.bad:
        print(f"warning: {len(benchmark.bad)} bad records are left out", file=sys.stderr)
    if embeddings is not None:
        return benchmark._replace(embeddings=read_embeddings(embeddings, benchmark.queries))
    if embedder is None or (benchmark.embeddings is not None and not np.isnan(benchmark.embeddings).any()):
        return benchmark
    return benchmark._replace(embeddings=embed(benchmark.queries, embedder, progress=sys.stderr.isatty()))


def evaluate(
    artifacts: Annotated[list[Path], typer.Argument(help="Artifacts written by `modelpick convert`.")],
    data: Data,
    embedder: Embedder = None,
    embeddings: Embeddings = None,
    as_json: AsJson = False,
    plot_file: Annotated[
        Path | None, typer.Option("--plot", help="Plot quality against response time here, as .svg or .png.")
    ] = None,
    seed: Seed = 0,
) -> None:
    """Measure artifacts on benchmark records that they were not trained on."""
    evaluation = evaluate_artifacts(artifacts, _read(data, embedder, embeddings), seed=seed)
    if plot_file is not None:
        plot(evaluation, plot_file)
    if as_json:
        print(msgspec.json.encode(evaluation).decode())
    else:
        _show_evaluation(evaluation)


def _show_evaluation(evaluation: Evaluation) -> None:
    table = Table(
        "strategy",
        "quality",
        "95 %",
        "seconds",
        "best picks",
        "gap from random",
        "from best single",
        title=f"{evaluation.queries:,} queries, {evaluation.left_out:,} left out",
    )
    for strategy in evaluation.strategies:
        closed = (strategy.gap_from_random, strategy.gap_from_best_single)
        table.add_row(
            strategy.name,
            f"{strategy.quality:.4f}",
            "{:.4f} to {:.4f}".format(*strategy.interval),
            f"{strategy.seconds:.3f}",
            f"{strategy.best_share:z.1%}",
            *("—" if share is None else f"{share:z.1%}" for share in closed),
        )
    show(table)
    categories = list(evaluation.strategies[0].categories)
    table = Table("strategy", *categories, title="mean quality by category")
    for strategy in evaluation.strategies:
        table.add_row(strategy.name, *(f"{strategy.categories[category]:.4f}" for category in categories))
    show(table)
    models = list(evaluation.strategies[0].selections)
    table = Table("strategy", *models, title="share of selections")
    for strategy in evaluation.strategies:
        table.add_row(strategy.name, *(f"{strategy.selections[model]:z.1%}" for model in models))
    show(table)
    if evaluation.differences:
        table = Table("artifact", "is better than", "by", "95 %", title="paired differences of mean quality")
        for pair in evaluation.differences:
            low, high = pair.interval
            table.add_row(pair.better, pair.than, f"{pair.quality:.4f}", f"{low:.4f} to {high:.4f}")
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
    benchmark = _read(data, embeddings=embeddings)
    rows = zip(benchmark.places, required_embeddings(benchmark), benchmark.categories, strict=True)
    return [Query(place, embedding=row.tolist(), category=category) for place, row, category in rows]
