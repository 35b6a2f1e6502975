"""What changes from one artifact to another, on a log."""

import json
from types import SimpleNamespace

import numpy as np
import pytest

from modelpick.converter import convert
from modelpick.converter.evaluation.simulation import chances_of, simulated
from modelpick.converter.files.queries import Query
from modelpick.converter.report.changes import compared_picks
from modelpick.converter.report.facts import Comparison
from modelpick.converter.report.what_changes import what_changes
from modelpick.converter.training.train import train, trainer, training_data
from modelpick.runtime import Selector
from support.world import WORLD


@pytest.fixture(scope="module")
def selectors(of_world, tmp_path_factory):
    """One that picks by the embedding, and one of the same records that picks the best single model."""
    path = tmp_path_factory.mktemp("changes") / "b.onnx"
    settings = training_data(WORLD.complete).settings._replace(evidence=9.0, k=40)
    row = trainer("knn", semantics="queries")
    document = train(training_data(WORLD.complete, settings), row, digests=False)
    convert(json.dumps(document).encode(), path, samples=0, semantics="queries")
    with Selector.load(path) as old, Selector.load(of_world) as new:
        yield old, new


def compared(selectors, records):
    rows = zip(records.places, records.embeddings.tolist(), records.categories, strict=True)
    queries = [Query(place, embedding=row, category=category) for place, row, category in rows]
    return compared_picks(*selectors, queries, records)


def told(picks):
    """The sentences of the section on these picks."""
    old = SimpleNamespace(path="b.onnx")
    section = what_changes(SimpleNamespace(artifacts=[None], comparisons=[Comparison("a", old, [], [picks], "")]), {})
    return " ".join(section.parts[0].words)


def test_effects_of_a_log_are_estimates_and_hold_what_complete_records_say(selectors):
    truth = compared(selectors, WORLD.complete)
    assert truth.effects["quality"].change.low > 0
    assert "the recorded quality rises on" in told(truth)
    log = simulated(WORLD.complete, np.tile([0.45, 0.45, 0.1], (len(WORLD.complete.queries), 1)))
    found = compared(selectors, log)
    assert (found.changed, found.flows) == (truth.changed, truth.flows)
    for kind in ("quality", "cost"):
        one, true = (of.effects[kind].change for of in (found, truth))
        assert one.low <= true.value <= one.high
    widths = [change.high - change.low for change in (of.effects["quality"].change for of in (found, truth))]
    assert widths[0] > 1.3 * widths[1]
    assert "A log: doubly robust, with the propensities of the log." in told(found)


def test_an_effect_that_a_log_does_not_tell_is_a_dash_with_its_reason(selectors):
    log = simulated(WORLD.complete, chances_of(WORLD.complete, "other", 0.02))
    found = compared(selectors, log)
    for one in (found.effects["quality"].change, *(of.quality for of in found.categories)):
        assert np.isnan([one.value, one.low, one.high]).all()
    assert "— it rests on " in told(found)
    assert "about " in told(found)
    assert all(one.quality_before is None or one.quality_after is None for one in found.telling)
