"""The `modelpick` command; see `cli_models` for training and evaluation."""

import json
import sys
import time
import warnings
from collections.abc import Iterator, Sequence
from io import TextIOWrapper
from pathlib import Path
from typing import Annotated

import msgspec
import numpy as np
import typer
from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn, track
from rich.table import Table
from rich.text import Text

from modelpick.runtime import FeatureError, ModelpickError, Selector
from modelpick.runtime.errors import one_line

from ..algorithms.rules import Semantics
from ..artifact.restore import restore as restore_file
from ..artifact.restore import to_json
from ..convert import convert as convert_file
from ..files.bulk import select_file
from ..files.io import write_atomically
from ..files.queries import read_queries
from ..formats.decoding import DocumentWarning
from ..graphs.exact_search import ExactSearch
from ..verification.compare import verify as verify_artifact
from ..verification.probes import SAMPLES
from ..verification.report import Report, VerificationError, write_junit
from .console import show
from .models import diff, evaluate, pull, push, train

app = typer.Typer(
    help="Convert trained model selectors to ONNX, and pick language models with them.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
Artifact = Annotated[Path, typer.Argument(help="An artifact written by `modelpick convert`.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON, one value per line.")]
Samples = Annotated[int, typer.Option(min=1, help="Queries to make from the model.")]
ReportFile = Annotated[Path | None, typer.Option("--report", help="Write the verification as JSON here.")]
JUnitFile = Annotated[Path | None, typer.Option("--junit", help="Write the verification as JUnit XML here.")]


@app.command()
def convert(
    sources: Annotated[list[Path], typer.Argument(help="JSON models, or folders of them.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder for the artifacts.")],
    verify: Annotated[bool, typer.Option(help="Hold each artifact against its estimator first.")] = True,
    samples: Samples = SAMPLES,
    exact_search: Annotated[
        ExactSearch,
        typer.Option(help="How KNN finds candidates: in float32, in 8-bit integers, or as pays. Answers are the same."),
    ] = ExactSearch.auto,
    semantics: Annotated[
        Semantics,
        typer.Option(
            help="Pick as the original library; by the outcomes of the nearest queries (KNN); or as the Python code "
            "that trains the models."
        ),
    ] = Semantics.native,
    k: Annotated[int | None, typer.Option("--k", min=1, help="Neighbours, instead of the KNN model's.")] = None,
    shrinkage: Annotated[
        float | None,
        typer.Option(help="Queries that a model's overall mean counts for, for the semantics queries; 1 by default."),
    ] = None,
    embedding_model: Annotated[
        str | None, typer.Option(help="Record the model whose embeddings the selectors were trained with.")
    ] = None,
    embedding_dim: Annotated[int | None, typer.Option(help="Record the width of these embeddings.")] = None,
    report: ReportFile = None,
    junit: JUnitFile = None,
) -> None:
    """Convert JSON models to artifacts, one .onnx file each, and verify them.

    An artifact that disagrees with its estimator is not written; the worst query is, as NAME.worst.json. Exit codes:
    1 for such an artifact, 2 for bad input.
    """
    table = Table("source", "algorithm", "rows", "width", "models", "JSON", "artifact", "seconds", "verified")
    console = Console(stderr=True)
    targets = _targets(sources, output)
    reports: list[Report] = []
    try:
        for target, source in track(
            targets.items(), "Converting", console=console, transient=True, disable=not sys.stderr.isatty()
        ):
            start = time.perf_counter()
            reports.append(
                convert_file(
                    source,
                    target,
                    samples=samples if verify else 0,
                    exact_search=exact_search,
                    semantics=semantics,
                    k=k,
                    shrinkage=shrinkage,
                    embedding_model=embedding_model,
                    embedding_dim=embedding_dim,
                )
            )
            table.add_row(*_described(source, target, time.perf_counter() - start, reports[-1]))
    except VerificationError as error:
        _publish([*reports, error.report], report, junit)
        raise
    if verify:
        _publish(reports, report, junit)
    show(table)


def _targets(sources: list[Path], output: Path) -> dict[Path, Path]:
    """Map artifact -> source, folders expanded; two sources of one artifact are refused."""
    targets: dict[Path, Path] = {}
    for source in sources:
        files = sorted(source.glob("*.json")) if source.is_dir() else [source]
        if not files:
            raise ModelpickError(f"{source}: expected at least one .json file in this folder")
        for file in files:
            target = output / f"{file.stem}.onnx"
            if target in targets and targets[target].resolve() != file.resolve():
                raise ModelpickError(f"{file}: expected another name: {targets[target]} makes {target} too")
            targets[target] = file
    return targets


def _described(source: Path, target: Path, seconds: float, report: Report) -> Iterator[str | Text]:
    with Selector.load(target) as selector:
        yield from (
            Text(one_line(source.name)),
            selector.algorithm,
            f"{selector.metadata.rows:,}",
            f"{selector.n_features_in_:,}",
        )
        yield str(len(selector.model_names))
    yield from (f"{path.stat().st_size / 1e6:,.2f} MB" for path in (source, target))
    yield f"{seconds:.2f}"
    yield f"{report.agreed} of {report.queries}" if report.queries else "no"


def _publish(reports: Sequence[Report], report: Path | None, junit: Path | None) -> None:
    """Write the reports, and the worst query of each that failed beside its artifact."""
    if report is not None:
        write_atomically(report, msgspec.json.format(msgspec.json.encode(reports)))
    if junit is not None:
        write_junit(reports, junit)
    for failed in reports:
        if failed.worst is not None:
            write_atomically(Path(failed.artifact).with_suffix(".worst.json"), msgspec.json.encode(failed.worst.query))


@app.command()
def verify(
    artifact: Artifact,
    against: Annotated[Path, typer.Option(help="The JSON model that it was converted from.")],
    queries: Annotated[Path | None, typer.Option(help="File of queries, instead of made ones.")] = None,
    samples: Samples = SAMPLES,
    report: ReportFile = None,
    junit: JUnitFile = None,
) -> None:
    """Hold an artifact, run in onnxruntime, against the scikit-learn estimator of its JSON model.

    Exit codes: 1 where they disagree on a query that is not tied, 2 for bad input. The worst query is written beside
    the artifact, as NAME.worst.json.
    """
    try:
        given = None if queries is None else [query for _, query in read_queries(queries)]
        found = verify_artifact(artifact, against, queries=given, samples=samples)
    except FeatureError as error:
        raise FeatureError(f"{queries}: {str(error).removeprefix(f'{queries}: ')}") from None
    _publish([found], report, junit)
    if not found.passed:
        raise VerificationError(found)
    table = Table("queries", "agreed", "tied", "score difference", "distance difference", "seconds")
    table.add_row(
        str(found.queries),
        str(found.agreed),
        str(found.tied),
        f"{found.score_difference:.1e}",
        f"{found.distance_difference:.1e}",
        f"{found.seconds:.2f}",
    )
    show(table)


@app.command()
def restore(
    artifact: Artifact,
    output: Annotated[Path | None, typer.Option("--output", "-o", help="JSON file; standard output if absent.")] = None,
) -> None:
    """Give back the JSON model that an artifact was converted from."""
    if output is None:
        print(to_json(artifact))
    else:
        restore_file(artifact, output)


@app.command()
def select(
    artifact: Artifact,
    queries: Annotated[
        Path | None, typer.Argument(help="File of queries, a JSON array each; standard input if absent.")
    ] = None,
    as_json: Json = False,
    source: Annotated[
        Path | None, typer.Option("--input", help="Large file of queries: .npy, .jsonl or .parquet; see --output.")
    ] = None,
    target: Annotated[
        Path | None, typer.Option("--output", help="Picks for --input, .jsonl or .parquet; bad rows go beside it.")
    ] = None,
    column: Annotated[str, typer.Option(help="Features in --input; else embedding and category.")] = "features",
) -> None:
    """Pick the model for each query: a JSON array of numbers, one a line, or an array of such arrays.

    With --input and --output, of a file of any size; run again, it goes on where it was interrupted. Exit code 1 where
    rows were bad.
    """
    if source is not None and target is not None:
        _select_file(artifact, source, target, column)
        return
    if source is not None or target is not None:
        raise ModelpickError("expected --input and --output together")
    with Selector.load(artifact) as selector:
        for place, query in read_queries(queries):
            try:
                found = selector.explain(query) if as_json else selector.select(query)
            except FeatureError as error:
                raise FeatureError(f"{place}: {error}") from None
            print(json.dumps(found, ensure_ascii=False) if as_json else found)


def _select_file(artifact: Path, source: Path, target: Path, column: str) -> None:
    progress = Progress(
        TextColumn("{task.completed:,} rows"),
        SpinnerColumn(),
        TimeElapsedColumn(),
        console=Console(stderr=True),
        transient=True,
        disable=not sys.stderr.isatty(),
    )
    with progress:
        task = progress.add_task("", total=None)
        found = select_file(artifact, source, target, column=column, done=lambda rows: progress.advance(task, rows))
    print(f"{found.rows} rows, {found.bad} bad, {found.resumed} from an earlier run", file=sys.stderr)
    if found.bad:
        sys.exit(1)


for command in (diff, evaluate, train, pull, push):
    app.command()(command)


@app.command()
def inspect(artifact: Artifact, as_json: Json = False) -> None:
    """Show what an artifact holds."""
    with Selector.load(artifact) as selector:
        entries = dict(sorted(selector.metadata.raw.items()))
    if as_json:
        print(json.dumps(entries, ensure_ascii=False))
        return
    table = Table("entry", "value")
    for key, value in entries.items():
        table.add_row(key, Text(value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)))
    show(table)


def main() -> None:
    """Run the command: exit 0; 1 for an artifact that fails verification, 2 for bad input, each with one line."""
    np.seterr(all="ignore")
    warnings.simplefilter("always", DocumentWarning)
    warnings.showwarning = lambda message, *_: print(f"warning: {one_line(str(message))}", file=sys.stderr)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):  # model names may not fit its encoding
            stream.reconfigure(errors="backslashreplace")
    try:
        app()
    except ModelpickError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(1 if isinstance(error, VerificationError) else 2)
