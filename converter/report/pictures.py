"""From numbers to shapes of pictures, in the units of an SVG's view box; the templates draw them."""

from base64 import b64encode
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from math import ceil, floor, log10
from textwrap import wrap
from typing import Literal, NamedTuple

from modelpick.runtime.errors import one_line

from ..evaluation.drift import Drift
from ..evaluation.evaluate import MANY, Evaluation
from ..evaluation.plot import AXES, PAGE, PHONE, drawn, has_prices
from .facts import Flow, Map
from .tables import Table

WIDTH, NARROW = 720.0, 360.0
"""Widths of pictures on a page and on a telephone."""
CHARACTER, LINE, GAP = 7.7, 15.0, 6.0
"""Approximate width of a character, height of a line, and the distance of names from what they name."""
OTHERS = "other models"
"""Models without a colour of their own, which are drawn as one."""
LINES = 4
"""Most lines that a name takes."""
Kind = Literal["flow", "map", "drift"]
# Media queries of the style sheet.
PHONES, DARK = "screen and (max-width: 48rem)", "(prefers-color-scheme: dark)"
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
    """A path in the colour of a model; -1 is that of `OTHERS`."""

    path: str
    color: int
    title: str = ""
    role: str = ""
    """Class of its style."""


class Picture(NamedTuple):
    """A picture, its description in words, and the table of its numbers."""

    kind: Kind
    label: str
    width: float
    height: float
    shapes: list[Shape]
    texts: list[Text]
    legend: list[tuple[int, str]]
    """Colours, and the names that have them."""
    table: Table
    narrow: "Picture | None" = None
    """The same for a telephone, where it differs."""


class Plot(NamedTuple):
    """A picture drawn by a library, its description in words, and the table of its numbers."""

    label: str
    image: str
    """SVG in base64."""
    others: list[tuple[str, str]]
    """The same for other media: media query, SVG in base64."""
    table: Table


def isolated(name: str) -> str:
    """Isolate the writing direction of a name within other words."""
    return f"{ISOLATE}{one_line(name)}{END}"


def folded(name: str, count: str, width: int) -> list[str]:
    """Fold a name, and a number behind it, into lines of a width; more than `LINES` are shortened in their middle."""
    name = one_line(name)
    lines = wrap(f"{name} {count}", width)
    if len(lines) > LINES:
        half = width - len(count) - 1
        lines = wrap(f"{name[:half]}…{name[-half:]} {count}", width, break_on_hyphens=False)
    *first, last = lines
    rest = last.removesuffix(count).rstrip()
    return [*map(isolated, first), f"{isolated(rest)} {count}" if rest else count]


def _box(x: float, y: float, width: float, height: float) -> str:
    return f"M{x:.1f} {y:.1f}h{width:.1f}v{height:.1f}h{-width:.1f}z"


def _disc(x: float, y: float, radius: float) -> str:
    return f"M{x - radius:.1f} {y:.1f}a{radius} {radius} 0 1 0 {2 * radius} 0a{radius} {radius} 0 1 0 {-2 * radius} 0z"


def _line(points: Iterable[tuple[float, float]]) -> str:
    return "M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in points)


def flow_picture(flows: Sequence[Flow], colors: Mapping[str, int], table: Table) -> Picture:
    """Draw how many queries go from which model to which: two columns of bars, and bands between them."""
    return _flow(flows, colors, table, WIDTH, 250.0)._replace(narrow=_flow(flows, colors, table, NARROW, 140.0))


def _flow(flows: Sequence[Flow], colors: Mapping[str, int], table: Table, width: float, margin: float) -> Picture:
    """Draw a flow with names in the margins on both sides."""
    volume = Counter[str]()
    for flow in flows:
        volume += Counter({flow.before: flow.queries}) | Counter({flow.after: flow.queries})
    drawn = [name for name, _ in volume.most_common() if name in colors][:MANY]
    moved: Counter[tuple[str, str]] = Counter()
    for flow in flows:
        before, after = (name if name in drawn else OTHERS for name in (flow.before, flow.after))
        moved[before, after] += flow.queries
    bar, top = 12.0, 24.0
    left, right, longest = margin - bar, width - margin, int((margin - bar - GAP) / CHARACTER)
    order = [*drawn, OTHERS]
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
            lines = folded(name, f"{queries:,}", longest)
            tall = max(queries * scale, LINE * len(lines))
            place, anchor = (x - GAP, "end") if side == 0 else (x + bar + GAP, "start")
            top_line = y + (tall - LINE * (len(lines) - 1)) / 2 + 4
            texts += [Text(place, top_line + LINE * row, line, anchor, title) for row, line in enumerate(lines)]
            y += tall + 4
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
    legend = [(colors.get(name, -1), name) for name in order if any(name in side for side in begins)]
    return Picture("flow", label, width, height, [*bands, *shapes], texts, legend, table)


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
    images = {
        media: b64encode(drawn(evaluation, dark=dark, inches=inches)).decode()
        for media, dark, inches in (
            ("", False, PAGE),
            (f"{PHONES} and {DARK}", True, PHONE),
            (PHONES, False, PHONE),
            (f"screen and {DARK}", True, PAGE),
        )
    }
    image = images.pop("")
    label = (
        f"Mean quality of every policy over its {AXES[evaluation.axis]}. Policies at one place share a label; "
        "names that find no place, and of many models those that are seldom called, stand in the table alone"
    )
    return Plot(label, image, list(images.items()), table)


def map_picture(found: Map, colors: Mapping[str, int], table: Table) -> Picture:
    """Draw rows as squares and queries as discs, each in the colour of the model that is picked there."""
    left, right, top, bottom, height, gap = 76.0, WIDTH - 12, 32.0, 460.0, 520.0, 8.0
    xs, ys = [mark.x for mark in found.marks], [mark.y for mark in found.marks]
    # One scale for both axes, so that distances can be seen.
    span = max((max(xs) - min(xs)) / (right - left - 2 * gap), (max(ys) - min(ys)) / (bottom - top - 2 * gap)) or 1.0
    middle = (max(xs) + min(xs)) / 2, (max(ys) + min(ys)) / 2
    wide, high = span * (right - left) / 2, span * (bottom - top) / 2
    x_of = _Scale(middle[0] - wide, middle[0] + wide, left, right)
    y_of = _Scale(middle[1] - high, middle[1] + high, bottom, top)
    shapes = [Shape(_line([(x_of(tick), top), (x_of(tick), bottom)]), -1, "", "grid") for tick in x_of.ticks()]
    shapes += [Shape(_line([(left, y_of(tick)), (right, y_of(tick))]), -1, "", "grid") for tick in y_of.ticks()]
    texts = [Text(x_of(tick), bottom + 20, f"{tick:z.3g}", "middle") for tick in x_of.ticks()]
    texts += [Text(left - 6, y_of(tick) + 4, f"{tick:z.3g}", "end") for tick in y_of.ticks()]
    for mark in found.marks:
        x, y = x_of(mark.x), y_of(mark.y)
        of = f"row {mark.row:,}" if mark.row is not None else isolated(mark.query or "")
        path = _box(x - 2, y - 2, 4, 4) if mark.row is not None else _disc(x, y, 3)
        role = "row" if mark.row is not None else "query"
        shapes.append(Shape(path, colors.get(mark.pick, -1), f"{of} → {isolated(mark.pick)}", role))
    picked = dict.fromkeys(mark.pick for mark in found.marks)
    legend = sorted((colors[name], name) for name in picked if name in colors)
    if len(picked) > len(legend):
        legend.append((-1, OTHERS))
    first, second = (f"{100 * part:.1f} %" for part in found.explained)
    texts.append(Text((left + right) / 2, height - 8, f"first principal component, {first} of the variance", "middle"))
    texts.append(Text(8, 18, f"second principal component, {second} of the variance"))
    label = (
        f"Across, the first principal component, which holds {first} of the variance; upwards, the second, {second}. "
        "■ is a row of the model, ● a query of the records; the colour is the model that is picked there"
    )
    return Picture("map", label, WIDTH, height, shapes, texts, legend, table)


def drift_picture(found: Drift, table: Table) -> Picture:
    """Draw the share of the queries in each tenth of the recorded distances, and the tenth that is expected."""
    left, right, top, bottom, height = 76.0, WIDTH - 20, 16.0, 176.0, 228.0
    y = _Scale(0.0, max(*found.tenths, 0.2), bottom, top)
    wide = (right - left) / len(found.tenths)
    shapes = [Shape(_line([(left, y(tick)), (right, y(tick))]), -1, "", "grid") for tick in y.ticks()]
    texts = [Text(left - 6, y(tick) + 4, f"{100 * tick:.0f} %", "end") for tick in y.ticks()]
    for tenth, part in enumerate(found.tenths):
        x = left + tenth * wide
        title = f"{100 * part:.1f} % of the queries"
        shapes.append(Shape(_box(x + 4, y(part), wide - 8, bottom - y(part)), 0, title, "bar"))
        texts.append(Text(x + wide / 2, bottom + 20, f"{tenth + 1}", "middle"))
    expected = 1 / len(found.tenths)
    shapes.append(Shape(_line([(left, y(expected)), (right, y(expected))]), -1, "expected: 10 %", "singles"))
    texts.append(Text((left + right) / 2, height - 6, "tenth of the recorded distances, the nearest first", "middle"))
    label = "Share of the queries whose distance lies in each tenth of the recorded ones; the line is what is expected"
    return Picture("drift", label, WIDTH, height, shapes, texts, [], table)
