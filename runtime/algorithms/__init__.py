"""The table of algorithms: (algorithm, semantics) -> how its artifacts are answered.

Twin of `modelpick.converter.algorithms`; a test holds both to the same rows.
"""

from . import argmax, cluster_scores, hiershrink, knn_regression, knn_vote
from .base import Rules

TABLE: Rules = {
    **knn_vote.RULES,
    **knn_regression.RULES,
    **argmax.RULES,
    **cluster_scores.RULES,
    **hiershrink.RULES,
}
