"""Commands that show what artifacts hold, and encoders: restore, inspect."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table

from modelpick.runtime import Selector
from modelpick.runtime.artifact.encoder import is_encoder, read_encoder
from modelpick.runtime.artifact.seal import read_sealed

from ..artifact.restore import restore as restore_file
from ..artifact.restore import to_json
from ..files.io import check_distinct
from .console import emit, show
from .names import STDOUT, to_write
from .options import Artifact, AsJson


def restore(
    artifact: Artifact,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output", "-o", help="JSON file; standard output if absent, or -.", parser=to_write(".json", stdout=True)
        ),
    ] = None,
) -> None:
    """Return the JSON model that an artifact was converted from."""
    if output is None or str(output) == STDOUT:
        emit(to_json(artifact))
    else:
        check_distinct(output, [artifact])
        restore_file(artifact, output)


def inspect(artifact: Artifact, as_json: AsJson = False) -> None:
    """Show what an artifact holds, or an encoder."""
    entries = dict(sorted(_entries(artifact).items()))
    if as_json:
        emit(json.dumps(entries, ensure_ascii=False))
        return
    table = Table("entry", "value", title=str(artifact))
    for key, value in entries.items():
        table.add_row(key, value if isinstance(value, str) else json.dumps(value, ensure_ascii=False))
    show(table)


def _entries(artifact: Path) -> Mapping[str, Any]:
    name, data = read_sealed(artifact)
    if is_encoder(name, data):
        return read_encoder(name, data)[0].raw
    with Selector.load(artifact) as selector:
        return selector.metadata.raw
