"""Why a pick changed, in words, from the explanations of both sides."""

from collections import Counter
from collections.abc import Mapping
from math import isclose
from typing import Any

from ..verification.diff import TIED

Explanation = Mapping[str, Any]
# Scores whose difference is at most this share of the range of all scores make a close call.
CLOSE = 0.05
WORDS = ("none", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")
TIE = "a tie: the two had equal scores, and the rule for ties decided"
CLOSE_CALL = (
    "a close call: before and now, the scores of the two differ by at most "
    f"{100 * CLOSE:.0f} % of the range of all scores"
)


def reason(before: Explanation, after: Explanation, *, is_one_model: bool, is_one_rule: bool) -> str:
    """Say why the pick changed.

    Parameters
    ----------
    before, after
        What `modelpick.runtime.Selector.explain` returned for the query; they pick different models.
    is_one_model
        Whether both artifacts hold one JSON model, so that their rows and clusters can be compared.
    is_one_rule
        Whether both are of one algorithm and pick by the same rules, so that their scores can be compared.
    """
    if any(_tied(side["scores"], before["model"], after["model"]) for side in (before, after)):
        return TIE
    if all("neighbours" in side and "model" in side["neighbours"][0] for side in (before, after)):
        return _of_votes(before["neighbours"], after["neighbours"], is_one_model)
    if not is_one_rule:
        return f"{_decided(before)} before; now {_decided(after)}"
    if all(0 <= margin <= CLOSE for margin in margins(before, after)):
        return CLOSE_CALL
    if is_one_model and "cluster" in before:
        is_same = before["cluster"] == after["cluster"]
        return "the nearest cluster prefers another model" if is_same else "another cluster is the nearest"
    if "cluster" in before:
        return "the nearest cluster prefers another model"
    fell = _difference(before["scores"], after["scores"], before["model"])
    rose = _difference(after["scores"], before["scores"], after["model"])
    return f"the selector's predicted score of the {'former pick fell' if fell >= rose else 'new pick rose'}"


def margins(before: Explanation, after: Explanation) -> tuple[float, float]:
    """Return by how much each side prefers its own pick to the other's, as a share of the range of its scores."""
    return _margin(before, after["model"]), _margin(after, before["model"])


def _margin(side: Explanation, other: str) -> float:
    scores, pick = side["scores"], side["model"]
    spread = max(scores.values()) - min(scores.values())
    return (scores[pick] - scores[other]) / spread if spread and {pick, other} <= set(scores) else 0.0


def _tied(scores: Mapping[str, float], *models: str) -> bool:
    return set(models) <= set(scores) and isclose(*map(scores.__getitem__, models), rel_tol=TIED)


def _of_votes(before: list[Explanation], after: list[Explanation], is_one_model: bool) -> str:
    k = len(after)
    if len(before) != k:
        return f"the {number(k)} nearest records vote; before, {number(len(before))} did"
    if is_one_model:
        others = len({one["row"] for one in after} - {one["row"] for one in before})
        if others:
            are = "is another one" if others == 1 else "are other ones"
            return f"{number(others)} of the {number(k)} nearest records {are} than before"
    moved = (Counter(one["model"] for one in after) - Counter(one["model"] for one in before)).total()
    if moved:
        return f"{number(moved)} of the {number(k)} nearest records changed sides"
    return f"the {number(k)} nearest records vote for the same models as before, with other weights"


def _decided(side: Explanation) -> str:
    """Say what decided a pick."""
    if "neighbours" in side and "model" in side["neighbours"][0]:
        votes = sum(one["model"] == side["model"] for one in side["neighbours"])
        return f"{number(votes)} of the {number(len(side['neighbours']))} votes of the nearest records decided"
    for name, words in (
        ("outcomes", "predicted outcomes decide"),
        ("cluster", "the nearest cluster decides"),
        ("classifiers", "classifiers decide"),
    ):
        if name in side:
            return words
    return "scores decide"


def _difference(first: Mapping[str, float], second: Mapping[str, float], model: str) -> float:
    return first.get(model, 0.0) - second.get(model, 0.0)


def number(count: int) -> str:
    """Write a small number as a word."""
    return WORDS[count] if count < len(WORDS) else f"{count:,}"
