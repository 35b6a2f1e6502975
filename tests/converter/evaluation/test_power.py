"""How many questions of a log show a gain: logs of this length show it as often as is said."""

import json
import re

import numpy as np
import pytest

from modelpick.converter.evaluation.estimation import estimated
from modelpick.converter.evaluation.policies import routed
from modelpick.converter.evaluation.power import ERRORS, needed_questions
from modelpick.converter.evaluation.simulation import chances_of, simulated, to_records
from support.command import modelpick
from support.recorded import encoded
from support.world import WORLD

GAIN, EXPLORE, LOGS = 0.2, 0.5, 40
FEW = WORLD.complete.of(np.arange(100))


def test_as_many_questions_as_are_said_show_the_gain(of_world):
    """The standard error of gains from such logs is the gain, divided by what 80 % power takes."""
    (said,) = needed_questions([of_world], WORLD.complete, gain=GAIN, explores=[EXPLORE], logged_by="strong")
    (policy,) = routed([of_world], WORLD.complete)
    best = WORLD.complete.model_names.index(said.baseline)
    rng, found = np.random.default_rng(0), []
    for seed in range(LOGS):
        part = rng.integers(len(WORLD.complete.queries), size=said.questions)
        drawn = WORLD.complete.of(part)
        log = simulated(drawn, chances_of(drawn, "strong", EXPLORE), seed)
        quality = estimated(log, seed).benchmark.quality
        found.append((policy.chances[part] * quality).sum(axis=1).mean() - quality[:, best].mean())
    assert np.std(found) * ERRORS == pytest.approx(GAIN, rel=0.3)  # three standard errors of a standard deviation


def test_a_log_tells_about_the_same_as_complete_records(of_world):
    log = simulated(WORLD.complete, chances_of(WORLD.complete, "uniform", 0.0), 1)
    (of_log,), (of_complete,) = (
        needed_questions([of_world], of, gain=GAIN, logged_by="uniform") for of in (log, WORLD.complete)
    )
    assert of_log.questions == pytest.approx(of_complete.questions, rel=0.3)
    assert of_log.explore == pytest.approx(2 / 3)


def test_less_exploration_and_smaller_gains_take_more(of_world):
    some = needed_questions([of_world], FEW, gain=0.05, explores=[0.02, 0.2])
    assert some[0].questions > 5 * some[1].questions
    (half,) = needed_questions([of_world], FEW, gain=0.025, explores=[0.2])
    assert half.questions == pytest.approx(4 * some[1].questions, rel=0.01)
    # Each estimate must rest on 30 answers, however large the gain is.
    (least,) = needed_questions([of_world], FEW, gain=100, explores=[0.1])
    assert least.questions >= 30


def test_the_command_says_it(of_world, tmp_path):
    records = tmp_path / "complete.jsonl"
    records.write_bytes(encoded(*(one | {"decision_id": None} for one in to_records(FEW, "", propensities=False))))
    done = modelpick("power", of_world, "--data", records, "--gain", "0.05", "--explore", "0.05", "--explore", "0")
    title, header, seen, not_seen, reason = done.stdout.splitlines()
    assert title == "Questions of a log that show a gain of 0.05 over always calling strong:"
    assert header.split() == ["exploration", "a"]
    assert re.fullmatch(r" +5 % +\d+,\d00", seen)
    assert not_seen.split() == ["0", "%", "—"]
    assert reason == ("— a: the log would hold no answer of strong to questions for which they differ: explore more")
    found = modelpick("power", of_world, "--data", records, "--explore", "0.05", "--json").stdout
    assert json.loads(found)["questions"] > 1000
