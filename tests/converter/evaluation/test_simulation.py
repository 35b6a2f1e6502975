"""Logs that are drawn from complete records."""

import json

import numpy as np
import pytest

from modelpick.converter.evaluation.policies import routed
from modelpick.converter.evaluation.simulation import chances_of, simulated, to_records
from modelpick.converter.training.records import read_records
from modelpick.runtime import DocumentError
from support.command import modelpick
from support.recorded import encoded
from support.world import WORLD


def test_a_log_is_drawn_as_the_policy_picks_and_read_back(of_world, tmp_path):
    chances = chances_of(WORLD.complete, "weak", 0.3)
    assert chances.sum(axis=1) == pytest.approx(np.ones(400))
    log = simulated(WORLD.complete, chances, 5)
    shares = (~np.isnan(log.quality)).mean(axis=0)
    assert shares == pytest.approx([0.7, 0.15, 0.15], abs=0.05)
    (tmp_path / "complete.jsonl").write_bytes(
        encoded(*(one | {"decision_id": None} for one in to_records(WORLD.complete, "", propensities=False)))
    )
    done = modelpick(
        "simulate", "--data", tmp_path / "complete.jsonl", "-o", tmp_path / "log.jsonl", "--explore", "0.3"
    )
    assert (done.returncode, "400 answers, one a question, by uniform" in done.stderr) == (0, True)
    read = read_records(tmp_path / "log.jsonl")
    assert (~np.isnan(read.quality)).sum(axis=1).tolist() == [1] * 400
    assert np.nanmin(read.propensity) == np.nanmax(read.propensity) == pytest.approx(1 / 3)
    first = json.loads((tmp_path / "log.jsonl").read_text().splitlines()[0])
    assert first["policy"] == "uniform"
    done = modelpick("simulate", "--data", tmp_path / "log.jsonl", "-o", tmp_path / "b.jsonl")
    assert (done.returncode, "expected records of every model for every question" in done.stderr) == (2, True)
    asked = (of_world, "--data", tmp_path / "log.jsonl")
    done = modelpick("report", *asked, "-o", tmp_path / "r.html", "--samples", "0", "--summary", "-")
    assert "A log: doubly robust, with the propensities of the log" in done.stdout
    done = modelpick("evaluate", *asked)
    assert "a: rests on about " in done.stdout
    found = json.loads(modelpick("evaluate", *asked, "--json").stdout)
    assert found["estimator"] == "doubly robust, with the propensities of the log"
    assert all(one["largest_weight"] == pytest.approx(3) for one in found["results"] if one["kind"] == "artifact")
    with pytest.raises(DocumentError, match="expected an artifact or one of uniform, hard, weak"):
        chances_of(WORLD.complete, "nobody", 0.1)


def test_an_artifact_writes_the_log_and_explores(of_world, tmp_path):
    """With the probability of exploring, one of the two other models answers, and the propensity says so."""
    records, log = tmp_path / "complete.jsonl", tmp_path / "log.jsonl"
    records.write_bytes(
        encoded(*(one | {"decision_id": None} for one in to_records(WORLD.complete, "", propensities=False)))
    )
    done = modelpick("simulate", "--data", records, "-o", log, "--policy", of_world, "--explore", "0.3")
    assert done.returncode == 0, done.stderr
    (policy,) = routed([of_world], WORLD.complete)
    explored = 0
    for answer, pick in zip(map(json.loads, log.read_text().splitlines()), policy.picks, strict=True):
        is_pick = answer["model_name"] == pick
        assert answer["propensity"] == pytest.approx(0.7 if is_pick else 0.15)
        explored += not is_pick
    assert explored / len(policy.picks) == pytest.approx(0.3, abs=0.07)
    assert len(set(policy.picks)) > 1
    done = modelpick("simulate", "--data", records, "-o", log, "--policy", tmp_path / "absent.onnx")
    assert done.error.startswith(f"{tmp_path / 'absent.onnx'}: ")
