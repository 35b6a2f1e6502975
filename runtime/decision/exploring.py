"""Exploring: a candidate other than the best is drawn by a hash of a key, with an exactly known propensity."""

from collections.abc import Sequence
from hashlib import blake2b
from typing import NamedTuple

from ..errors import FeatureError

# Bytes of a digest, and the least number above all that they hold.
_BYTES = 8
_ABOVE = 256**_BYTES


class Draw(NamedTuple):
    """A model that was drawn."""

    model: str
    propensity: float
    """Probability, over keys, with which this model is drawn."""


def draw(candidates: Sequence[str], best: str, explore: float, key: str) -> Draw:
    """Draw the best candidate, or, with probability ``explore``, one of the others, each with equal probability.

    Equal keys draw the same, in this process or another: a conversation keeps its model, and a replay agrees. The same
    keys explore as long as ``explore`` is the same. A key's other candidate changes only where that candidate becomes
    the best, or is no candidate any more.

    Parameters
    ----------
    candidates
        Distinct names, including the best.
    best
        Drawn with probability ``1 - explore``, or 1 where it is the only candidate.
    explore
        Total probability of the other candidates, from 0 to 1.
    key
        The key to hash, such as the name of a conversation; the hash is as good as a random number.

    Raises
    ------
    FeatureError
        When ``explore`` is not a probability, or the best is not a candidate.
    """
    if not 0.0 <= explore <= 1.0:
        raise FeatureError(f"explore: expected a number from 0 to 1, got {explore!r}")
    if best not in candidates:
        raise FeatureError(f"expected the best among the candidates, got {best!r}")
    n_others = len(candidates) - 1
    if not n_others:
        return Draw(best, 1.0)
    hashed = key.encode("utf-8", "surrogatepass")
    if int.from_bytes(_digest(hashed)) >= explore * _ABOVE:
        return Draw(best, 1.0 - explore)
    hashed += b"\0"
    others = (name for name in candidates if name != best)
    _, model = max((_digest(hashed + name.encode("utf-8", "surrogatepass")), name) for name in others)
    return Draw(model, explore / n_others)


def _digest(text: bytes) -> bytes:
    """Return uniformly distributed bytes, which order as numbers do: BLAKE2b, RFC 7693, which takes little time."""
    return blake2b(text, digest_size=_BYTES).digest()
