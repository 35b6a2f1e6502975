"""What records and decisions hold, what they can support, and decisions joined with outcomes."""

import json

import numpy as np
import pytest

from modelpick.converter.files.parquet import read_parquet
from modelpick.converter.formats.outcomes import Settings
from modelpick.converter.training.logs import understand
from modelpick.converter.training.records import read_answers, read_records
from modelpick.converter.training.train import train, trainer, training_data
from modelpick.runtime import DocumentError, Selector
from support.artifacts import converted
from support.catalogue import kernel_ridge
from support.command import modelpick
from support.recorded import encoded, record


def understood(*records):
    return understand(read_answers(encoded(*records), known=False))


def log(n=400, share=0.5, said=None, seed=0):
    """One answer a question, of model b with a probability, which the log may tell wrongly."""
    rng = np.random.default_rng(seed)
    said = share if said is None else said
    return [
        record(query=f"q{place}", model_name="b" if is_b else "a", propensity=said if is_b else 1 - said)
        for place, is_b in enumerate(rng.random(n) < share)
    ]


def test_counts_what_was_understood():
    found = understood(
        record(timestamp=0, policy="p", session="s", cost=1, embedding=[1.0], propensity=0.5),
        record(timestamp="1970-01-02T00:00:00+00:00", policy="p", session="s", model_name="b", propensity=0.25),
        record(query="r", performance=None, response_time=None),
        record(query="r", success=False),
    )
    assert (found.form, found.answers, found.bad, found.questions, found.duplicates) == ("records", 4, 0, 2, 1)
    assert (found.models, found.models_a_question) == ({"a": 3, "b": 1}, {1: 1, 2: 1})
    assert found.known == {"quality": 3, "seconds": 3, "cost": 1}
    assert (found.failed, found.embedded, found.propensities, found.least_propensity) == (1, 1, 2, 0.25)
    assert (found.policies, found.sessions) == ({"p": 2}, 1)
    assert (found.first, found.last) == ("1970-01-01T00:00:00+00:00", "1970-01-02T00:00:00+00:00")


def test_models_of_equal_records_are_said_to_be_equal():
    answers = [
        record(query=f"q{place}", model_name=model, performance=place % 3 / 2, cost=1 + (model == "dear"))
        for place in range(40)
        for model in ("b", "dear", "a", "a2")
    ]
    assert understood(*answers).equal_models == {"b": ["a", "a2"]}
    assert understood(*answers[1:]).equal_models == {"a": ["a2"]}
    assert understood(*answers[:80]).equal_models == {}


EMBEDDED = {"embedding": [1.0], "cost": 1}
SUPPORT = {
    "complete": (
        [record(query=query, model_name=model, **EMBEDDED) for query in "qr" for model in "ab"],
        ["judge every policy: each question has answers of all 2 models"],
        [],
    ),
    "one model": ([record(**EMBEDDED)], [], ["compare models: there is one"]),
    "explored": (
        [one | EMBEDDED for one in log()],
        ["judge every policy that picks what the log picked with some probability, by its propensities"],
        [],
    ),
    "never explored": (
        [one | EMBEDDED | {"propensity": 1} for one in log()],
        [],
        ["judge any policy but the one that wrote the log, which never explored: all propensities are 1"],
    ),
    "no propensities": (
        [
            one | EMBEDDED | {"propensity": None}
            for one in [*log(10), record(query="q0"), record(query="q0", model_name="b")]
        ],
        ["compare models on questions that have answers of more than one: 1 of 10"],
        ["tell a model from the questions that it was given: 12 answers have no propensity"],
    ),
    "decisions": (
        [record(query=query, model_name=query, performance=None, propensity=0.5, embedding=[1.0]) for query in "ab"],
        ["judge every policy that picks what the log picked with some probability, by its propensities"],
        ["say the quality of 2 of 2 answers", "say the cost of 2 of 2 answers"],
    ),
    "text alone": (
        [record(query=query, model_name=model, cost=1) for query in "qr" for model in "ab"],
        ["judge every policy: each question has answers of all 2 models"],
        ["embed 2 questions: --encoder, --embeddings or --embedder does"],
    ),
}


@pytest.mark.parametrize(("records", "can", "cannot"), SUPPORT.values(), ids=SUPPORT)
def test_says_what_records_can_and_cannot_support(records, can, cannot):
    found = understood(*records)
    assert (found.can, found.cannot) == (can, cannot)


def test_propensities_that_contradict_the_shares_are_told():
    """Of 20 logs each: right propensities are never doubted, and those that are five times too small always."""
    for seed in range(20):
        right, wrong = log(seed=seed), log(said=0.1, seed=seed)
        assert not [text for text in understood(*right).cannot if "believe" in text]
        (told,) = [text for text in understood(*wrong).cannot if "believe" in text]
        assert told.startswith("believe the propensities of b: they stand for ")
        (warning,) = [text for text in read_records(encoded(*wrong)).warnings if "propensities" in text]
        assert "the propensities of b stand for" in warning
    # A model that may not be picked for every question stands for fewer.
    restricted = [*log(), *[record(query=f"x{place}", model_name="c", propensity=1) for place in range(100)]]
    assert not [text for text in understood(*restricted).cannot if "believe" in text]


def test_some_without_a_propensity_are_counted():
    warnings = read_records(encoded(*log(10), record())).warnings
    assert "<bytes>: 1 of 11 records have no propensity, as the others do" in warnings
    assert not [text for text in read_records(encoded(*log(10))).warnings if "no propensity" in text]


@pytest.mark.parametrize("propensity", [0, -0.1, 1.01, float("nan"), "often"])
def test_a_propensity_is_a_probability_above_0(propensity):
    bad = read_records(encoded(*[*log(200), record(propensity=propensity)])).bad
    assert len(bad) == 1
    assert bad[0].startswith("<bytes>:201: propensity: expected ")


def test_two_answers_of_one_decision_are_refused():
    lines = encoded(record(decision_id="d"), record(query="r"), record(query="s", decision_id="d"))
    with pytest.raises(
        DocumentError, match=r"^<bytes>:3: decision_id: <bytes>:1 is an answer of the same decision, 'd'$"
    ):
        read_records(lines)


DECISIONS = [
    {"decision_id": place, "query": f"q{place}", "model_name": "ab"[place % 2], "propensity": 0.5, "cost": 1.0}
    for place in range(6)
]
OUTCOMES = [{"decision_id": str(place), "performance": place / 10, "cost": 2.0} for place in (5, 3, 1, 7)]


@pytest.mark.parametrize("name", ["records.parquet", "records.jsonl"])
def test_decisions_are_joined_with_their_outcomes(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "decisions.jsonl").write_bytes(encoded(*DECISIONS))
    (tmp_path / "outcomes.jsonl").write_bytes(encoded(*OUTCOMES))
    done = modelpick("records", "decisions.jsonl", "--outcomes", "outcomes.jsonl", "-o", name, "--json")
    assert done.returncode == 0, done.stderr
    assert done.stderr == f"3 records; 3 decisions have no outcome, 1 outcomes no decision\nwrote {name}\n"
    told = json.loads(done.stdout)
    assert (told["answers"], told["known"], told["propensities"]) == (3, {"quality": 3, "seconds": 0, "cost": 3}, 3)
    benchmark = read_records(tmp_path / name)
    assert benchmark.queries == ["q1", "q3", "q5"]
    assert benchmark.quality.ravel().tolist() == [0.1, 0.3, 0.5]
    assert benchmark.cost.ravel().tolist() == [2, 2, 2]
    if name.endswith("parquet"):
        assert len(read_parquet(name, (tmp_path / name).read_bytes())) == 3


REFUSED = {
    "two outcomes": (
        [*OUTCOMES, OUTCOMES[0]],
        "outcomes.jsonl:5: decision_id: outcomes.jsonl:1 is of the same decision, '5'",
    ),
    "no id": ([{"performance": 1}], "outcomes.jsonl:1: decision_id: expected one"),
    "no match": ([{"decision_id": "x"}], "outcomes.jsonl: expected outcomes of decisions of decisions.jsonl, got none"),
}


@pytest.mark.parametrize(("outcomes", "message"), REFUSED.values(), ids=REFUSED)
def test_outcomes_that_do_not_fit_are_refused(outcomes, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "decisions.jsonl").write_bytes(encoded(*DECISIONS))
    (tmp_path / "outcomes.jsonl").write_bytes(encoded(*outcomes))
    done = modelpick("records", "decisions.jsonl", "--outcomes", "outcomes.jsonl", "-o", "r.jsonl")
    assert (done.returncode, done.stderr) == (2, f"error: {message}\n")
    assert not (tmp_path / "r.jsonl").exists()
    assert modelpick("records", "decisions.jsonl", "--outcomes", "outcomes.jsonl").returncode == 2


def test_the_command_shows_records(tmp_path):
    (tmp_path / "log.jsonl").write_bytes(encoded(*[one | {"policy": "half"} for one in log(50)]))
    done = modelpick("records", str(tmp_path / "log.jsonl"))
    assert done.returncode == 0, done.stderr
    for words in (
        "answers",
        "50",
        "policy half",
        "with a propensity",
        "can judge every policy",
        "cannot embed 50 questions",
    ):
        assert words in done.stdout


def test_decisions_and_their_outcomes_are_records_that_train(tmp_path):
    """A service decides and writes; outcomes come later; both together train the next selector."""
    qualities, rng = np.array([0.9, 0.2]), np.random.default_rng(0)
    trained = kernel_ridge(np.eye(3), {"quality": (np.zeros((3, 2)), qualities)}, ["a", "b"])
    (tmp_path / "first.onnx").write_bytes(converted(trained))
    decisions, outcomes = tmp_path / "decisions.jsonl", tmp_path / "outcomes.jsonl"
    with Selector.load(tmp_path / "first.onnx") as selector, decisions.open("w") as made, outcomes.open("w") as later:
        for number in range(120):
            embedding = rng.normal(size=3)
            decision = selector.decide(embedding, key=f"user {number}", explore=0.5)
            asked = {"query": decision.decision_id, "embedding": embedding.tolist()}
            print(json.dumps(asked | decision.as_dict()), file=made)
            quality = {"a": float(embedding[0] < 0), "b": float(embedding[0] > 0)}[decision.model]
            if number % 10:
                print(json.dumps({"decision_id": decision.decision_id, "performance": quality}), file=later)
    path = tmp_path / "records.jsonl"
    done = modelpick("records", decisions, "--outcomes", outcomes, "-o", path, "--json")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert (found["answers"], found["propensities"], found["sessions"]) == (108, 108, 108)
    assert (found["models"].keys(), found["policies"].keys()) == ({"a", "b"}, {decision.artifact})
    assert any(text.startswith("judge every policy that picks what the log picked") for text in found["can"])
    model = train(training_data(read_records(path), Settings(), one_hot=False), trainer("kernel_ridge"))
    (tmp_path / "next.onnx").write_bytes(converted(model))
    with Selector.load(tmp_path / "next.onnx") as selector:
        assert [selector.select([2.0 * sign, 0.0, 0.0]) for sign in (1, -1)] == ["b", "a"]
