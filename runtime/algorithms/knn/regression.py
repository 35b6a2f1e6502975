"""KNN by queries: the neighbours of a query are queries, each with the outcomes of all its models.

A k-nearest-neighbour regression of what each model achieves, drawn toward the model's overall mean.
"""

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from ...artifact.metadata import Metadata
from ...artifact.onnx_reader import Tensor
from ...artifact.tables import DOUBLES, INTEGERS, Spec, Specs
from ...decision.voting import Weights, first_best, shrunk_means
from ...request import Norms, Preferences, Queries
from ...schema import Table
from ...search.exact import Nearest, nearest_tables
from ...session import Run
from ..base import Explanation

TABLES: Specs = {
    **nearest_tables("distinct"),
    Table.FIRST_ROW: Spec(INTEGERS, ("distinct",), 0, "rows"),
    Table.OUTCOMES: Spec(DOUBLES, ("distinct", 3, "models"), 0),
}


class KNNRegression:
    """Picks the model that did best on the nearest queries of the training set.

    Parameters
    ----------
    metadata
        Metadata of the artifact.
    tables
        Initializers of the artifact, see `modelpick.runtime.schema.Table`.
    preferences
        Those of most calls; calls say them again.
    """

    def __init__(self, metadata: Metadata, tables: Mapping[str, Tensor], preferences: Preferences) -> None:
        self._k, self._names, self._shrinkage = metadata.k, metadata.model_names, metadata.shrinkage
        self._outcomes, self._first_row = tables[Table.OUTCOMES], tables[Table.FIRST_ROW]
        self._overall = self._outcomes.sum(axis=0)
        self._nearest = Nearest(tables, metadata.k, metadata.n_features_in, metadata.metric)

    def winner(self, run: Run, query: Queries, squared_norm: float, preferences: Preferences) -> int:
        """See `Algorithm`."""
        rows = self._nearest.row_set(run, query, squared_norm)
        return int(first_best(self._scores(rows, preferences.weights), preferences.allowed)[0])

    def winners(
        self, run: Run, queries: Queries, squared_norms: Norms, preferences: Preferences
    ) -> npt.NDArray[np.int64]:
        """See `Algorithm`."""
        rows = self._nearest.row_sets(run, queries, squared_norms)
        return first_best(self._scores(rows, preferences.weights), preferences.allowed)

    def distance(self, run: Run, query: Queries, squared_norm: float) -> float:
        """See `Algorithm`."""
        return self._nearest.distance(run, query, squared_norm)

    def explain(self, run: Run, query: Queries, preferences: Preferences) -> Explanation:
        """See `Algorithm`."""
        rows, distances = self._nearest.neighbours(run, query)
        weights = preferences.weights
        assert weights is not None
        scores = self._scores(np.sort(rows)[None], weights)
        neighbours = []
        for row, distance in zip(rows.tolist(), distances.tolist(), strict=True):
            quality, speed, known = self._outcomes[row]
            weighed = weights.quality * quality + weights.speed * speed
            outcomes = {self._names[model]: float(weighed[model]) for model in np.flatnonzero(known)}
            neighbours.append({"row": int(self._first_row[row]), "distance": distance, "outcomes": outcomes})
        winner = int(first_best(scores, preferences.allowed)[0])
        return Explanation(winner, scores[0], {"neighbours": neighbours})

    def _scores(self, rows: npt.NDArray[np.int64], weights: Weights | None) -> npt.NDArray[np.float64]:
        assert weights is not None
        return shrunk_means(self._outcomes[rows].sum(axis=1), self._overall, weights, self._shrinkage)
