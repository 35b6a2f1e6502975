"""The plot of an evaluation: quality over price, with the single models' mixes as the line to beat."""

import warnings
from collections.abc import Mapping, Sequence
from decimal import Decimal
from io import BytesIO
from itertools import product
from math import hypot, isfinite
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from modelpick.runtime import ModelpickError
from modelpick.runtime.decision.outcomes import PRICES
from modelpick.runtime.errors import one_line

from ..files.io import write_atomically
from .evaluate import Evaluation, Result

AXES = {kind.name: f"mean {kind.label}" for kind in PRICES}
# Kind of a policy -> marker.
MARKERS = {"artifact": "D", "oracle": "*", "single": "o", "random": "x"}
# Prices that differ by this factor or more are plotted on a logarithmic axis.
WIDE = 5.0
# Width and height in inches, for a page and for a telephone.
PAGE, PHONE = (7.5, 5.0), (3.9, 5.2)
# What marks a model without a name.
UNNAMED = {"s": 12.0, "alpha": 0.5}
# Pixels that are free around a mark; points from it at which its name may stand; from FAR on, a line leads there.
MARKER, DISTANCES, FAR = 5.0, (6.0, 14.0, 24.0, 36.0, 52.0, 72.0, 96.0, 128.0), 14.0
# Most policies at one place that its label names, and most characters of a name.
TOGETHER, LONGEST = 4, 40
STYLE = {
    "font.size": 9.0,
    "figure.facecolor": "none",
    "axes.facecolor": "none",
    "savefig.facecolor": "none",
    "svg.fonttype": "none",  # names are in whatever script, and the reader has its fonts
    "svg.hashsalt": "modelpick",  # the same file each time
}
# Where a name may stand next to its mark, the best place first, and how it is aligned there.
SIDES = [(1, 0), (-1, 0), (1, 1), (1, -1), (-1, 1), (-1, -1), (0, 1), (0, -1)]
Side = tuple[int, int]
ALIGNED, LEVEL = {1: "left", 0: "center", -1: "right"}, {1: "bottom", 0: "center", -1: "top"}
# The part of a label's size by which its low corner lies below the place where it is aligned.
SHIFTS = {side: (1 - np.array(side)) / 2 for side in SIDES}
# Points of distance that hiding a pixel of a line is worth; pixels between names.
HIDDEN, GAP = 0.15, 2.0
LEADER = {"arrowstyle": "-", "linewidth": 0.6, "color": "gray", "shrinkA": 0, "shrinkB": 3}
PAPER, DARK_PAPER = "white", "#14171a"


class _Point(NamedTuple):
    """A policy that has a price."""

    result: Result
    price: float
    quality: float
    is_named: bool
    """Whether its name is shown: of many models, those that are seldom called stay without."""

    @property
    def place(self) -> tuple[float, float]:
        """Where it is drawn."""
        return self.price, self.quality

    @property
    def is_main(self) -> bool:
        """Whether its name finds a place before the names of other single models."""
        return self.result.kind != "single" or bool(self.result.roles)


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


def drawn(
    evaluation: Evaluation,
    form: str = "svg",
    *,
    dark: bool = False,
    facecolor: str = "none",
    inches: tuple[float, float] = PAGE,
) -> bytes:
    """Draw the picture of `plot` as ``svg`` or ``png``, in ink for a light or a dark page.

    Raises
    ------
    ModelpickError
        When matplotlib is missing.
    """
    try:
        from matplotlib import style
        from matplotlib.figure import Figure
        from matplotlib.layout_engine import ConstrainedLayoutEngine
    except ModuleNotFoundError:
        raise ModelpickError("a plot needs matplotlib: pip install 'modelpick[plot]'") from None
    with warnings.catch_warnings(), style.context(["dark_background" if dark else "default", STYLE]):
        warnings.filterwarnings("ignore", "Glyph", UserWarning)  # a name in a script that matplotlib's font lacks
        layout = ConstrainedLayoutEngine()
        figure = Figure(figsize=inches, layout=layout)
        axes: Any = figure.subplots()
        axes.set(xlabel=AXES[evaluation.axis], ylabel="mean quality")
        colors = {one.name: f"C{place}" for place, one in enumerate(evaluation.frontiers[1:])}
        _draw_frontiers(axes, evaluation, colors)
        points = _points(evaluation)
        _draw_points(axes, points, colors)
        layout.execute(figure)  # fixes the axes, on which names find their places
        figure.set_layout_engine("none")
        _name_points(axes, points, DARK_PAPER if dark else PAPER)
        image = BytesIO()
        figure.savefig(image, format=form, facecolor=facecolor, metadata={"Date": None} if form == "svg" else None)
        return image.getvalue()


def _points(evaluation: Evaluation) -> list[_Point]:
    named = {one.name for one in evaluation.shown_results()}
    points = [
        _Point(one, one.outcomes[evaluation.axis].value, one.quality.value, one.name in named)
        for one in evaluation.results
    ]
    known = [one for one in points if one.result.kind in MARKERS and isfinite(one.price + one.quality)]
    return sorted(known, key=lambda one: list(MARKERS).index(one.result.kind))


def _draw_frontiers(axes: Any, evaluation: Evaluation, colors: Mapping[str, str]) -> None:
    if not evaluation.frontiers:
        return
    singles, *artifacts = evaluation.frontiers
    for frontier in artifacts:
        quality, low, high = ([getattr(e, part) for e in frontier.quality] for part in ("value", "low", "high"))
        axes.plot(frontier.price, quality, color=colors[frontier.name], label=_short(frontier.name))
        axes.fill_between(frontier.price, low, high, color=colors[frontier.name], alpha=0.15, linewidth=0)
    quality = [estimate.value for estimate in singles.quality]
    axes.plot(singles.price, quality, color="gray", linestyle="--", label="static mixes of single models")
    for text in axes.figure.legend(loc="outside upper left", frameon=False).get_texts():
        text.set_parse_math(False)  # names are data


def _draw_points(axes: Any, points: Sequence[_Point], colors: Mapping[str, str]) -> None:
    """Mark policies."""
    from matplotlib.ticker import LogLocator, NullLocator

    for one in points:
        style = {"marker": MARKERS[one.result.kind], "color": colors.get(one.result.artifact, "gray")}
        axes.scatter(*one.place, **style, zorder=3, **({} if one.is_named else UNNAMED))
    prices = [one.price for one in points]
    if prices and min(prices) > 0 and max(prices) > WIDE * min(prices):
        axes.set_xscale("log")
        axes.xaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
        axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(lambda price, _: f"{Decimal(f'{price:.6g}'):f}")
    axes.margins(0.08)


def _name_points(axes: Any, points: Sequence[_Point], paper: str) -> None:
    """Write the names of policies near their marks, where they overlap no other and hide little of the lines.

    Policies at one place share a label. A name that finds no place is left out.
    """
    places = [axes.transData.transform(one.place) for one in points]
    labels: list[tuple[Any, list[str]]] = []
    main: set[str] = set()
    for place, one in zip(places, points, strict=True):
        if not one.is_named:
            continue
        names = next((names for other, names in labels if hypot(*(place - other)) < MARKER), None)
        if names is None:
            labels.append((place, names := []))
        names.append(_short(one.result.name))
        main |= {names[0]} if one.is_main else set()
    lines = np.vstack([np.empty((0, 2)), *map(_on_line, axes.get_lines())])
    taken = np.array([(place - MARKER, place + MARKER) for place in places]).reshape(-1, 2, 2)
    frame, scale = axes.get_window_extent(), axes.figure.dpi / 72
    # The longest find fewer places.
    for place, names in sorted(labels, key=lambda label: (label[1][0] not in main, -max(map(len, label[1])))):
        more = [f"and {len(names) - TOGETHER} more"] if len(names) > TOGETHER else []
        name = axes.annotate(
            "\n".join([*names[:TOGETHER], *more]),
            axes.transData.inverted().transform(place),
            (0, 0),
            textcoords="offset points",
            parse_math=False,
            zorder=4,
            linespacing=1.1,
            bbox={"boxstyle": "square,pad=0.1", "facecolor": paper, "edgecolor": "none", "alpha": 0.8},
        )
        size = name.get_window_extent().size
        free: list[tuple[float, int, float, Side]] = []
        for distance, side in product(DISTANCES, SIDES):
            low = place + scale * distance * np.array(side) - SHIFTS[side] * size
            box = np.array([low, low + size])
            inside = (frame.min <= box[0]).all() and (box[1] <= frame.max).all()
            if inside and not _overlap(box, taken):
                hidden = int(((lines > box[0]) & (lines < box[1])).all(axis=1).sum())
                free.append((distance + HIDDEN * hidden, len(free), distance, side))
        if not free:
            name.remove()
            continue
        _, _, distance, (x, y) = min(free)
        name.set(ha=ALIGNED[x], va=LEVEL[y], position=(distance * x, distance * y))
        low = place + scale * distance * np.array((x, y)) - SHIFTS[x, y] * size
        taken = np.vstack([taken, [[low - GAP, low + size + GAP]]])
        if distance >= FAR:
            axes.annotate("", name.xy, name.get_position(), textcoords="offset points", arrowprops=LEADER)


def _overlap(box: Any, taken: Any) -> bool:
    """Whether a box, its low and its high corner, overlaps one of the boxes, (n, 2, 2)."""
    return bool(((box[0] < taken[:, 1]) & (taken[:, 0] < box[1])).all(axis=1).any())


def _on_line(line: Any) -> Any:
    """Return points on a line of an axes, about a pixel apart, (n, 2), in pixels."""
    corners = line.axes.transData.transform(line.get_xydata())
    steps = np.hypot(*np.diff(corners, axis=0).T).astype(int) + 1
    pieces = zip(corners, corners[1:], steps, strict=False)
    return np.vstack([np.empty((0, 2)), *(np.linspace(start, end, count) for start, end, count in pieces)])


def _short(name: str) -> str:
    half = (LONGEST - 1) // 2
    name = one_line(name)
    return name if len(name) <= LONGEST else f"{name[:half]}…{name[-half:]}"
