"""Arguments and options that several commands share."""

from pathlib import Path
from typing import Annotated

import typer

Artifact = Annotated[Path, typer.Argument(help="An artifact written by `modelpick convert`.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON, one value per line.")]
