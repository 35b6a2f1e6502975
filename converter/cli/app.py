"""The `modelpick` command: its sub-commands, how it prints warnings and errors, and its exit codes."""

import sys
import warnings
from typing import Annotated

import numpy as np
import typer

from modelpick import __version__
from modelpick.runtime import ModelpickError

from ..encoders.verify import EncoderError
from ..formats.decoding import DocumentWarning
from ..verification.report import VerificationError
from .console import Stream, emit, fail, occupy_descriptors, open_null, warn
from .convert import convert, inspect, restore, verify
from .decisions import records
from .diff import diff
from .encoder import compare_encoders, encoder
from .evaluate import evaluate
from .hub import pull, push
from .names import Misnamed
from .report import report
from .select import select
from .serve import serve
from .simulate import simulate
from .train import train

app = typer.Typer(
    context_settings={"help_option_names": ["-h", "--help"]},
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)
_MODELS = (convert, verify, restore, inspect, select, train, evaluate, diff, report)
for command in (*_MODELS, records, simulate, encoder, compare_encoders, pull, push, serve):
    app.command()(command)


def _print_version(asked: bool) -> None:
    if asked:
        emit(f"modelpick {__version__}")
        raise typer.Exit


@app.callback()
def modelpick(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    """Convert trained model selectors to ONNX, and pick language models with them."""


def main() -> None:
    """Run the command: exit 0; 1 for an artifact that fails verification, 2 for bad input, each with one line.

    Streams that are closed or full change nothing of this, except that lost output is an error.
    """
    np.seterr(all="ignore")
    warnings.simplefilter("always", DocumentWarning)
    warnings.showwarning = lambda message, *_: warn(message)
    occupy_descriptors()
    if sys.stdin is None:
        sys.stdin = open_null()
    sys.stdout, sys.stderr = output, errors = Stream(sys.stdout), Stream(sys.stderr)
    code = _run()
    unwritten = output.finish()
    if unwritten is not None:
        fail(f"standard output: cannot be written: {unwritten}")
        code = code or 2
    errors.finish()
    sys.exit(code)


def _run() -> int:
    """Run the command: its exit code."""
    try:
        app()
    except SystemExit as done:
        return done.code if isinstance(done.code, int) else int(done.code is not None)
    except (ModelpickError, Misnamed) as error:
        fail(error)
        return 1 if isinstance(error, VerificationError | EncoderError) else 2
    return 0
