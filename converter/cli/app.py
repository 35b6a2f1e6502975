"""The `modelpick` command: its sub-commands, how it prints warnings and errors, and its exit codes."""

import sys
import warnings
from io import TextIOWrapper
from typing import Annotated

import numpy as np
import typer

from modelpick import __version__
from modelpick.runtime import ModelpickError
from modelpick.runtime.errors import one_line

from ..formats.decoding import DocumentWarning
from ..verification.report import VerificationError
from .convert import convert, inspect, restore, verify
from .diff import diff
from .evaluate import evaluate
from .hub import pull, push
from .select import select
from .train import train

app = typer.Typer(
    context_settings={"help_option_names": ["-h", "--help"]},
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
for command in (convert, verify, restore, inspect, select, train, evaluate, diff, pull, push):
    app.command()(command)


def _print_version(asked: bool) -> None:
    if asked:
        print(f"modelpick {__version__}")
        raise typer.Exit


@app.callback()
def modelpick(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    """Convert trained model selectors to ONNX, and pick language models with them."""


def main() -> None:
    """Run the command: exit 0; 1 for an artifact that fails verification, 2 for bad input, each with one line."""
    np.seterr(all="ignore")
    warnings.simplefilter("always", DocumentWarning)
    warnings.showwarning = lambda message, *_: print(f"warning: {one_line(str(message))}", file=sys.stderr)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):  # model names may not fit its encoding
            stream.reconfigure(errors="backslashreplace")
    try:
        app()
    except ModelpickError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(1 if isinstance(error, VerificationError) else 2)
