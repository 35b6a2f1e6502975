"""The compare-encoders command."""

from pathlib import Path
from typing import Annotated

import msgspec
import typer

from ..encoders.compare import candidate
from ..encoders.compare import compare_encoders as compare
from .console import emit, progress, show
from .names import to_read
from .options import AsJson, Data, Seed
from .records import load_records
from .worth import worth_table


def compare_encoders(
    encoders: Annotated[
        list[Path], typer.Argument(metavar="ENCODERS", help="Files written by `modelpick encoder`.", parser=to_read)
    ],
    data: Data,
    seed: Seed = 0,
    as_json: AsJson = False,
) -> None:
    """Compare encoders by the worth of picks, and by speed.

    One is recommended. Kernel ridge is cross-validated on each encoder's embeddings of the same records. The
    fastest encoder whose picks are not surely worse than the best encoder's is recommended.
    """
    candidates = [candidate(file, lambda encoder: load_records(data, encoder=encoder)) for file in encoders]
    with progress("Comparing encoders", "trials") as done:
        found = compare(candidates, seed, done)
    if as_json:
        emit(msgspec.json.encode(found).decode())
        return
    show(worth_table(found))
    best = next(one for one in found if one.is_recommended)
    emit(f"{best.file}: the fastest whose picks are not surely worse than those by the best encoder")
