"""Why a pick changed, in words."""

import pytest

from modelpick.converter.report.reasons import CLOSE_CALL, TIE, reason


def votes(pick, *models, first=0, scores=None):
    neighbours = [{"row": first + i, "distance": 0.1 * i, "model": model} for i, model in enumerate(models)]
    return {
        "model": pick,
        "scores": scores or {name: 1.1 * models.count(name) for name in "abc"},
        "neighbours": neighbours,
    }


def scored(pick, *scores, **more):
    return {"model": pick, "scores": dict(zip("abc", scores, strict=True)), **more}


B_WINS = {"a": 1.0, "b": 1.5, "c": 0.0}
PREDICTED = {"outcomes": {}}
CASES = [
    (votes("a", *"aaabb"), votes("b", *"babbb"), False, "two of the five nearest records changed sides"),
    (votes("a", *"aaabb"), votes("b", *"bbaab", scores=B_WINS), False, "one of the five nearest records changed sides"),
    (
        votes("a", *"aab"),
        votes("b", *"aab", scores=B_WINS),
        True,
        "the three nearest records vote for the same models as before, with other weights",
    ),
    (
        votes("a", *"aab"),
        votes("b", *"abb", first=1),
        True,
        "one of the three nearest records is another one than before",
    ),
    (
        votes("a", *"aab"),
        votes("b", *"abb", first=2),
        True,
        "two of the three nearest records are other ones than before",
    ),
    (votes("a", *"aab"), votes("b", *"abbbb"), True, "the five nearest records vote; before, three did"),
    (scored("a", 1.0, 1.0, 0.0), scored("b", 0.5, 1.0, 0.0), True, TIE),
    (scored("a", 1.0, 0.99, 0.0), scored("b", 0.99, 1.0, 0.0), False, CLOSE_CALL),
    (
        scored("a", 1.0, 0.5, 0.0, cluster=3),
        scored("b", 0.5, 1.0, 0.0, cluster=3),
        True,
        "the nearest cluster prefers another model",
    ),
    (
        scored("a", 1.0, 0.5, 0.0, cluster=3),
        scored("b", 0.5, 1.0, 0.0, cluster=4),
        True,
        "another cluster is the nearest",
    ),
    (
        scored("a", 1.0, 0.5, 0.0, cluster=3),
        scored("b", 0.5, 1.0, 0.0, cluster=4),
        False,
        "the nearest cluster prefers another model",
    ),
    (
        scored("a", 1.0, 0.5, 0.0, **PREDICTED),
        scored("b", 0.3, 0.6, 0.0, **PREDICTED),
        False,
        "the selector's predicted score of the former pick fell",
    ),
    (
        scored("a", 0.7, 0.5, 0.0, **PREDICTED),
        scored("b", 0.6, 0.9, 0.0, **PREDICTED),
        False,
        "the selector's predicted score of the new pick rose",
    ),
]


@pytest.mark.parametrize(("before", "after", "is_one_model", "words"), CASES, ids=[case[-1] for case in CASES])
def test_the_reason_is_what_the_explanations_say(before, after, is_one_model, words):
    assert reason(before, after, is_one_model=is_one_model, is_one_rule=True) == words


def test_of_different_algorithms_both_are_named():
    found = reason(votes("a", *"aaabb"), scored("b", 0.3, 0.6, 0.0, **PREDICTED), is_one_model=False, is_one_rule=False)
    assert found == "three of the five votes of the nearest records decided before; now predicted outcomes decide"
