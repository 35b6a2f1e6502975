"""The command `evaluate`."""

import json
import re
import shutil

import pytest

from modelpick.converter import convert, read_records, train, training_data
from modelpick.runtime import Selector
from support.command import modelpick
from support.policies import by_name, evaluated
from support.recorded import DATA, HELD_OUT, ROOT, routed

pytestmark = pytest.mark.filterwarnings("ignore::modelpick.converter.DocumentWarning")


def test_the_commands_evaluate_and_compare(artifacts, tmp_path):
    picks = tmp_path / "picks.jsonl"
    shared = ["evaluate", *artifacts, "--data", DATA]
    done = modelpick(*shared, "--json", "--plot", tmp_path / "plot.svg", "--picks", picks, "--train-data", DATA)
    assert (done.returncode, done.stderr) == (0, f"wrote {tmp_path / 'plot.svg'}\nwrote {picks}\n")
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
    told = "56 of 56 questions stand in its training records: its picks for other questions are unknown"
    assert [verdict["text"] for verdict in found["verdicts"]] == [f"Cannot tell: {told}."] * 2
    done = modelpick(*shared, "--pair", "codellama-7b", "mistral-7b", "--fail-unless-pays", "--full")
    assert not any(verdict["pays"] for verdict in found["verdicts"])
    assert done.returncode == 1
    for text in ("oracle", "random", "mistral-7b", "quality by category", "share of selections", "APGR"):
        assert text in done.stdout
    assert "strongest: of the highest mean quality; cheapest: of the lowest mean cost; best: of" in done.stdout
    assert not re.search(r"-0\.0+( %|%|\b(?!\d))", done.stdout)
    assert not re.search(r"\d%(?!\))", done.stdout)


def test_the_command_prints_a_row_a_policy_and_the_verdicts(artifacts, tmp_path, monkeypatch):
    training = training_data(read_records(routed(60, dear=0.6)))
    convert(json.dumps(train(training, "kernel_ridge")).encode(), tmp_path / "pointed.onnx", samples=0)
    (tmp_path / "held_out.jsonl").write_bytes(routed(40, seed=1, dear=0.6).replace(b'"query": "q', b'"query": "new q'))
    shared = ["evaluate", tmp_path / "pointed.onnx", "--data", tmp_path / "held_out.jsonl"]
    done = modelpick(*shared, "--plot", tmp_path / "plot.svg")
    found = json.loads(modelpick(*shared, "--json").stdout)
    stand, header, *rows = done.stdout.splitlines()
    assert re.match(r"40 questions, compared with always calling dear \(quality 0\.\d+, cost 10, seconds 1\), ", stand)
    assert "the best single model as the artifacts record: its mean was the highest over their training" in stand
    assert header.split() == ["quality", "cost", "seconds"]
    marks = {"worth calling": "✓", "cannot tell": "?", "not worth calling": "✗"}
    changed = r" [-+]\d+\.\d points \[-?\d+\.\d, \d+\.\d\]  *-\d+ % \[-\d+, -\d+\]  *[-+]0 % \[0, 0\]$"
    names = [one["policy"].replace("pointed keep=", "  keep=") for one in found["verdicts"]]
    assert names == ["pointed", "  keep=0.9", "  keep=0.95", "  keep=1"]
    for row, name, verdict in zip(rows, names, found["verdicts"], strict=False):
        assert row.startswith(f"{marks[verdict['answer']]} {name} ")
        assert re.search(changed, row)
    (headline,) = found["headlines"]
    assert rows[4:] == [f"✓ pointed: {headline['text']}"]
    assert done.stderr == f"wrote {tmp_path / 'plot.svg'}\n"
    assert "; or " in headline["text"]
    done = modelpick(*shared, "--keep", "0.95", "--fail-unless-pays")
    assert done.returncode == 1
    assert done.stdout.splitlines()[-1].startswith("? pointed keep=0.95: Cannot tell: 40 questions; about ")
    monkeypatch.setenv("COLUMNS", "80")
    three = [*artifacts, tmp_path / "more.onnx"]
    shutil.copy(artifacts[0], three[-1])
    done = modelpick("evaluate", *three, "--data", HELD_OUT)
    lines = done.stdout.splitlines()
    assert len(lines) <= 25
    assert max(map(len, lines)) <= 80
    assert lines[-1] == "! intervals from fewer than 30 questions are narrower than they should be"


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
