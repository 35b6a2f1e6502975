"""What the command prints: tables and lines, on a terminal, in a log, or to nobody.

All that users named, models and files, is printed as it is: nothing of it is markup.
"""

import os
import sys
from collections.abc import Callable
from io import TextIOBase, TextIOWrapper
from pathlib import Path
from typing import TextIO

import typer
from rich.console import Console
from rich.table import Table

from ..files.io import reason

WIDE = 200
STDERR = 2


def console(*, stderr: bool = False) -> Console:
    """Return a console that prints names as they are; tables are as wide as a terminal, or wide in a log."""
    stream = sys.stderr if stderr else sys.stdout
    return Console(stderr=stderr, width=None if stream.isatty() else WIDE, markup=False, emoji=False, highlight=False)


def show(table: Table) -> None:
    """Print a table."""
    console().print(table)


def emit(line: str) -> None:
    """Print a line of output that may go on for ever; stop where nobody reads it.

    Raises
    ------
    typer.Exit
        When it cannot be written.
    """
    print(line)
    if isinstance(sys.stdout, Stream) and sys.stdout.failure is not None:
        raise typer.Exit


class Stream(TextIOBase):
    """A standard stream that outlives its reader: what cannot be written is dropped, and the first failure kept.

    So work is done, and its exit code is right, also where the stream is closed or its device is full.
    """

    def __init__(self, stream: TextIO | None) -> None:
        self._stream = stream
        self.failure: OSError | None = None
        if isinstance(stream, TextIOWrapper):  # model names may not fit its encoding
            stream.reconfigure(errors="backslashreplace")

    @property
    def encoding(self) -> str:  # type: ignore[override]
        """Encoding of the stream beneath."""
        return self._stream.encoding if self._stream else "utf-8"

    def isatty(self) -> bool:
        """Return whether it is a terminal."""
        return self._stream is not None and self._stream.isatty()

    def fileno(self) -> int:
        """Return the descriptor of the stream beneath."""
        if self._stream is None:
            raise OSError("closed")
        return self._stream.fileno()

    def writable(self) -> bool:
        """Return true."""
        return True

    def write(self, text: str) -> int:
        """Write text, or drop it."""
        self._try(lambda stream: stream.write(text))
        return len(text)

    def flush(self) -> None:
        """Flush what was written."""
        self._try(lambda stream: stream.flush())

    def _try(self, act: Callable[[TextIO], object]) -> None:
        if self._stream is None or self.failure is not None:
            return
        try:
            act(self._stream)
        except OSError as failure:
            self.failure = failure

    def finish(self) -> str | None:
        """Flush for the last time: why something could not be written, if it matters. A reader may leave early."""
        self.flush()
        if self.failure is None:
            return None
        if self._stream is not None:  # what is left in its buffer would fail once more when Python exits
            os.dup2(os.open(os.devnull, os.O_WRONLY), self._stream.fileno())
        return None if isinstance(self.failure, BrokenPipeError) else reason(self.failure)


def open_null() -> TextIO:
    """Return an empty stream to read from."""
    return Path(os.devnull).open()


def occupy_descriptors() -> None:
    """Open the null device where a standard stream is closed, so that no file takes its descriptor."""
    while (descriptor := os.open(os.devnull, os.O_RDWR)) <= STDERR:
        pass
    os.close(descriptor)
