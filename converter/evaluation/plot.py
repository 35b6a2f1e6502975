"""The plot of an evaluation: quality over price, with the single models' mixes as the line to beat."""

import warnings
from collections.abc import Mapping, Sequence
from io import BytesIO
from math import isfinite
from pathlib import Path
from typing import Any, NamedTuple

from modelpick.runtime import ModelpickError
from modelpick.runtime.decision.outcomes import PRICES
from modelpick.runtime.errors import one_line

from ..files.io import write_atomically
from .evaluate import Evaluation, Result

AXES = {kind.name: f"mean {kind.label}" for kind in PRICES}
# Kind of a policy -> marker; the first kinds keep their names where names would overlap.
MARKERS = {"artifact": "D", "oracle": "*", "single": "o", "random": "x"}
# Prices that differ by this factor or more are plotted on a logarithmic axis.
WIDE = 5.0
INCHES = 7.5, 5.0
STYLE = {
    "font.size": 9.0,
    "figure.facecolor": "none",
    "axes.facecolor": "none",
    "savefig.facecolor": "none",
    "svg.fonttype": "none",  # names are in whatever script, and the reader has its fonts
    "svg.hashsalt": "modelpick",  # the same file each time
}


class _Point(NamedTuple):
    """A policy that has a price."""

    result: Result
    price: float
    quality: float


def plot(evaluation: Evaluation, target: Path) -> None:
    """Plot frontiers with their 95 % intervals, operating points and single models, as SVG or PNG by the suffix.

    Raises
    ------
    ModelpickError
        When the target has another suffix or cannot be written, or matplotlib is missing.
    """
    if target.suffix not in {".svg", ".png"}:
        raise ModelpickError(f"{target}: expected a name that ends in .svg or .png")
    write_atomically(target, drawn(evaluation, target.suffix[1:], facecolor="white"))


def has_prices(evaluation: Evaluation) -> bool:
    """Whether there is a policy to plot."""
    return bool(_points(evaluation))


def drawn(evaluation: Evaluation, form: str = "svg", dark: bool = False, facecolor: str = "none") -> bytes:
    """Draw the picture of `plot` as ``svg`` or ``png``, in ink for a light or a dark page.

    Raises
    ------
    ModelpickError
        When matplotlib is missing.
    """
    try:
        from matplotlib import style
        from matplotlib.figure import Figure
    except ModuleNotFoundError:
        raise ModelpickError("a plot needs matplotlib: pip install 'modelpick[plot]'") from None
    with warnings.catch_warnings(), style.context(["dark_background" if dark else "default", STYLE]):
        warnings.filterwarnings("ignore", "Glyph", UserWarning)  # a name in a script that matplotlib's font lacks
        figure = Figure(figsize=INCHES, layout="tight")
        axes: Any = figure.subplots()
        axes.set(xlabel=AXES[evaluation.axis], ylabel="mean quality")
        colors = {one.name: f"C{place}" for place, one in enumerate(evaluation.frontiers[1:])}
        _draw_frontiers(axes, evaluation, colors)
        _draw_points(axes, _points(evaluation), colors)
        image = BytesIO()
        figure.savefig(image, format=form, facecolor=facecolor, metadata={"Date": None} if form == "svg" else None)
        return image.getvalue()


def _points(evaluation: Evaluation) -> list[_Point]:
    points = [_Point(one, one.outcomes[evaluation.axis].value, one.quality.value) for one in evaluation.results]
    known = [one for one in points if one.result.kind in MARKERS and isfinite(one.price + one.quality)]
    return sorted(known, key=lambda one: list(MARKERS).index(one.result.kind))


def _draw_frontiers(axes: Any, evaluation: Evaluation, colors: Mapping[str, str]) -> None:
    if not evaluation.frontiers:
        return
    singles, *artifacts = evaluation.frontiers
    for frontier in artifacts:
        quality, low, high = ([getattr(e, part) for e in frontier.quality] for part in ("value", "low", "high"))
        axes.plot(frontier.price, quality, color=colors[frontier.name], label=one_line(frontier.name))
        axes.fill_between(frontier.price, low, high, color=colors[frontier.name], alpha=0.15, linewidth=0)
    quality = [estimate.value for estimate in singles.quality]
    axes.plot(singles.price, quality, color="gray", linestyle="--", label="static mixes of single models")
    for text in axes.legend().get_texts():
        text.set_parse_math(False)  # names are data


def _draw_points(axes: Any, points: Sequence[_Point], colors: Mapping[str, str]) -> None:
    """Mark policies, and write those names that do not overlap earlier ones."""
    from matplotlib.ticker import LogLocator

    for result, *place in points:
        axes.scatter(*place, marker=MARKERS[result.kind], color=colors.get(result.artifact, "gray"), zorder=3)
    prices = [price for _, price, _ in points]
    if prices and min(prices) > 0 and max(prices) > WIDE * min(prices):
        axes.set_xscale("log")
        axes.xaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
        axes.xaxis.set_major_formatter("{x:g}")
    named: list[Any] = []
    for result, *place in points:
        name = axes.annotate(one_line(result.name), place, (4, 3), textcoords="offset points", parse_math=False)
        if name.get_window_extent().x1 > axes.get_window_extent().x1:
            name.set(ha="right", position=(-4, 3))
        taken = name.get_window_extent()
        if any(taken.overlaps(other) for other in named):
            name.remove()
        else:
            named.append(taken)
