"""The command that writes a page for reviewers: report."""

from pathlib import Path
from typing import Annotated

import msgspec
import typer

from modelpick.runtime import ModelpickError

from ..files.io import check_distinct
from ..report.answers import answers
from ..report.facts import to_fields
from ..report.markdown import to_markdown
from ..report.write import write_report
from ..verification.probes import SAMPLES
from ..verification.report import VerificationError
from .console import emit, say, wrote
from .names import STDOUT, artifacts_in, to_read, to_write
from .options import Artifacts, RecordOptions, Seed, expanded
from .records import load_records


@expanded
def report(
    artifacts: Artifacts,
    *,
    output: Annotated[
        Path, typer.Option("--output", "-o", help="The page, one HTML file.", parser=to_write(".html", ".htm"))
    ] = Path("report.html"),
    against: Annotated[
        list[Path] | None,
        typer.Option(
            help="An artifact that is replaced, or a folder of them; they are paired by the names of their files.",
            parser=to_read,
        ),
    ] = None,
    data: Annotated[Path | None, typer.Option(help="Benchmark records to evaluate on.", parser=to_read)] = None,
    reading: RecordOptions,
    keep: Annotated[
        list[float] | None,
        typer.Option(
            min=0,
            help="Evaluate this operating point: the share of the best single model's quality to keep. By default 0.9, "
            "0.95 and 1 where an artifact has such points.",
        ),
    ] = None,
    samples: Annotated[
        int, typer.Option(min=0, help="Queries to make from each model; with 0, nothing is verified.")
    ] = SAMPLES,
    summary: Annotated[
        Path | None,
        typer.Option(
            help="Write what matters of it as Markdown here too, in at most 40 lines; - is standard output.",
            parser=to_write(".md", ".markdown", stdout=True),
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print all numbers of the report as JSON.")] = False,
    seed: Seed = 0,
) -> None:
    """Write a page on what artifacts change, for reviewers.

    It also says whether they are worth calling, and its first sentences are printed. Each artifact is verified against
    the JSON model that it restores. With --against, picks are compared with picks of the artifacts that are replaced;
    with --data, all are evaluated. Exit codes: 1 where an artifact disagrees with its JSON model, which the page shows;
    2 for bad input.
    """
    new, old = artifacts_in(artifacts), artifacts_in(against or [])
    to_stdout = str(summary) == STDOUT
    if as_json and to_stdout:
        raise ModelpickError("expected one of --json and --summary - on standard output")
    for written in filter(None, (output, summary)):
        check_distinct(written, [*new, *old, *reading.files, *filter(None, (data,))])
    records = None if data is None else load_records(data, reading)
    facts = write_report(
        new,
        output,
        against=old,
        records=records,
        data=data,
        keeps=keep or [],
        samples=samples,
        summary=None if to_stdout else summary,
        seed=seed,
    )
    if to_stdout:
        for line in to_markdown(facts).split("\n"):
            emit(line)
    elif as_json:
        emit(msgspec.json.encode(to_fields(facts)).decode())
    else:
        for answer in answers(facts):
            for mark, text in answer.leads:
                say(f"{mark or ' '} {answer.name}: {text}")
    wrote(output, None if to_stdout else summary)
    if facts.failed is not None:
        raise VerificationError(facts.failed)
