"""What `evaluate` measures of reworded questions."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated

import msgspec
import typer
from rich.table import Table

from modelpick.runtime.text import Encoder

from ..evaluation.rewording import Flips, flips, read_pairs
from ..formats.outcomes import Benchmark
from ..statistics.bootstrap import percent, signed
from .console import emit, show
from .names import to_read

Reworded = Annotated[
    Path | None,
    typer.Option(
        help="Count how often picks change where questions are reworded: JSON lines of query and reworded, with "
        "--encoder, or of embedding and reworded_embedding, and perhaps category.",
        parser=to_read,
    ),
]


def show_flips(
    artifacts: Mapping[str, Path], source: Path, encoder: Path | None, records: Benchmark, seed: int, *, as_json: bool
) -> None:
    """Count flips of each artifact in several ways of picking, and print them."""
    pairs = read_pairs(source, None if encoder is None else Encoder.load(encoder))
    found = flips(artifacts, pairs, records, seed=seed)
    if as_json:
        emit(msgspec.json.encode(found).decode())
    else:
        show(_table(found, len(pairs.first)))


def _table(found: Sequence[Flips], pairs: int) -> Table:
    columns = ("artifact", "picks", "change by rewording", "not the default", "gain over the default")
    table = Table(*columns, title=f"{pairs:,} questions in other words")
    for one in found:
        table.add_row(one.name, one.way, percent(one.flips), percent(one.leaves), signed(one.gain))
    return table
