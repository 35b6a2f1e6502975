"""KNN by queries: the neighbours of a query are queries, each with the outcomes of all its models.

A k-nearest-neighbour regression of each model's weight, drawn toward the model's overall mean.
"""

import numpy as np
import numpy.typing as npt

from ...artifact.tables import DOUBLES, INTEGERS, Spec, Specs
from ...decision.voting import Weights, first_best, shrunk_means
from ...queries import Queries, Query
from ...request import Preferences
from ...schema import Table
from ...search.exact import Nearest, nearest_tables
from ..base import Artifact, Explanation

TABLES: Specs = {
    **nearest_tables("distinct"),
    Table.FIRST_ROW: Spec(INTEGERS, ("distinct",), 0, "rows"),
    Table.OUTCOMES: Spec(DOUBLES, ("distinct", 3, "models"), 0),
}


class KNNRegression:
    """Picks the model that did best on the nearest queries of the training set.

    Parameters
    ----------
    artifact
        The parts of the artifact.
    """

    def __init__(self, artifact: Artifact) -> None:
        run, metadata, tables, _ = artifact
        self._names, self._shrinkage = metadata.model_names, metadata.shrinkage
        self._outcomes, self._first_row = tables[Table.OUTCOMES], tables[Table.FIRST_ROW]
        self._overall = self._outcomes.sum(axis=0)
        self._nearest = Nearest(run, tables, metadata)

    def pick_one(self, query: Query, preferences: Preferences) -> int:
        """See `Algorithm`."""
        rows = self._nearest.set_one(query, self._nearest.search_one(query))
        scores = self._scores(rows, preferences.weights)
        return int(first_best(scores, preferences.allowed)[0])

    def pick_many(self, queries: Queries, preferences: Preferences) -> npt.NDArray[np.int64]:
        """See `Algorithm`."""
        rows = self._nearest.set_many(queries, self._nearest.search_many(queries))
        scores = self._scores(rows, preferences.weights)
        return first_best(scores, preferences.allowed)

    def distance(self, query: Query) -> float:
        """See `Algorithm`."""
        return self._nearest.distance(query)

    def explain(self, query: Query, preferences: Preferences) -> Explanation:
        """See `Algorithm`."""
        rows, distances = self._nearest.neighbours(query)
        weights = preferences.weights
        assert weights is not None
        scores = self._scores(np.sort(rows)[None], weights)
        neighbours = []
        for row, distance in zip(rows.tolist(), distances.tolist(), strict=True):
            quality, speed, known = self._outcomes[row]
            weighed = weights.weigh(quality, speed)
            outcomes = {self._names[model]: float(weighed[model]) for model in np.flatnonzero(known)}
            neighbours.append({"row": int(self._first_row[row]), "distance": distance, "outcomes": outcomes})
        return Explanation(int(first_best(scores, preferences.allowed)[0]), scores[0], {"neighbours": neighbours})

    def _scores(self, rows: npt.NDArray[np.int64], weights: Weights | None) -> npt.NDArray[np.float64]:
        assert weights is not None
        return shrunk_means(self._outcomes[rows].sum(axis=1), self._overall, weights, self._shrinkage)
