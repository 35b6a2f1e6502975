"""The plot of an evaluation: quality over price, with the single models' mixes as the line to beat."""

from collections.abc import Mapping
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np

from modelpick.runtime import ModelpickError

from ..files.io import write_atomically
from .evaluate import Evaluation

AXES = {"cost": "mean cost per answer", "seconds": "mean response time, seconds"}
MARKERS = {"single": "o", "artifact": "D", "random": "x", "oracle": "*"}
# Prices that differ by such a factor are plotted by their logarithms.
WIDE = 5.0


def plot(evaluation: Evaluation, target: Path) -> None:
    """Plot frontiers with their 95 % intervals, operating points and single models, as SVG or PNG by the suffix.

    Raises
    ------
    ModelpickError
        When the target is neither or cannot be written, or matplotlib is missing.
    """
    if target.suffix not in {".svg", ".png"}:
        raise ModelpickError(f"{target}: expected a name that ends in .svg or .png")
    try:
        from matplotlib.figure import Figure
    except ModuleNotFoundError:
        raise ModelpickError("a plot needs matplotlib: pip install 'modelpick[plot]'") from None
    figure = Figure(figsize=(9, 6), layout="tight")
    axes: Any = figure.subplots()
    colors = {"": "black"} | {one.name: f"C{place}" for place, one in enumerate(evaluation.frontiers[1:])}
    _draw_frontiers(axes, evaluation, colors)
    prices = _draw_points(axes, evaluation, colors)
    if prices and min(prices) > 0 and max(prices) > WIDE * min(prices):
        axes.set_xscale("log")
    axes.set_xlabel(AXES[evaluation.axis])
    axes.set_ylabel("mean quality")
    drawn = BytesIO()
    figure.savefig(drawn, format=target.suffix[1:])
    write_atomically(target, drawn.getvalue())


def _draw_frontiers(axes: Any, evaluation: Evaluation, colors: Mapping[str, str]) -> None:
    if not evaluation.frontiers:
        return
    singles, *artifacts = evaluation.frontiers
    for frontier in artifacts:
        quality, low, high = ([getattr(e, part) for e in frontier.quality] for part in ("value", "low", "high"))
        axes.plot(frontier.price, quality, color=colors[frontier.name], label=frontier.name)
        axes.fill_between(frontier.price, low, high, color=colors[frontier.name], alpha=0.15, linewidth=0)
    quality = [estimate.value for estimate in singles.quality]
    axes.plot(singles.price, quality, color="black", linestyle="--", label="static mixes of single models")
    for text in axes.legend(fontsize=8).get_texts():
        text.set_parse_math(False)  # names are data


def _draw_points(axes: Any, evaluation: Evaluation, colors: Mapping[str, str]) -> list[float]:
    """Mark policies, and give their prices."""
    prices = []
    for result in evaluation.results:
        price = getattr(result, evaluation.axis).value
        if result.kind in MARKERS and not np.isnan(price):
            point = price, result.quality.value
            axes.scatter(*point, marker=MARKERS[result.kind], color=colors[result.artifact], zorder=3)
            axes.annotate(result.name, point, xytext=(4, 3), textcoords="offset points", fontsize=7, parse_math=False)
            prices.append(price)
    return prices
