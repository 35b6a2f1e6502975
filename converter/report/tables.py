"""The tables that the page and the summary share, and the format of their cells."""

from decimal import Decimal
from math import isnan
from typing import NamedTuple

from modelpick.runtime.decision.outcomes import Kind

from ..statistics.bootstrap import UNKNOWN, Estimate, in_percent, percent, signed, whole, written
from .facts import Effect


class Number(NamedTuple):
    """A cell that is sorted by its value."""

    text: str
    value: float


Cell = str | Number
# A longer cell takes the width of a telephone.
LONG = 34


class Table(NamedTuple):
    """A table; cells that are strings may hold users' names."""

    caption: str
    columns: tuple[str, ...]
    rows: list[list[Cell]]
    is_long: bool = False
    """Whether it is folded until a reader opens it."""

    @property
    def is_wide(self) -> bool:
        """Whether a telephone shows its cells below one another."""
        return len(self.columns) > 4 or any(
            isinstance(cell, str) and len(cell) > 28 for row in self.rows for cell in row
        )


def count(value: int) -> Number:
    """Write a count."""
    return Number(f"{value:,}", value)


def share(part: float, whole: float = 1.0) -> Number:
    """Write a share in percent."""
    return Number(in_percent(part / whole), part / whole) if whole else Number(UNKNOWN, 0.0)


def size(octets: int) -> Number:
    """Write a size."""
    return Number(f"{octets / 1e6:,.2f} MB", octets)


def microseconds(seconds: float) -> Number:
    """Write a short time."""
    return Number(f"{1e6 * seconds:,.1f} µs", seconds)


def number(value: float | None, style: str = ".4g") -> Number:
    """Write a number, or a dash where it is unknown."""
    return Number(UNKNOWN, float("-inf")) if value is None or isnan(value) else Number(f"{value:{style}}", value)


def interval(estimate: Estimate | None, style: str = ".4g") -> Number:
    """Write an estimate with its interval, or a dash where it is unknown."""
    if estimate is None or isnan(estimate.value):
        return number(None)
    return Number(written(estimate, style), estimate.value)


def change(estimate: Estimate | None) -> Number:
    """Write a difference with its sign."""
    return number(None) if estimate is None or isnan(estimate.value) else Number(signed(estimate), estimate.value)


def part(estimate: Estimate | None) -> Number:
    """Write an estimate in percent."""
    return number(None) if estimate is None or isnan(estimate.value) else Number(percent(estimate), estimate.value)


def figure(value: float, kind: Kind) -> Number:
    """Write the mean of an outcome: a quality with four places, a price with three digits and without an exponent."""
    style = kind.style if kind.sign > 0 else ".2e"
    return number(None) if isnan(value) else Number(f"{Decimal(f'{value:{style}}'):f}", value)


def relative(effect: Effect) -> str:
    """Write a change as a share of the mean before; where there is none, as it is."""
    return written(effect.change, ".3g", sign="+") if isnan(effect.share.value) else whole(effect.share, "+")
