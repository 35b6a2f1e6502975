"""KNN: the rows nearest to a query vote, or predict the outcomes of each model."""

from functools import partial

from ...schema import Metric
from ...search.exact import SUBGRAPHS
from ..base import PREDICTS, VOTES, Row, Rows
from . import outcomes, queries_1, vote

_VOTE = Row(vote.KNNVote, VOTES, vote.TABLES, SUBGRAPHS)
_OUTCOMES = Row(outcomes.KNNOutcomes, PREDICTS | {"evidence"}, outcomes.TABLES, SUBGRAPHS, metric=Metric.CHORD)

ROWS: Rows = {
    ("knn", "native/1"): _VOTE._replace(metric=Metric.EUCLIDEAN),
    ("knn", "native/2"): _VOTE._replace(metric=Metric.CHORD, make=partial(vote.KNNVote, ties_by_name=True)),
    ("knn", "trainer/1"): _VOTE._replace(metric=Metric.COSINE),
    ("knn", "queries/1"): Row(queries_1.KNNRegression, VOTES, queries_1.TABLES, SUBGRAPHS, metric=Metric.EUCLIDEAN),
    ("knn", "queries/2"): _OUTCOMES,
    ("knn", "queries/3"): _OUTCOMES,
}
