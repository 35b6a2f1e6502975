"""What the command prints: tables, lines and progress, on a terminal, in a log, or to a closed stream.

Names of models and files are printed literally: they are never markup, and characters that control terminals are
escaped. Only this module prints.
"""

import os
import re
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from io import TextIOBase, TextIOWrapper
from pathlib import Path
from textwrap import fill
from typing import TextIO

import typer
from rich.console import Console
from rich.progress import (
    BarColumn,
    Progress,
    ProgressColumn,
    SpinnerColumn,
    Task,
    TextColumn,
)
from rich.table import Column, Table
from rich.text import Text

from modelpick.runtime.errors import one_line

from ..files.io import reason

WIDE = 200
STDERR = 2
# Characters of the frame of a column, and of the table; and those between columns without a frame.
FRAME, EDGE, GAP = 3, 1, 2
# A column of words may be narrowed to this width before another column goes below.
NARROW = 24
# Seconds from which on a step gets a line in a log.
LONG = 10.0
# What a cell of numbers starts with: a number, also one with its interval or unit, or the dash of an unknown one.
NUMBER = re.compile(r"[-+]?\d|—")
# A space at which lines are not wrapped.
NO_BREAK = "\u00a0"
# Mark -> its colour.
MARKS = {"✓": "green", "✗": "red", "?": "yellow"}


def console(*, stderr: bool = False) -> Console:
    """Return a console that prints names as they are; tables are as wide as a terminal, $COLUMNS, or wide in a log."""
    stream = sys.stderr if stderr else sys.stdout
    width = None if stream.isatty() or "COLUMNS" in os.environ else WIDE
    return Console(stderr=stderr, width=width, markup=False, emoji=False, highlight=False)


def show(table: Table) -> None:
    """Print a table; columns without room go below, after those that tell rows apart once more, and long cells fold.

    Columns of numbers are aligned at their right. A title that is wider than its table is a line above it.
    """
    target = console()
    for block in _blocks(_printable(table), target):
        if block.title and target.measure(block).maximum < len(str(block.title)):
            say(str(block.title))
            block.title = None
        target.print(block)


def say(line: str) -> None:
    """Print a line, of which a mark in front is coloured on a terminal; it is wrapped where tables are narrow."""
    target, text = console(), one_line(line)
    if target.width != WIDE:
        indent = "  " if text[:1] in MARKS else ""
        text = text.replace(" %", f"{NO_BREAK}%")
        text = fill(text, target.width, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False)
        text = text.replace(NO_BREAK, " ")
    target.print(_marked(text), soft_wrap=True)


def plain(*columns: str) -> Table:
    """Make a table without frames."""
    return Table(*columns, box=None, pad_edge=False)


def _marked(text: str) -> Text:
    found = Text(text)
    found.stylize(MARKS.get(text[:1], ""), 0, 1)
    return found


def _printable(table: Table) -> Table:
    """Copy a table, with printable names, and long cells that fold."""
    columns = [
        Column(one_line(str(column.header)), overflow="fold", justify="right" if _is_of_numbers(column) else "left")
        for column in table.columns
    ]
    title = None if table.title is None else one_line(str(table.title))
    copy = Table(*columns, title=title, box=table.box, pad_edge=table.pad_edge, show_header=table.show_header)
    for row, *cells in zip(table.rows, *(column.cells for column in table.columns), strict=True):
        copy.add_row(*(_marked(one_line(str(cell))) for cell in cells), style=row.style)
    return copy


def _is_of_numbers(column: Column) -> bool:
    cells = [str(cell) for cell in column.cells if cell]
    return bool(cells) and all(NUMBER.match(cell) for cell in cells)


def _blocks(table: Table, target: Console) -> Iterator[Table]:
    """Split a table into tables of as many columns as fit, each with the columns that tell rows apart."""
    frame, edge = (FRAME, EDGE) if table.box else (GAP, 0)
    widths = [_width(column, target) + frame for column in table.columns]
    keys = _telling(table) if sum(widths) > target.width else 1
    first, before = table.columns[:keys], edge + sum(widths[:keys])
    chosen, taken = [*first], before
    for column, width in zip(table.columns[keys:], widths[keys:], strict=True):
        if len(chosen) > keys and taken + width > target.width:
            yield _block(table, chosen)
            table.title, chosen, taken = None, [*first], before
        chosen.append(column)
        taken += width
    yield table if len(chosen) == len(table.columns) else _block(table, chosen)


def _telling(table: Table) -> int:
    """Return how many of the first columns tell rows apart; 1 where all do not."""
    for count in range(1, len(table.columns)):
        cells = zip(*(map(str, column.cells) for column in table.columns[:count]), strict=True)
        if len({*cells}) == table.row_count:
            return count
    return 1


def _width(column: Column, target: Console) -> int:
    """Return the width that a column needs: that of its longest word, and at most half of the whole width."""
    measured = [target.measure(cell) for cell in (column.header, *column.cells)]
    words, lines = max(one.minimum for one in measured), max(one.maximum for one in measured)
    return min(max(words, min(lines, NARROW)), target.width // 2)


def _block(table: Table, columns: list[Column]) -> Table:
    copies = (Column(column.header, overflow=column.overflow, justify=column.justify) for column in columns)
    block = Table(*copies, title=table.title, box=table.box, pad_edge=table.pad_edge, show_header=table.show_header)
    for row, *cells in zip(table.rows, *(column.cells for column in columns), strict=True):
        block.add_row(*cells, style=row.style)
    return block


@contextmanager
def progress(step: str, unit: str) -> Iterator[Callable[[int, int | None], None]]:
    """Show the progress of a step on standard error: with rate and time left on a terminal, as one line in a log.

    Steps may be nested.

    Parameters
    ----------
    step
        Name of the step, such as "Verifying knn.json".
    unit
        Name of what is counted, such as "queries".

    Yields
    ------
    A function to call with the number of finished units and of all units, or None where the latter is unknown.
    """
    target, start, counted = console(stderr=True), time.monotonic(), 0
    is_shown = sys.stderr.isatty() and not target.is_dumb_terminal
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(bar_width=None, table_column=Column(ratio=1, max_width=40)),
        _Count(unit),
        _Rate(),
    )
    # Standard output may be a file: it must not be redirected to this console.
    shown = Progress(*columns, console=target, transient=True, disable=not is_shown, redirect_stdout=False)
    with shown:
        task = shown.add_task(one_line(step), total=None)

        def seen(done: int, total: int | None) -> None:
            nonlocal counted
            counted = done
            shown.update(task, completed=done, total=total)

        yield seen
    seconds = time.monotonic() - start
    if counted and not is_shown and seconds >= LONG:
        note(f"{step}: {counted:,} {unit} in {seconds:,.1f} s, {rate(counted / seconds)}")


def rate(speed: float) -> str:
    """Write the number of units per second, or the seconds per unit."""
    if speed <= 0:
        return "0/s"
    return f"{speed:,.0f}/s" if speed >= 10 else f"{speed:.1f}/s" if speed >= 1 else f"{1 / speed:,.1f} s each"


class _Count(ProgressColumn):
    """The number of finished units, and of all."""

    def __init__(self, unit: str) -> None:
        super().__init__(Column(no_wrap=True))
        self._unit = unit

    def render(self, task: Task) -> Text:
        whole = "" if task.total is None else f"/{task.total:,.0f}"
        return Text(f"{task.completed:,.0f}{whole} {self._unit}")


class _Rate(ProgressColumn):
    """The rate, and the time left, or, where it is unknown, the time elapsed."""

    def __init__(self) -> None:
        super().__init__(Column(no_wrap=True))

    def render(self, task: Task) -> Text:
        left, gone = task.time_remaining, timedelta(seconds=int(task.elapsed or 0))
        speed = "" if task.speed is None else f"{rate(task.speed)} "
        return Text(f"{speed}{gone}" if left is None else f"{speed}{timedelta(seconds=left)} left")


def emit(line: str) -> None:
    """Print a line of output, text or JSON, which may be one of very many; stop when nobody reads it.

    Raises
    ------
    typer.Exit
        When the line cannot be written.
    """
    print(one_line(line))
    if isinstance(sys.stdout, Stream) and sys.stdout.failure is not None:
        raise typer.Exit


def note(text: str) -> None:
    """Print a line on standard error."""
    print(one_line(text), file=sys.stderr)


def wrote(*files: Path | None) -> None:
    """Say which files were written; None stands for a file that was not asked for."""
    for file in filter(None, files):
        note(f"wrote {file}")


def warn(text: object) -> None:
    """Print a warning."""
    note(f"warning: {text}")


def fail(text: object) -> None:
    """Print an error."""
    note(f"error: {text}")


class Stream(TextIOBase):
    """A standard stream that outlives its reader: output that cannot be written is dropped, and the first error kept.

    Therefore the work is done, and the exit code is right, even where the stream is closed or its device is full.
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
        """Flush for the last time; returns why output could not be written, unless the reader left early."""
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
