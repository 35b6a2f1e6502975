"""From numbers to shapes of pictures, in the units of an SVG's view box; the templates draw them."""

from base64 import b64encode
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from math import ceil, floor, log10
from typing import Literal, NamedTuple

from modelpick.runtime.errors import one_line

from ..evaluation.drift import Drift
from ..evaluation.evaluate import Evaluation
from ..evaluation.plot import AXES, drawn, has_prices
from .facts import Flow, Map
from .tables import Table

WIDTH = 720.0
LABEL, CHARACTER, LINE = 24, 6.4, 15.0
"""Most characters of a label; approximate width of a character, and height of a line."""
OTHERS = "other models"
MOST_MODELS = 12
"""Most models of a flow that are drawn; further models are drawn as one."""
Kind = Literal["flow", "map", "drift"]
# Isolate the writing direction of a name from its surroundings: Unicode's first strong isolate, and its end.
ISOLATE, END = "\u2068", "\u2069"


class Text(NamedTuple):
    """A label; the full name is shown on hover."""

    x: float
    y: float
    text: str
    anchor: str = "start"
    title: str = ""


class Shape(NamedTuple):
    """A path in the colour of a model or an artifact; -1 has no colour."""

    path: str
    color: int
    title: str = ""
    role: str = ""
    """Class of its style."""


class Picture(NamedTuple):
    """A picture, its description in words, and the table of its numbers."""

    kind: Kind
    label: str
    height: float
    shapes: list[Shape]
    texts: list[Text]
    legend: list[tuple[int, str]]
    """Colours, and the names that have them."""
    table: Table


class Plot(NamedTuple):
    """A picture drawn by a library in two inks, its description in words, and the table of its numbers."""

    label: str
    light: str
    """SVG in base64, for a light page."""
    dark: str
    """The same for a dark one."""
    table: Table


def isolated(name: str) -> str:
    """Isolate the writing direction of a name within other words."""
    return f"{ISOLATE}{one_line(name)}{END}"


def short(name: str) -> str:
    """Shorten a name in its middle, and isolate it."""
    half = (LABEL - 1) // 2
    return isolated(name if len(name) <= LABEL else f"{name[:half]}…{name[-half:]}")


def _box(x: float, y: float, width: float, height: float) -> str:
    return f"M{x:.1f} {y:.1f}h{width:.1f}v{height:.1f}h{-width:.1f}z"


def _disc(x: float, y: float, radius: float) -> str:
    return f"M{x - radius:.1f} {y:.1f}a{radius} {radius} 0 1 0 {2 * radius} 0a{radius} {radius} 0 1 0 {-2 * radius} 0z"


def _line(points: Iterable[tuple[float, float]]) -> str:
    return "M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in points)


def flow_picture(flows: Sequence[Flow], colors: Mapping[str, int], table: Table) -> Picture:
    """Draw how many queries go from which model to which: two columns of bars, and bands between them."""
    volume = Counter[str]()
    for flow in flows:
        volume += Counter({flow.before: flow.queries}) | Counter({flow.after: flow.queries})
    shown = [name for name, _ in volume.most_common(MOST_MODELS + 1)]
    drawn = set(shown if len(shown) <= MOST_MODELS else shown[:MOST_MODELS])
    moved: Counter[tuple[str, str]] = Counter()
    for flow in flows:
        before, after = (name if name in drawn else OTHERS for name in (flow.before, flow.after))
        moved[before, after] += flow.queries
    left, right, bar, top = 190.0, WIDTH - 202.0, 12.0, 24.0
    order = [*(name for name in shown if name in drawn), OTHERS]
    scale = 300.0 / max(sum(moved.values()), 1)
    shapes: list[Shape] = []
    texts = [Text(left + bar, 12, "before", "end"), Text(right, 12, "after")]
    begins: list[dict[str, float]] = []
    height = top
    for side, x in enumerate((left, right)):
        y = top
        begins.append({})
        for name in order:
            queries = sum(number for names, number in moved.items() if names[side] == name)
            if not queries:
                continue
            begins[side][name] = y
            title = f"{isolated(name)}: {queries:,} queries {('before', 'after')[side]}"
            shapes.append(Shape(_box(x, y, bar, max(queries * scale, 1)), colors.get(name, -1), title, "bar"))
            middle = y + queries * scale / 2 + 4
            place = (x - 6, "end") if side == 0 else (x + bar + 6, "start")
            texts.append(Text(place[0], middle, f"{short(name)} {queries:,}", place[1], title))
            y += max(queries * scale + 4, LINE)
        height = max(height, y)
    bands = []
    for before, after in ((a, b) for a in order for b in order if moved[a, b]):
        thick = moved[before, after] * scale
        y0, y1 = begins[0][before], begins[1][after]
        begins[0][before], begins[1][after] = y0 + thick, y1 + thick
        x0, x1 = left + bar, right
        middle = (x0 + x1) / 2
        path = (
            f"M{x0:.1f} {y0:.1f}C{middle:.1f} {y0:.1f} {middle:.1f} {y1:.1f} {x1:.1f} {y1:.1f}v{thick:.1f}"
            f"C{middle:.1f} {y1 + thick:.1f} {middle:.1f} {y0 + thick:.1f} {x0:.1f} {y0 + thick:.1f}z"
        )
        title = f"{isolated(before)} → {isolated(after)}: {moved[before, after]:,} queries"
        bands.append(Shape(path, colors.get(after, -1), title, "kept" if before == after else "moved"))
    label = "Queries that each model answered before, on the left, and answers now, on the right"
    return Picture("flow", label, height, [*bands, *shapes], texts, [], table)


class _Scale(NamedTuple):
    """Values -> places on an axis."""

    low: float
    high: float
    start: float
    end: float

    def __call__(self, value: float) -> float:
        return self.start + (value - self.low) / ((self.high - self.low) or 1.0) * (self.end - self.start)

    def ticks(self) -> list[float]:
        """Return round values: 1, 2 or 5 times a power of ten."""
        span = (self.high - self.low) or 1.0
        step = 10.0 ** floor(log10(span / 4))
        step *= next(factor for factor in (1, 2, 5, 10) if span / (factor * step) <= 6)
        return [step * number for number in range(ceil(self.low / step), floor(self.high / step) + 1)]


def frontier_plot(evaluation: Evaluation, table: Table) -> Plot | None:
    """Plot quality over price; None where no price is known."""
    if not has_prices(evaluation):
        return None
    light, dark = (b64encode(drawn(evaluation, dark=dark)).decode() for dark in (False, True))
    return Plot(f"Mean quality of every policy over its {AXES[evaluation.axis]}", light, dark, table)


def map_picture(found: Map, colors: Mapping[str, int], table: Table) -> Picture:
    """Draw rows as squares and queries as discs, each in the colour of the model that is picked there."""
    pad, height = 12.0, 480.0
    xs, ys = [mark.x for mark in found.marks], [mark.y for mark in found.marks]
    span = max((max(xs) - min(xs)) / (WIDTH - 2 * pad), (max(ys) - min(ys)) / (height - 2 * pad)) or 1.0
    shapes = []
    for mark in found.marks:
        x = WIDTH / 2 + (mark.x - (max(xs) + min(xs)) / 2) / span
        y = height / 2 - (mark.y - (max(ys) + min(ys)) / 2) / span
        of = f"row {mark.row:,}" if mark.row is not None else isolated(mark.query or "")
        path = _box(x - 2, y - 2, 4, 4) if mark.row is not None else _disc(x, y, 3)
        role = "row" if mark.row is not None else "query"
        shapes.append(Shape(path, colors.get(mark.pick, -1), f"{of} → {isolated(mark.pick)}", role))
    legend = [(colors[name], name) for name in dict.fromkeys(mark.pick for mark in found.marks)]
    label = f"Rows (squares) and queries (discs) of {isolated(found.artifact)} on their two principal components"
    return Picture("map", label, height, shapes, [], sorted(legend), table)


def drift_picture(found: Drift, table: Table) -> Picture:
    """Draw the share of the queries in each tenth of the recorded distances, and the tenth that is expected."""
    left, right, top, bottom, height = 60.0, WIDTH - 20, 12.0, 176.0, 220.0
    y = _Scale(0.0, max(*found.tenths, 0.2), bottom, top)
    wide = (right - left) / len(found.tenths)
    shapes = [Shape(_line([(left, y(tick)), (right, y(tick))]), -1, "", "grid") for tick in y.ticks()]
    texts = [Text(left - 6, y(tick) + 4, f"{100 * tick:.0f} %", "end") for tick in y.ticks()]
    for tenth, part in enumerate(found.tenths):
        x = left + tenth * wide
        title = f"{100 * part:.1f} % of the queries"
        shapes.append(Shape(_box(x + 4, y(part), wide - 8, bottom - y(part)), 0, title, "bar"))
        texts.append(Text(x + wide / 2, bottom + 16, f"{tenth + 1}", "middle"))
    expected = 1 / len(found.tenths)
    shapes.append(Shape(_line([(left, y(expected)), (right, y(expected))]), -1, "expected: 10 %", "singles"))
    texts.append(Text((left + right) / 2, height - 6, "tenth of the recorded distances, the nearest first", "middle"))
    label = "Share of the queries whose distance lies in each tenth of the recorded ones; the line is what is expected"
    return Picture("drift", label, height, shapes, texts, [], table)
