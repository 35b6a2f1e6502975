"""KMeans: the model of the nearest cluster, or the model that scores highest in it."""

from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from ..artifact.tables import DOUBLES, FLOATS, INTEGERS, Spec, Specs
from ..decision.voting import are_close
from ..queries import Queries, Query
from ..request import Preferences
from ..schema import Output, Table
from ..search.best_choice import SUBGRAPHS, BestChoice, search_tables
from ..search.margins import MARGIN_SPEC
from .base import CANDIDATES, Artifact, Explanation, Row, Rows, measured_clusters, nearest_distance
from .choices import Choices, Kind

TABLES: Specs = {**search_tables("choices"), Table.MARGIN: MARGIN_SPEC}
SCORED_TABLES: Specs = {
    **search_tables("clusters"),
    Table.MARGIN: MARGIN_SPEC,
    Table.CENTROIDS: Spec(FLOATS, ("clusters", "features")),
    Table.SCORES: Spec(DOUBLES, ("clusters", "models")),
    Table.SUPPORT: Spec(INTEGERS, ("clusters", "models"), 0),
}


def _cluster(index: int, distances: list[float], models: Sequence[str]) -> dict[str, Any]:
    return {"cluster": index, "distance": distances[index]}


_CLUSTERS = Kind(Output.CLUSTER, Output.DISTANCE, -1.0, _cluster)


class ClusterScores:
    """Picks by a table of scores, a row for each cluster. Equal scores go to the first model.

    Parameters
    ----------
    artifact
        The parts of the artifact.
    """

    def __init__(self, artifact: Artifact) -> None:
        run, metadata, tables, _ = artifact
        self._run, self._names = run, metadata.model_names
        self._scores, self._support = tables[Table.SCORES], tables[Table.SUPPORT]
        self._best: npt.NDArray[np.int64] = self._scores.argmax(axis=1)
        self._nearest = BestChoice(run, tables, Output.CLUSTER, Output.DISTANCE, lambda values: are_close(-values))

    def pick_one(self, query: Query, preferences: Preferences) -> int:
        """See `Algorithm`."""
        cluster = self._nearest.one(query)
        if preferences.allowed is None:
            return int(self._best[cluster])
        return int(self._best_among(self._scores[cluster : cluster + 1], preferences.allowed)[0])

    def pick_many(self, queries: Queries, preferences: Preferences) -> npt.NDArray[np.int64]:
        """See `Algorithm`."""
        clusters = self._nearest.many(queries)
        if preferences.allowed is None:
            return self._best[clusters]
        return self._best_among(self._scores[clusters], preferences.allowed)

    def _best_among(self, scores: npt.NDArray[np.float64], allowed: npt.NDArray[np.bool_]) -> npt.NDArray[np.int64]:
        best: npt.NDArray[np.int64] = np.where(allowed, scores, -np.inf).argmax(axis=1)
        return best

    def distance(self, query: Query) -> float:
        """See `Algorithm`."""
        return nearest_distance(self._run, query)

    def explain(self, query: Query, preferences: Preferences) -> Explanation:
        """See `Algorithm`."""
        (cluster,), distance = measured_clusters(self._run, (Output.CLUSTER,), query, len(self._scores))
        scores, support = self._scores[cluster], self._support[cluster].tolist()
        allowed = np.full(len(scores), True) if preferences.allowed is None else preferences.allowed
        support = dict(zip(self._names, support, strict=True))
        details = {"cluster": cluster, "distance": distance, "support": support}
        return Explanation(int(self._best_among(scores[None], allowed)[0]), scores, details)


ROWS: Rows = {
    ("kmeans", "native/1"): Row(partial(Choices, _CLUSTERS), CANDIDATES, TABLES, SUBGRAPHS),
    ("kmeans", "native/2"): Row(ClusterScores, CANDIDATES, SCORED_TABLES, SUBGRAPHS, skips_unknown=True),
}
