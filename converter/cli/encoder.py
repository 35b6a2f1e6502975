"""The command that makes encoders: encoder."""

from pathlib import Path
from typing import Annotated

import msgspec
import typer
from rich.table import Table

from ..encoders.make import Pooling, Quantisation, make_encoder
from ..encoders.verify import EncoderError, EncoderReport
from ..files.io import check_distinct, write_atomically
from .console import emit, show
from .convert import ReportFile
from .names import to_read, to_write


def encoder(
    folder: Annotated[
        Path,
        typer.Argument(
            help="tokenizer.json beside onnx/model.onnx, model.onnx or static vectors, see docs.", parser=to_read
        ),
    ],
    output: Annotated[Path, typer.Option("--output", "-o", help="The file to write.", parser=to_write(".onnx"))],
    quantise: Annotated[
        Quantisation | None,
        typer.Option(help="Store weights in 8 bits: a quarter of the size, at a reported loss.", case_sensitive=False),
    ] = None,
    max_tokens: Annotated[
        int | None, typer.Option(min=1, help="Cut texts after so many tokens, if the folder allows more.")
    ] = None,
    pooling: Annotated[
        Pooling | None, typer.Option(help="How one vector is made of the tokens', where the folder does not say.")
    ] = None,
    name: Annotated[str | None, typer.Option(help="Name of the encoder; the folder's by default.")] = None,
    report: ReportFile = None,
) -> None:
    """Convert a text encoder's folder, as Hugging Face lays it out, to one file, and verify it.

    A file whose embeddings differ from the folder's own by more than 1e-5 of their length is not written, unless its
    weights are stored in 8 bits: then the loss is shown. Exit codes: 1 for such a file, 2 for bad input.
    """
    for written in filter(None, (output, report)):
        check_distinct(written, folder.rglob("*"))
    try:
        found = make_encoder(folder, output, quantise=quantise, max_tokens=max_tokens, name=name, pooling=pooling)
    except EncoderError as error:
        _publish(error.report, report)
        raise
    _publish(found, report)
    size = output.stat().st_size / 1e6
    emit(
        f"{output}: {found.family}, {found.weights}, {size:,.2f} MB, {found.embedding_dim} columns, pooling "
        f"{found.pooling}, {_limit(found.longest)}, digest {found.digest[:12]}"
    )


def _limit(longest: int | None) -> str:
    return "any number of tokens" if longest is None else f"{longest} tokens at most"


def _publish(found: EncoderReport, report: Path | None) -> None:
    if report is not None:
        write_atomically(report, msgspec.json.format(msgspec.json.encode(found)))
    table = Table("probe", "tokens", "largest difference", "cosine", title="beside the folder's own model")
    for probe in found.probes:
        table.add_row(probe.name, f"{probe.tokens:,}", f"{probe.difference:.1e}", f"{probe.cosine:.7f}")
    table.add_row("all", "", f"{found.difference:.1e}", f"{found.cosine:.7f}", style="bold")
    show(table)
