"""The tables of predicted and of recorded quality."""

from collections.abc import Iterator, Sequence
from math import isnan

from rich.table import Table

from ..evaluation.calibration import Calibration
from ..statistics.bootstrap import UNKNOWN, signed, written


def reliability_tables(found: Sequence[Calibration]) -> Iterator[Table]:
    """Make a table of calibration errors for all artifacts, and a reliability table for each."""
    if not found:
        return
    columns = ("artifact", "answers of", "answers", "predicted - recorded", "calibration error", "by chance", "Brier")
    table = Table(*columns, title="predicted quality, compared with the recorded one")
    for one in found:
        for part in (one.all, one.highest, *one.categories):
            errors = (*map(_number, (part.error, part.by_chance)), written(part.brier, ".3f"))
            table.add_row(one.name, part.of, f"{part.answers:,}", signed(part.excess), *errors)
    yield table
    for one in found:
        table = Table("predicted", "recorded", "answers", title=f"{one.name}: reliability")
        for place in one.all.bins:
            table.add_row(f"{place.predicted:.3f}", written(place.recorded, ".3f"), f"{place.answers:,}")
        yield table


def _number(value: float) -> str:
    return UNKNOWN if isnan(value) else f"{value:.3f}"
