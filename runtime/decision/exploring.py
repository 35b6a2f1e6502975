"""Exploring: another candidate than the best, drawn by a hash of a key, with a propensity that is exact."""

from collections.abc import Sequence
from hashlib import sha256
from typing import NamedTuple

from ..errors import FeatureError


class Draw(NamedTuple):
    """A model that was drawn."""

    model: str
    propensity: float
    """Probability, over keys, with which this model is drawn."""


def draw(candidates: Sequence[str], best: str, explore: float, key: str) -> Draw:
    """Draw the best candidate, or with a probability one of the others, all alike.

    Equal keys draw alike, in this process or another: a conversation keeps its model, and a replay agrees. The same
    keys explore as long as ``explore`` is the same, and a key's other candidate changes only where it becomes the best
    or none.

    Parameters
    ----------
    candidates
        Names that differ, the best among them.
    best
        Drawn with probability ``1 - explore``, or 1 where it is the only candidate.
    explore
        Probability of the others together, from 0 to 1.
    key
        What is hashed, such as the name of a conversation; keys are as good as drawn at random.

    Raises
    ------
    FeatureError
        When ``explore`` is no probability, or the best is no candidate.
    """
    if not 0.0 <= explore <= 1.0:
        raise FeatureError(f"explore: expected a number from 0 to 1, got {explore!r}")
    if best not in candidates:
        raise FeatureError(f"expected the best among the candidates, got {best!r}")
    others = [name for name in candidates if name != best]
    if not others or _uniform(key) >= explore:
        return Draw(best, 1.0 - explore if others else 1.0)
    return Draw(max(others, key=lambda name: (_uniform(f"{key}\0{name}"), name)), explore / len(others))


def _uniform(text: str) -> float:
    """Return a number from 0 to 1, exclusive, as uniform as SHA-256."""
    digest = sha256(text.encode("utf-8", "surrogatepass")).digest()
    return int.from_bytes(digest[:6]) / 2**48
