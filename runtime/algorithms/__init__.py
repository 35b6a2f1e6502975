"""The table of algorithms: (algorithm, semantics) -> how its artifacts are answered.

Twin of `modelpick.converter.algorithms`; a test holds both to the same rows.
"""

from . import argmax, cluster_scores, hiershrink, kernel_ridge, knn_outcomes, knn_regression, knn_vote
from .base import Rules

TABLE: Rules = {
    **knn_vote.RULES,
    **knn_regression.RULES,
    **knn_outcomes.RULES,
    **argmax.RULES,
    **cluster_scores.RULES,
    **hiershrink.RULES,
    **kernel_ridge.RULES,
}


def takers(name: str) -> str:
    """Name the algorithms that take a key of `modelpick.runtime.request.Given`, for messages."""
    able = [f"{algorithm} {semantics}" for (algorithm, semantics), rule in TABLE.items() if name in rule.takes]
    return f"{', '.join(able[:-1])} or {able[-1]}" if len(able) > 1 else able[0]
