"""The `modelpick` command: its sub-commands, how it prints warnings and errors, and its exit codes."""

import sys
import warnings
from importlib import import_module
from typing import Annotated

import numpy as np
import typer
from typer.core import TyperCommand

from modelpick import __version__
from modelpick.runtime import ModelpickError

from ..formats.decoding import DocumentWarning
from ..verification.report import DisagreementError
from .console import Stream, emit, fail, occupy_descriptors, open_null, warn
from .names import Unparsable

# Command -> its module, which is imported when the command is run: most need neither scikit-learn nor skl2onnx.
COMMANDS = {
    "fit": "fit",
    "convert": "convert",
    "verify": "convert",
    "restore": "contents",
    "inspect": "contents",
    "select": "select",
    "train": "train",
    "evaluate": "evaluate",
    "diff": "diff",
    "report": "report",
    "add": "add",
    "records": "decisions",
    "simulate": "simulate",
    "power": "power",
    "encoder": "encoder",
    "compare-encoders": "compare_encoders",
    "pull": "hub",
    "push": "hub",
    "serve": "serve",
}


class Command(TyperCommand):
    """A sub-command, whose usage names arguments without the braces of newer versions of typer: shells expand these."""

    def collect_usage_pieces(self, ctx: typer.Context) -> list[str]:  # type: ignore[override]
        """Return the words behind the name of the command."""
        return [piece.replace("{", "").replace("}", "") for piece in super().collect_usage_pieces(ctx)]


def made(*commands: str) -> typer.Typer:
    """Make the command, with these sub-commands."""
    app = typer.Typer(
        context_settings={"help_option_names": ["-h", "--help"]},
        no_args_is_help=True,
        rich_markup_mode=None,
        pretty_exceptions_enable=False,
    )
    app.callback()(modelpick)
    for command in commands:
        module = import_module(f".{COMMANDS[command]}", __package__)
        app.command(command, cls=Command)(getattr(module, command.replace("-", "_")))
    return app


def __getattr__(name: str) -> typer.Typer:
    """Return ``app``, the command with all of its sub-commands."""
    if name != "app":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return made(*COMMANDS)


def _print_version(requested: bool) -> None:
    if requested:
        emit(f"modelpick {__version__}")
        raise typer.Exit


def modelpick(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    """Convert trained model selectors to ONNX, and pick language models with them."""


def main() -> None:
    """Run the command: exit 0; 1 for an artifact that fails verification, 2 for bad input, each with one line.

    Closed or full streams do not change this, except that lost output is an error.
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
    command = next(iter(sys.argv[1:]), "")
    try:
        made(*([command] if command in COMMANDS else [] if command == "--version" else COMMANDS))()
    except SystemExit as done:
        return done.code if isinstance(done.code, int) else int(done.code is not None)
    except (ModelpickError, Unparsable) as error:
        fail(error)
        return 1 if isinstance(error, DisagreementError) else 2
    return 0
