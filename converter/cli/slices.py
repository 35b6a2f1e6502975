"""What `evaluate --slices` prints: quality and gain by time, and what surely changed."""

from rich.table import Table

from ..evaluation.slices import TimeSlices
from ..statistics.bootstrap import UNKNOWN, signed, written
from .console import emit, show


def number_or_unit(text: str) -> int | str:
    """Parse a number of slices, or the name of a unit of time."""
    return int(text) if text.isdecimal() else text


def show_slices(found: TimeSlices) -> None:
    """Print a table of quality, and one of gain, a row each slice; then whether the last slice differs."""
    titles = {"quality": "quality by time", "gain": f"gain over always calling {found.baseline}, by time"}
    for kind, title in titles.items():
        table = Table("slice", "questions", "from", *(one.policy for one in found.slices[0].results), title=title)
        for part in found.slices:
            estimates = [getattr(one, kind) for one in part.results]
            cells = (signed(one) if kind == "gain" else written(one, ".4f") for one in estimates)
            table.add_row(part.name, f"{part.questions:,}", part.first, *cells)
        show(table)
    judged = [one.policy for one in found.changes]
    for part in found.slices:
        for one in part.results:
            if one.gain.reason and one.policy in judged:
                emit(f"{UNKNOWN} {one.policy} in {part.name}: {one.gain.reason}")
    if found.untimed:
        emit(f"{found.untimed:,} questions have no timestamp, and stand in no slice")
    emit(found.sentence())
