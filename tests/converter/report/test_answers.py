"""What a reader is told first: what a change does, what kind of change it is, and in how many lines."""

from functools import cache

import numpy as np
import pytest
from msgspec.structs import replace

from modelpick.converter.evaluation.seen import Seen
from modelpick.converter.report.answers import answers
from modelpick.converter.report.facts import CategoryChange, Effect, Flow, Reason
from modelpick.converter.report.gather import Request, gather
from modelpick.converter.report.html import to_html
from modelpick.converter.report.markdown import LINES, to_markdown
from modelpick.converter.report.nature import nature
from modelpick.converter.report.sections import page_of
from modelpick.converter.statistics.bootstrap import Estimate
from modelpick.converter.training.records import read_records
from support.artifacts import converted
from support.markup import records, rows

pytest.importorskip("jinja2")


@pytest.fixture(scope="module")
def facts(tmp_path_factory):
    """The facts of a small artifact that replaces another."""
    folder = tmp_path_factory.mktemp("answers")
    for name, seed in (("old", 0), ("new", 5)):
        (folder / f"{name}.onnx").write_bytes(converted(rows(12, ["a", "b"], seed=seed)))
    (folder / "data.jsonl").write_text(records(8, ["a", "b"]))
    read = read_records(folder / "data.jsonl")
    return gather([folder / "new.onnx"], Request([folder / "old.onnx"], read, folder / "data.jsonl", samples=0))


def changed(facts, **effects):
    """Replace what the change does: kind of outcome -> mean before, and low and high end of its change."""
    found = {}
    for kind, (before, low, high) in effects.items():
        change = Estimate((low + high) / 2, low, high)
        found[kind] = Effect(
            before, before + change.value, change, Estimate(*(x / before for x in (change.value, low, high)))
        )
    (comparison,) = facts.comparisons
    picks = replace(comparison.picks[0], effects=found, changed=4, flows=[Flow("a", "b", 4), Flow("b", "b", 4)])
    return replace(facts, comparisons=[replace(comparison, picks=[picks])])


SENTENCES = {
    "✓ Better than before: +3.0 points of quality [2.0, 4.0], but seconds +52 % [48, 56].": {
        "quality": (0.5, 0.02, 0.04),
        "seconds": (1.0, 0.48, 0.56),
    },
    "✓ Better than before: +3.0 points of quality [2.0, 4.0], cost -20 % [-30, -10].": {
        "quality": (0.5, 0.02, 0.04),
        "cost": (1.0, -0.3, -0.1),
    },
    "✗ Worse than before: -3.0 points of quality [-4.0, -2.0], cost +20 % [10, 30].": {
        "quality": (0.5, -0.04, -0.02),
        "cost": (1.0, 0.1, 0.3),
    },
    "✗ Worse than before: -3.0 points of quality [-4.0, -2.0], but cost -20 % [-30, -10].": {
        "quality": (0.5, -0.04, -0.02),
        "cost": (1.0, -0.3, -0.1),
    },
    "✓ Harmless: +0.1 points of quality [-0.1, 0.3].": {"quality": (0.5, -0.001, 0.003), "cost": (1.0, -0.1, 0.1)},
    "= No difference can be told: +1.0 points of quality [-2.0, 4.0].": {"quality": (0.5, -0.02, 0.04)},
    "✓ Cheaper than before for the same quality: +0.1 points of quality [-0.1, 0.3], cost -20 % [-30, -10].": {
        "quality": (0.5, -0.001, 0.003),
        "cost": (1.0, -0.3, -0.1),
    },
    "✗ Dearer than before, and no difference of quality can be told: "
    "+1.0 points of quality [-2.0, 4.0], seconds +20 % [10, 30].": {
        "quality": (0.5, -0.02, 0.04),
        "seconds": (1.0, 0.1, 0.3),
    },
}


@pytest.mark.parametrize(("sentence", "effects"), SENTENCES.items(), ids=SENTENCES)
def test_the_first_sentence_says_what_the_change_does(facts, sentence, effects):
    (answer,) = answers(changed(facts, **effects))
    change, worth = answer.leads
    assert change.marked == sentence
    assert worth.marked == facts.worth.headlines[0].compared


def test_what_to_look_at_names_models_that_gain_or_lose_and_accounts_for_all_changed_picks(facts):
    (comparison,) = facts.comparisons

    def look(flows, reasons):
        category = CategoryChange("other", 8, 4, Estimate(-0.2, -0.3, -0.1))
        changed = sum(flow.queries for flow in flows if flow.before != flow.after)
        picks = replace(
            comparison.picks[0],
            changed=changed,
            flows=flows,
            reasons=[Reason(f"because {name}", count, []) for name, count in reasons.items()],
            categories=[category],
        )
        (answer,) = answers(replace(facts, comparisons=[replace(comparison, picks=[picks])]))
        return answer.look[-len(reasons) - 2 :]

    a, b = "\u2068a\u2069", "\u2068b\u2069"
    worse = 'Questions of the category "\u2068other\u2069" get worse: -20.0 points of quality [-30.0, -10.0]'
    told = look([Flow("a", "b", 4), Flow("b", "b", 4)], {"x": 3, "y": 1})
    assert told[0].startswith(worse)
    assert told[1:] == [
        f"All 4 questions of {a} go to {b} now.",
        "3 of 4 changed picks: because x.",
        "1 of 4 changed picks: because y.",
    ]
    told = look([Flow("a", "b", 9), Flow("a", "a", 1)], {"x": 4, "y": 2, "z": 2, "w": 1})
    assert told[-5:] == [
        f"More questions go to {b}: 9, before 0.",
        f"Fewer questions go to {a}: 1, before 10.",
        "4 of 9 changed picks: because x.",
        "2 of 9 changed picks: because y.",
        "3 of 9 changed picks: 2 other reasons.",
    ]
    assert (
        look([Flow("a", "b", 9), Flow("a", "a", 1)], {"x": 6, "y": 2, "z": 1})[-1] == "1 of 9 changed picks: because z."
    )


def test_questions_that_were_trained_on_do_not_tell_whether_a_change_is_better(facts):
    known = replace(facts.worth.evaluation, seen=[Seen("new", 8, 8, 0)])
    found = changed(replace(facts, worth=replace(facts.worth, evaluation=known)), quality=(0.5, 0.02, 0.04))
    (answer,) = answers(found)
    told = "Cannot tell whether it is better: on questions that were trained on, it shows +3.0 points of quality"
    assert " ".join(answer.leads[0]).startswith(f"? {told}")


def test_the_first_screen_has_the_numbers_and_the_kind_of_change(facts):
    page = to_html(page_of(changed(facts, quality=(0.5, -0.04, -0.02), seconds=(2.0, 0.1, 0.3))), version="1")
    first = page[: page.index("<nav")]
    for words in (
        "Worse than before",
        "<b>0.4700</b>",
        "+10",
        "Kind of change: by the same rules as before",
        "What to look at",
    ):
        assert words in first
    assert "SHA-256" not in first
    assert "<details" not in first


def test_a_summary_is_short_however_many_artifacts_there_are(facts):
    for n in (1, 2, 60):
        names = [f"m{i}:x: $1" for i in range(n)]
        some = [replace(facts.artifacts[0], name=name) for name in names]
        pairs = [replace(changed(facts, quality=(0.5, -0.04, -0.02)).comparisons[0], name=name) for name in names]
        summary = to_markdown(replace(facts, artifacts=some, comparisons=pairs))
        assert len(summary.splitlines()) <= LINES
        assert "$" not in summary
        assert ":x:" not in summary
        assert ("and 40 more" in summary) == (n == 60)


def test_unchanged_artifacts_share_a_line(facts):
    (comparison,) = facts.comparisons
    picks = replace(comparison.picks[0], changed=0, reasons=[], telling=[])
    same = [replace(comparison, name=name, picks=[picks]) for name in ("one", "two")]
    some = [replace(facts.artifacts[0], name=name) for name in ("one", "two", facts.artifacts[0].name)]
    told = replace(facts, artifacts=some, comparisons=[*same, comparison])
    line = "Unchanged, all queries are answered by the same models: \u2068one\u2069 and \u2068two\u2069."
    assert line in to_markdown(told).splitlines()
    page = to_html(page_of(told), version="1")
    assert line in page
    assert page.count("one replaces") == 0


@cache
def digests(*questions):
    return np.array(questions, np.uint64)


SAME_RULES = "by the same rules as before (knn native/2)"
UNRECORDED = "its settings or its records changed; the artifacts do not say which"
AGAIN = f"the same JSON model {SAME_RULES}, converted again by"


@pytest.mark.parametrize(
    ("given", "questions", "words"),
    [
        ({"sha256": "new"}, (None, None), f"{SAME_RULES}; {UNRECORDED}."),
        (
            {"sha256": "new"},
            ((1, 2), (1, 2)),
            f"trained on the same 2 questions, {SAME_RULES}; {UNRECORDED}.",
        ),
        (
            {"sha256": "new", "k": 9},
            ((1, 2), (1, 2)),
            f"trained on the same 2 questions, with k 9 instead of 5, {SAME_RULES}.",
        ),
        (
            {"sha256": "new", "semantics": "queries/2"},
            (None, None),
            "by other rules (knn queries/2 instead of knn native/2); its settings or its records may have changed too; "
            "the artifacts do not say which.",
        ),
        ({}, (None, None), "none, it is the same file."),
        (
            {"sha256": "new", "source_sha256": "old", "semantics": "queries/2"},
            (None, None),
            "the same JSON model by other rules (knn queries/2 instead of knn native/2).",
        ),
        ({"sha256": "new", "source_sha256": "old"}, (None, None), f"{AGAIN} the same tools."),
        (
            {"sha256": "new", "source_sha256": "old", "tools": {"onnx": "2"}},
            (None, None),
            f"{AGAIN} onnx 2 instead of 1.",
        ),
        (
            {"sha256": "new", "algorithm": "mlp", "semantics": "native/1"},
            ((1, 2), (1, 2)),
            "another algorithm (mlp native/1 instead of knn native/2), trained on the same 2 questions.",
        ),
        ({"sha256": "new"}, ((1, 2), (1, 2, 3)), f"trained on 3 questions, 1 more than before, {SAME_RULES}."),
        ({"sha256": "new"}, ((1, 2, 3), (1, 2)), f"trained on 2 questions, 1 fewer than before, {SAME_RULES}."),
        (
            {"sha256": "new"},
            ((1, 2), (2, 3)),
            f"trained on other questions (2, before 2, of which 1 are in both), {SAME_RULES}.",
        ),
    ],
)
def test_the_kind_of_change_is_told_from_what_artifacts_record(facts, given, questions, words):
    old = replace(facts.artifacts[0], sha256="old", source_sha256="old", semantics="native/2", k=5, tools={"onnx": "1"})
    new = replace(old, **({"source_sha256": "new"} if "sha256" in given else {}) | given)
    learned = [None if some is None else digests(*some) for some in questions]
    assert nature(old, new, *learned) == [f"Kind of change: {words}"]
    models = nature(replace(old, model_names=["a", "b"]), replace(old, model_names=["b", "c"]), None, None)[1:]
    assert models == ["It can pick now: c.", "It can no longer pick: a."]
