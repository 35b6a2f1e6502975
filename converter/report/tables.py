"""The tables that the page and the summary share, and the format of their cells."""

from math import isnan
from typing import NamedTuple

from ..statistics.bootstrap import UNKNOWN, Estimate, in_percent, percent, signed, written


class Number(NamedTuple):
    """A cell that is sorted by its value."""

    text: str
    value: float


Cell = str | Number


class Table(NamedTuple):
    """A table; cells that are strings may hold users' names."""

    caption: str
    columns: tuple[str, ...]
    rows: list[list[Cell]]
    is_long: bool = False
    """Whether it is folded until a reader opens it."""


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
