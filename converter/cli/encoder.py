"""The encoder command."""

from pathlib import Path
from typing import Annotated

import msgspec
import typer
from rich.table import Table

from modelpick.runtime import ModelpickError

from ..encoders.distil import COMPONENTS, Distillation
from ..encoders.make import Pooling, Quantisation, make_encoder, measure_loss
from ..encoders.verify import EncoderError, EncoderReport
from ..files.io import check_distinct, write_atomically
from ..training.records import read_records
from .console import emit, progress, show, wrote
from .names import to_read, to_write
from .options import ReportFile
from .worth import worth_table

ZIPF = "zipf"


def encoder(
    folder: Annotated[
        Path,
        typer.Argument(
            metavar="FOLDER",
            help="Folder of Hugging Face's layout: tokenizer.json, and a graph or static vectors.",
            parser=to_read,
        ),
    ],
    output: Annotated[Path, typer.Option("--output", "-o", help="The file to write.", parser=to_write(".onnx"))],
    quantise: Annotated[
        Quantisation | None,
        typer.Option(
            help="Store weights in 8 bits, or static vectors in float16, at a reported loss.", case_sensitive=False
        ),
    ] = None,
    max_tokens: Annotated[
        int | None, typer.Option(min=1, help="Cut texts after this number of tokens, if the folder allows more.")
    ] = None,
    pooling: Annotated[
        Pooling | None, typer.Option(help="How the vectors of tokens are pooled, where the folder does not say.")
    ] = None,
    distill: Annotated[
        bool, typer.Option("--distill", help="Make static vectors from a transformer: each token is embedded alone.")
    ] = False,
    components: Annotated[int, typer.Option(min=1, help="Columns of static vectors.")] = COMPONENTS,
    weights: Annotated[
        str,
        typer.Option(
            help="Frequencies of tokens, by which frequent ones weigh less: zipf, or records to count them in."
        ),
    ] = ZIPF,
    data: Annotated[
        Path | None,
        typer.Option(help="Records that the loss of --distill or --quantise is measured on.", parser=to_read),
    ] = None,
    name: Annotated[str | None, typer.Option(help="Name of the encoder; the folder's by default.")] = None,
    report: ReportFile = None,
) -> None:
    """Convert a text encoder's folder to one file.

    The folder is laid out as Hugging Face does; the file is verified. A file whose embeddings differ from the
    folder's own by more than 1e-5 of their length is not written, unless its weights are stored in fewer bits: then
    the loss is shown. Exit codes: 1 for such a file, 2 for bad input.
    """
    if not distill and (weights != ZIPF or components != COMPONENTS):
        raise ModelpickError("expected --distill with --components and --weights")
    if data is not None and not distill and quantise is None:
        raise ModelpickError("expected --distill or --quantise with --data, on which their loss is measured")
    for written_to in filter(None, (output, report)):
        check_distinct(written_to, [*folder.rglob("*"), *filter(None, (data,))])
    counted = None if weights == ZIPF else tuple(read_records(Path(weights)).queries)
    records = None if data is None else read_records(data)
    try:
        with progress("Distilling", "tokens") as done:
            found = make_encoder(
                folder,
                output,
                quantise=quantise,
                max_tokens=max_tokens,
                name=name,
                pooling=pooling,
                distil=Distillation(components, counted) if distill else None,
                done=done,
            )
    except EncoderError as error:
        _publish(error.report, report)
        raise
    if records is not None:
        with progress("Judging", "embeddings") as done:
            found.loss = measure_loss(folder, output, records, max_tokens=max_tokens, pooling=pooling, done=done)
    _publish(found, report)
    size = output.stat().st_size / 1e6
    emit(
        f"{output}: {found.family}, {found.weights}, {size:,.2f} MB, {found.embedding_dim} columns, pooling "
        f"{found.pooling}, {_limit(found.longest)}, digest {found.digest[:12]}, made in {found.seconds:.1f} s"
    )
    wrote(report)
    loss = found.loss
    if loss is None:
        return
    emit(f"similarities of {loss.texts:,} questions correlate by {loss.similarity:.3f} with those by the whole encoder")
    if loss.worth:
        show(worth_table(loss.worth))


def _limit(longest: int | None) -> str:
    return "any number of tokens" if longest is None else f"{longest} tokens at most"


def _publish(found: EncoderReport, report: Path | None) -> None:
    if report is not None:
        write_atomically(report, msgspec.json.format(msgspec.json.encode(found)))
    table = Table("probe", "tokens", "largest difference", "cosine", title="compared with the folder's own model")
    for probe in found.probes:
        table.add_row(probe.name, f"{probe.tokens:,}", f"{probe.difference:.1e}", f"{probe.cosine:.7f}")
    table.add_row("all", "", f"{found.difference:.1e}", f"{found.cosine:.7f}", style="bold")
    show(table)
