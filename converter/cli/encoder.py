"""The commands of encoders: encoder, compare-encoders."""

from pathlib import Path
from typing import Annotated

import msgspec
import typer
from rich.table import Table

from modelpick.runtime import ModelpickError
from modelpick.runtime.text import Encoder

from ..encoders.compare import KEPT, Candidate, EncoderWorth
from ..encoders.compare import compare_encoders as compare
from ..encoders.distil import COMPONENTS, Distillation
from ..encoders.make import Pooling, Quantisation, make_encoder
from ..encoders.verify import EncoderError, EncoderReport
from ..files.io import check_distinct, write_atomically
from ..statistics.bootstrap import percent, signed, written
from ..training.records import read_records
from .console import emit, progress, show
from .names import to_read, to_write
from .options import AsJson, Data, ReportFile, Seed
from .records import load_records

ZIPF = "zipf"


def encoder(
    folder: Annotated[
        Path,
        typer.Argument(
            help="Folder of Hugging Face's layout: tokenizer.json, and a graph or static vectors.", parser=to_read
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
    """Convert a text encoder's folder, as Hugging Face lays it out, to one file, and verify it.

    A file whose embeddings differ from the folder's own by more than 1e-5 of their length is not written, unless its
    weights are stored in fewer bits: then the loss is shown. Exit codes: 1 for such a file, 2 for bad input.
    """
    if not distill and (weights != ZIPF or components != COMPONENTS):
        raise ModelpickError("expected --distill with --components and --weights")
    for written_to in filter(None, (output, report)):
        check_distinct(written_to, [*folder.rglob("*"), *filter(None, (data,))])
    counted = None if weights == ZIPF else tuple(read_records(Path(weights)).queries)
    questions = () if data is None else read_records(data).queries
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
                questions=questions,
            )
    except EncoderError as error:
        _publish(error.report, report)
        raise
    _publish(found, report)
    size = output.stat().st_size / 1e6
    emit(
        f"{output}: {found.family}, {found.weights}, {size:,.2f} MB, {found.embedding_dim} columns, pooling "
        f"{found.pooling}, {_limit(found.longest)}, digest {found.digest[:12]}"
    )
    if found.loss is not None:
        emit(
            f"similarities of {found.loss.texts:,} questions correlate by {found.loss.similarity:.3f} with those by "
            "the whole encoder: `modelpick compare-encoders` says what picks are worth"
        )


def compare_encoders(
    encoders: Annotated[list[Path], typer.Argument(help="Files written by `modelpick encoder`.", parser=to_read)],
    data: Data,
    seed: Seed = 0,
    as_json: AsJson = False,
) -> None:
    """Compare encoders by what picks are worth by their embeddings, and by their speed, and recommend one.

    Kernel ridge is cross-validated on each encoder's embeddings of the same records. The fastest encoder whose picks
    are not surely worse than the best encoder's is recommended.
    """
    candidates = []
    for file in encoders:
        loaded = Encoder.load(file)
        records = load_records(data, encoder=loaded)
        candidates.append(Candidate(str(file), loaded, records, file.stat().st_size / 1e6))
    with progress("Comparing encoders", "trials") as done:
        found = compare(candidates, seed, done)
    if as_json:
        emit(msgspec.json.encode(found).decode())
        return
    kept = [f"saved at {share:g}" for share in KEPT]
    table = Table("encoder", "quality", "over the best single model", "over the best encoder", *kept, "ms", "MB")
    for one in found:
        table.add_row(*_cells(one), style="bold" if one.is_recommended else None)
    show(table)
    best = next(one for one in found if one.is_recommended)
    emit(f"{best.file}: the fastest whose picks are not surely worse than those by the best encoder")


def _cells(one: EncoderWorth) -> list[str]:
    numbers = [written(one.quality, ".4f"), signed(one.over_single), signed(one.over_best)]
    return [one.file, *numbers, *map(percent, one.saved.values()), f"{one.milliseconds:.2f}", f"{one.megabytes:,.1f}"]


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
