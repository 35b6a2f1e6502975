"""The command that adds a model to a trained selector: add."""

from pathlib import Path
from typing import Annotated

import msgspec
import typer

from ..files.io import check_distinct, write_atomically
from ..training.adding import add_models
from .console import note
from .names import to_read, to_write
from .options import Data, RecordOptions, expanded
from .records import load_records


@expanded
def add(
    model: Annotated[
        Path,
        typer.Argument(metavar="MODEL", help="A JSON model that was trained, kernel ridge or KNN.", parser=to_read),
    ],
    data: Data,
    output: Annotated[
        Path, typer.Option("--output", "-o", help="File for the larger JSON model.", parser=to_write(".json"))
    ],
    *,
    reading: RecordOptions,
) -> None:
    """Add language models to a trained selector.

    Some dozens of records of their answers do for a start. All models of the records are added that the selector does
    not know. The others are predicted as before, by KNN nearly so. Operating points, for --keep, are left out: they
    were measured without the new models. Train again for them.
    """
    check_distinct(output, [data, *reading.files])
    records = load_records(data, reading, adds=True)
    fields = add_models(model, records)
    write_atomically(output, msgspec.json.encode(fields))
    note(f"{output}: {model} with the models of {data}")
