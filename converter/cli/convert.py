"""Commands that make and check artifacts: convert, verify."""

import time
from collections.abc import Iterator
from enum import StrEnum
from pathlib import Path
from typing import Annotated, NamedTuple, get_type_hints

import typer
from rich.table import Table

from modelpick.runtime import ModelpickError, Selector

from ..algorithms import SEMANTICS
from ..algorithms.row import Semantics
from ..conversion import convert as convert_file
from ..files.io import STDIN, check_distinct
from ..files.queries import ask, read_queries
from ..graphs.exact_search import ExactSearch
from ..load import is_other_json
from ..verification.compare import verify as verify_artifact
from ..verification.probes import SAMPLES
from ..verification.report import Report, VerificationError, write_reports
from .console import fail, note, progress, show, wrote
from .names import Output, files_in, to_fill, to_read, to_write
from .options import Artifact, ReportFile, expanded

Samples = Annotated[int, typer.Option(min=1, help="Queries to make from the model.")]
JUnitFile = Annotated[
    Path | None, typer.Option("--junit", help="Write the verification as JUnit XML here.", parser=to_write(".xml"))
]
# Semantics, and with a version each: "native", "native/2".
AnySemantics = StrEnum("AnySemantics", {name: name for name in SEMANTICS})  # type: ignore[misc]
NATIVE = AnySemantics(Semantics.native)


class Conversion(NamedTuple):
    """How JSON models are converted, see `modelpick.converter.convert`."""

    exact_search: Annotated[
        ExactSearch,
        typer.Option(
            help="How KNN finds candidates: in float32, in 8-bit integers, or the faster; same answers.",
            case_sensitive=False,
        ),
    ] = ExactSearch.auto
    semantics: Annotated[
        AnySemantics,
        typer.Option(
            help="How models pick: as the original does, by the file's version; by the outcomes of the nearest "
            "queries (KNN); or as the original's training code predicts. With a version: exactly these rules.",
            case_sensitive=False,
        ),
    ] = NATIVE
    k: Annotated[int | None, typer.Option("--k", min=1, help="Neighbours, instead of the KNN model's.")] = None
    shrinkage: Annotated[
        float | None,
        typer.Option(help="With --semantics queries: number of queries that a model's mean counts for; 3 by default."),
    ] = None
    embedding_model: Annotated[
        str | None, typer.Option(help="Record the model whose embeddings the selectors were trained with.")
    ] = None
    embedding_dim: Annotated[int | None, typer.Option(help="Record the width of these embeddings.")] = None


@expanded
def convert(
    sources: Annotated[
        list[Path], typer.Argument(metavar="SOURCES", help="JSON models, or folders of them.", parser=to_read)
    ],
    output: Annotated[
        Output,
        typer.Option(
            "--output", "-o", help="Folder for the artifacts; or of one source, a file.onnx.", parser=to_fill(".onnx")
        ),
    ],
    verify: Annotated[bool, typer.Option(help="Compare each artifact with its estimator first.")] = True,
    samples: Samples = SAMPLES,
    *,
    conversion: Annotated[Conversion, get_type_hints(Conversion, include_extras=True)],
    report: ReportFile = None,
    junit: JUnitFile = None,
    strict: Annotated[
        bool, typer.Option("--strict", help="Refuse JSON in a folder that is not a model, instead of skipping it.")
    ] = False,
) -> None:
    """Convert JSON models to artifacts, and verify them.

    Each becomes one .onnx file. An artifact that disagrees with its estimator is not written; its worst query is
    written as NAME.worst.json. Models that cannot be converted are listed, and the others are converted. Exit
    codes: 1 where an artifact disagrees, 2 for bad input.
    """
    described = ("source", "algorithm", "semantics", "rows", "width", "models", "JSON", "artifact")
    table = Table(*described, "seconds", "verified")
    targets = _targets(sources, output, strict)
    for written in (report, junit):
        if written is not None:
            check_distinct(written, targets.values())
    reports: list[Report] = []
    refusals: list[ModelpickError] = []
    with progress("Converting", "files") as converted:
        for place, (target, source) in enumerate(targets.items(), 1):
            start = time.perf_counter()
            try:
                check_distinct(target, targets.values())
                with progress(f"Verifying {source.name}", "queries") as done:
                    checked = samples if verify else 0
                    reports.append(convert_file(source, target, samples=checked, done=done, **conversion._asdict()))
                table.add_row(*_described(source, target, time.perf_counter() - start, reports[-1]))
            except ModelpickError as error:
                refusals.append(error)
                if isinstance(error, VerificationError):
                    reports.append(error.report)
            converted(place, len(targets))
    if verify and reports:
        write_reports(reports, report, junit)
    if table.row_count:
        show(table)
    # The last is raised, and so decides on the exit code.
    refusals.sort(key=lambda refusal: isinstance(refusal, VerificationError))
    for refusal in refusals[:-1]:
        fail(refusal)
    if refusals:
        raise refusals[-1]
    if verify:
        wrote(report, junit)


def _models(source: Path, strict: bool) -> list[Path]:
    """Return a JSON model, or all of a folder, where other JSON is skipped unless ``strict``."""
    files = files_in(source, ".json")
    if strict or not source.is_dir():
        return files
    others = [file for file in files if is_other_json(file)]
    if len(others) == len(files):
        raise ModelpickError(f"{source}: expected at least one JSON model in this folder, got {len(files)} other files")
    for file in others:
        note(f"{file}: passed over: it names no algorithm, and so is no model")
    return [file for file in files if file not in others]


def _targets(sources: list[Path], output: Output, strict: bool) -> dict[Path, Path]:
    """Map artifact -> source, folders expanded; two sources of one artifact are refused."""
    targets: dict[Path, Path] = {}
    for source in sources:
        for file in _models(source, strict):
            target = output.file(f"{'stdin' if str(file) == STDIN else file.stem}.onnx")
            if target not in targets or targets[target].resolve() == file.resolve():
                targets[target] = file
            elif output.is_file:
                raise ModelpickError(f"{target}: expected a folder for several artifacts, got the name of one")
            else:
                raise ModelpickError(f"{file}: expected another name: {targets[target]} makes {target} too")
    return targets


def _described(source: Path, target: Path, seconds: float, report: Report) -> Iterator[str]:
    with Selector.load(target) as selector:
        yield from (
            source.name,
            selector.algorithm,
            selector.metadata.semantics,
            f"{selector.metadata.rows:,}",
            f"{selector.n_features_in_:,}",
        )
        yield str(len(selector.model_names))
    for path in (source, target):
        yield f"{path.stat().st_size / 1e6:,.2f} MB" if path.is_file() else "—"
    yield f"{seconds:.2f}"
    yield f"{report.agreed} of {report.queries}" if report.queries else "no"


def verify(
    artifact: Artifact,
    against: Annotated[Path, typer.Option(help="The JSON model that it was converted from.", parser=to_read)],
    queries: Annotated[Path | None, typer.Option(help="File of queries, instead of made ones.", parser=to_read)] = None,
    samples: Samples = SAMPLES,
    report: ReportFile = None,
    junit: JUnitFile = None,
) -> None:
    """Compare an artifact with its JSON model.

    The artifact runs in onnxruntime, the model as a scikit-learn estimator. Exit codes: 1 where they disagree on a
    query that is not tied, 2 for bad input. The worst query is written next to the artifact, as NAME.worst.json.
    """
    for written in filter(None, (report, junit)):
        check_distinct(written, filter(None, (artifact, against, queries)))
    given = None
    if queries is not None:
        with Selector.load(artifact) as selector:
            given = [ask(selector.checked, query) for query in read_queries(queries)]
    with progress("Verifying", "queries") as done:
        found = verify_artifact(artifact, against, queries=given, samples=samples, done=done)
    write_reports([found], report, junit)
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
    wrote(report, junit)
