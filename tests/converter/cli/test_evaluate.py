"""The command `evaluate`."""

import json
import re

import pytest

from modelpick.runtime import Selector
from support.command import modelpick
from support.policies import by_name, evaluated
from support.recorded import DATA, ROOT

pytestmark = pytest.mark.filterwarnings("ignore::modelpick.converter.DocumentWarning")


def test_the_commands_evaluate_and_compare(artifacts, tmp_path):
    picks = tmp_path / "picks.jsonl"
    shared = ["evaluate", *artifacts, "--data", DATA]
    done = modelpick(*shared, "--json", "--plot", tmp_path / "plot.svg", "--picks", picks, "--train-data", DATA)
    assert done.returncode == 0
    told = "56 of 56 questions stand in its training records: its picks for other questions are unknown"
    assert done.stderr == "".join(f"warning: {name}: {told}\n" for name in ("knn", "kmeans"))
    found = json.loads(done.stdout)
    results = {result["name"]: result for result in found["results"]}
    assert results["knn"]["quality"]["value"] == pytest.approx(by_name(evaluated(artifacts))["knn"].quality.value)
    unknown = {"value": None, "low": None, "high": None, "reason": "no cost of its picks is known"}
    assert results["knn"]["cost"] == unknown
    assert [verdict["policy"] for verdict in found["verdicts"]] == ["knn", "kmeans"]
    assert (tmp_path / "plot.svg").exists()
    lines = [json.loads(line) for line in picks.read_text().split("\n")[:-1]]
    regrets = [line["regret"] for line in lines]
    assert len(lines) == 2 * 56
    assert regrets == sorted(regrets, reverse=True)
    done = modelpick(*shared, "--pair", "codellama-7b", "mistral-7b", "--fail-unless-pays")
    assert not any(verdict["pays"] for verdict in found["verdicts"])
    assert done.returncode == 1
    for text in ("oracle", "random", "mistral-7b", "quality by category", "share of selections", "APGR"):
        assert text in done.stdout
    assert done.stdout.splitlines()[-2:] == [f"{one['policy']}: {one['text']}" for one in found["verdicts"]]
    assert not re.search(r"-0\.0+( %|%|\b(?!\d))", done.stdout)


def test_the_command_compares_picks(artifacts, tmp_path):
    queries = ROOT / "models/queries.jsonl"
    done = modelpick("diff", *artifacts, "--queries", queries, "--json")
    found = json.loads(done.stdout)
    rows = [json.loads(line) for line in queries.read_text().splitlines()]
    with Selector.load(artifacts[0]) as knn, Selector.load(artifacts[1]) as kmeans:
        picks = list(zip(knn.select_batch(rows), kmeans.select_batch(rows), strict=True))
    expected = [{"query": i, "a": a, "b": b, "why": "other scores"} for i, (a, b) in enumerate(picks) if a != b]
    assert (found["queries"], found["different"], found["picks"]) == (8, len(expected), expected)
    assert f"{len(expected)} of 8 queries differ" in modelpick("diff", *artifacts, "--queries", queries).stdout
    assert modelpick("diff", *artifacts, "--queries", tmp_path / "none").returncode == 2
