"""Shapes: they lie in their picture, and say what the numbers say."""

import re

import numpy as np
import pytest

from modelpick.converter.evaluation.drift import Drift
from modelpick.converter.evaluation.evaluate import MANY
from modelpick.converter.report.facts import Flow, Map, Mark
from modelpick.converter.report.pictures import (
    LINES,
    NARROW,
    OTHERS,
    WIDTH,
    drift_picture,
    flow_picture,
    folded,
    map_picture,
)
from modelpick.converter.report.tables import Table

TABLE = Table("", (), [])


def flows(n_models, seed=0):
    counts = np.random.default_rng(seed).integers(0, 9, size=(n_models, n_models))
    return [Flow(f"m{i}", f"m{j}", int(count)) for (i, j), count in np.ndenumerate(counts) if count]


def coordinates(picture):
    """Corners that are given absolutely."""
    paths = " ".join(shape.path for shape in picture.shapes)
    return [(float(x), float(y)) for x, y in re.findall(r"M(-?[\d.]+) (-?[\d.]+)", paths)]


@pytest.mark.parametrize("n_models", [1, 2, 9, 40])
@pytest.mark.parametrize("is_narrow", [False, True])
def test_a_flow_draws_every_query_once_on_either_side(n_models, is_narrow):
    found = flows(n_models)
    picture = flow_picture(found, {f"m{i}": i for i in range(n_models)}, TABLE)
    picture = picture.narrow if is_narrow else picture
    assert picture.width == (NARROW if is_narrow else WIDTH)
    queries = sum(flow.queries for flow in found)
    for side in ("before", "after"):
        titles = [shape.title for shape in picture.shapes if shape.title.endswith(f"queries {side}")]
        assert sum(int(re.search(r": ([\d,]+) queries", title)[1].replace(",", "")) for title in titles) == queries
        assert len(titles) == min(n_models, MANY + 1)
    bands = [shape for shape in picture.shapes if shape.role in ("kept", "moved")]
    assert sum(int(re.search(r": ([\d,]+) queries", one.title)[1].replace(",", "")) for one in bands) == queries
    assert any(OTHERS in text.text for text in picture.texts) == (n_models > MANY)
    assert all(0 <= x <= picture.width and 0 <= y <= picture.height for x, y in coordinates(picture))
    rows = [text.y for text in picture.texts if text.anchor == "end"]
    assert all(b - a > 7 for a, b in zip(sorted(rows), sorted(rows)[1:], strict=False))


@pytest.mark.parametrize("places", [[(0.0, 0.0)], [(0.0, 1.0), (5.0, -3.0), (1e-9, 2.0)]])
def test_a_map_lies_in_its_picture(places):
    marks = [Mark(x, y, "a", i, None) if i % 2 else Mark(x, y, "b", None, "q") for i, (x, y) in enumerate(places)]
    picture = map_picture(Map("m", 2, False, [0.5, 0.5], 1, 1, marks), {"a": 0, "b": 1}, TABLE)
    assert all(0 <= x <= picture.width and 0 <= y <= picture.height for x, y in coordinates(picture))
    marks = [shape for shape in picture.shapes if shape.role in ("row", "query")]
    assert {shape.color for shape in marks} == ({0, 1} if len(places) > 1 else {1})
    for axis in ("first", "second"):
        assert any(f"{axis} principal component, 50.0 %" in text.text for text in picture.texts)
    assert {shape.role for shape in picture.shapes} >= {"grid"}
    assert {name for _, name in picture.legend} <= {"a", "b"}


def test_drift_bars_are_as_high_as_their_shares():
    shares = [0.5, 0.25, 0.25, *[0.0] * 7]
    picture = drift_picture(Drift(8, 0.0, [0.0] * 11, [0.0] * 11, shares), TABLE)
    heights = [float(re.search(r"v(-?[\d.]+)", one.path)[1]) for one in picture.shapes if one.role == "bar"]
    assert heights[0] == pytest.approx(2 * heights[1], abs=0.2)
    assert heights[3:] == [0.0] * 7


def test_long_names_are_folded_and_keep_their_direction():
    assert folded("a", "5", 20) == ["\u2068a\u2069 5"]
    assert folded("a\u2069\u202eb", "5", 20) == ["\u2068a\\u2069\\u202eb\u2069 5"]
    name = "llama-3.1-nemotron-51b-instruct@6400"
    assert folded(name, "1,234", 20) == ["\u2068llama-3.1-nemotron-\u2069", "\u206851b-instruct@6400\u2069", "1,234"]
    lines = folded("x" * 80, "1,234", 20)
    assert len(lines) <= LINES
    assert max(map(len, lines)) <= 20 + 2
    assert "".join(lines).startswith("\u2068xxx")


def test_names_that_differ_at_their_ends_stay_apart():
    names = [
        f"llama-3.{minor}-nemotron-{size}b-instruct@{limit}" for minor in "13" for size in "58" for limit in (100, 6400)
    ]
    assert len({tuple(folded(name, "1", 20)) for name in names}) == len(names)
