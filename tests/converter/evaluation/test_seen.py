"""Questions that artifacts were trained on are known again, and left out."""

import json

import pytest

from modelpick.converter import convert
from modelpick.converter.evaluation.evaluate import evaluate_policies
from modelpick.converter.evaluation.policies import routed as policies_of
from modelpick.converter.evaluation.seen import Seen, unseen
from modelpick.converter.evaluation.verdict import verdicts
from modelpick.converter.training.records import read_records
from modelpick.converter.training.train import train, trainer, training_data
from modelpick.runtime import Objective
from support.command import modelpick
from support.recorded import encoded, routed

RECORDS = [json.loads(line) for line in routed(120).splitlines()]


def asked(first, last, **changed):
    """Records of some of the questions."""
    return [one | changed for one in RECORDS if first <= int(one["query"][1:]) < last]


@pytest.fixture(scope="module")
def artifact(tmp_path_factory):
    """Trained on the first 80 questions."""
    target = tmp_path_factory.mktemp("seen") / "a.onnx"
    document = train(training_data(read_records(encoded(*asked(0, 80)))), trainer("kernel_ridge"))
    convert(json.dumps(document).encode(), target, samples=0)
    return target


def test_seen_questions_are_left_out_and_the_others_measured(artifact):
    benchmark = read_records(encoded(*asked(60, 120)))
    others, seen = unseen({"a": artifact}, benchmark)
    assert others.queries == [f"q{i}" for i in range(80, 120)]
    assert others.quality.tolist() == benchmark.quality[20:].tolist()
    assert others.embeddings.tolist() == benchmark.embeddings[20:].tolist()
    assert seen == [Seen("a", 20, 60, 40)]
    assert str(seen[0]) == "a: 20 of 60 questions stand in its training records: measured on the 40 others"
    fresh = read_records(encoded(*asked(80, 120)))
    assert unseen({"a": artifact}, fresh) == (fresh, [])


def test_what_was_trained_on_alone_never_pays(artifact):
    benchmark = read_records(encoded(*asked(0, 80)))
    others, seen = unseen({"a": artifact}, benchmark)
    assert others is benchmark
    objective = Objective(cost_weight=0.05)
    evaluation = evaluate_policies(
        policies_of([artifact], benchmark, objective=objective), benchmark, objective=objective
    )
    assert verdicts(evaluation)[0].pays  # as it would seem
    evaluation.seen = seen
    (verdict,) = verdicts(evaluation)
    assert not verdict.pays
    told = "80 of 80 questions stand in its training records: its picks for other questions are unknown"
    assert verdict.text == f"Cannot tell: {told}."


def test_training_records_that_are_given_count_too(tmp_path):
    target = tmp_path / "a.onnx"
    document = train(training_data(read_records(encoded(*asked(0, 80)))), trainer("knn"), digests=False)
    assert "training_questions" not in document
    convert(json.dumps(document).encode(), target, samples=0)
    benchmark = read_records(encoded(*asked(60, 120)))
    assert unseen({"a": target}, benchmark) == (benchmark, [])
    others, seen = unseen({"a": target}, benchmark, read_records(encoded(*asked(0, 80))))
    assert (len(others.queries), seen) == (40, [Seen("a", 20, 60, 40)])


def test_the_commands_say_so(artifact, tmp_path):
    data = tmp_path / "data.jsonl"
    data.write_bytes(encoded(*asked(60, 120)))
    told = "20 of 60 questions stand in its training records: measured on the 40 others"
    done = modelpick("evaluate", artifact, "--data", data, "--json")
    assert done.stderr == ""
    found = json.loads(done.stdout)
    assert told in found["headlines"][0]["beware"]
    assert found["queries"] == 40
    assert found["seen"] == [{"artifact": "a", "questions": 20, "of": 60, "measured": 40}]
    done = modelpick("diff", artifact, artifact, "--data", data)
    assert "0 of 40 queries differ" in done.stdout
    assert told in done.stderr
    page = tmp_path / "report.html"
    done = modelpick("report", artifact, "--data", data, "-o", page, "--samples", "0", "--json")
    evaluation = json.loads(done.stdout)["worth"]["evaluation"]
    assert (evaluation["queries"], evaluation["seen"]) == (40, found["seen"])
    assert told in page.read_text()


def test_the_command_leaves_digests_out(tmp_path):
    data = tmp_path / "data.jsonl"
    data.write_bytes(encoded(*asked(0, 30)))
    for option, there in (("--digests", True), ("--no-digests", False)):
        assert modelpick("train", "--data", data, "-o", tmp_path, "--algorithm", "kmeans", option).returncode == 0
        assert ("training_questions" in json.loads((tmp_path / "kmeans_model.json").read_text())) == there
