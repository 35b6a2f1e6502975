"""The table of outcomes: what may be known of a model's answer. Whatever holds outcomes has one axis, in this order.

A new kind is a row here, and a field of the forms that records and models are read from.
"""

from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Final, NamedTuple


class Kind(NamedTuple):
    """A kind of outcome."""

    name: str
    """What explanations, operating points and files call it."""
    fields: Mapping[str, float]
    """Fields of a record that it is read from, the first that is there -> how many of their units are one of its."""
    noun: str
    """What messages call it."""
    label: str
    """What an axis of a plot is called behind "mean"."""
    unit: str = ""
    """What one of it is, behind "a" or "one"."""
    weight: str = ""
    """Keyword of `modelpick.runtime.Objective` for its weight; none for quality, of which a unit is worth 1."""
    given: str = ""
    """Keyword for values by model that a caller gives in the place of predictions."""
    sign: int = -1
    """1 where more is worth more; -1 of a price, of which less is, and no prediction counts as less than nothing."""
    style: str = ".3g"
    """How a mean is written."""
    counts_failures: bool = True
    """Whether answers that failed have it: failing fast is no evidence of speed."""
    is_usual: bool = False
    """Whether all records are expected to have it."""


KINDS: Final = (
    Kind("quality", MappingProxyType({"performance": 1.0}), "quality", "quality", sign=1, style="z.4f"),
    Kind(
        "cost",
        MappingProxyType({"cost": 1.0}),
        "cost",
        "cost per answer",
        unit="unit of cost",
        weight="cost_weight",
        given="costs",
    ),
    Kind(
        "seconds",
        MappingProxyType({"response_time": 1.0, "latency_ms": 1e3}),
        "response time",
        "response time, seconds",
        unit="second",
        weight="seconds_weight",
        given="seconds",
        counts_failures=False,
        is_usual=True,
    ),
)
# What is paid for quality, by weights: all the others.
PRICES: Final = KINDS[1:]
OUTCOMES: Final = tuple(kind.name for kind in KINDS)
PLACES: Final[Mapping[str, int]] = MappingProxyType({name: place for place, name in enumerate(OUTCOMES)})
# How many kinds the first artifacts hold, and so all.
_FIRST = 3
# Kinds that have a part of their own: ties go to the cheaper, and the original's files hold latencies.
QUALITY, COST, SECONDS = (PLACES[name] for name in ("quality", "cost", "seconds"))


def n_held(kinds: Iterable[str]) -> int:
    """Return how many kinds, the first of the table, stand in the arrays of an artifact that predicts some kinds."""
    return max(_FIRST, *(1 + PLACES[kind] for kind in kinds), 0)
