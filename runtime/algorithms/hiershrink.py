"""HierShrink: mean qualities of models in a fine cluster, shrunk to a coarse one's, and these to the overall mean."""

from typing import Any

import numpy as np
import numpy.typing as npt

from ..artifact.tables import DOUBLES, FLOATS, Spec, Specs, optional
from ..queries import Queries, Query
from ..request import Preferences
from ..schema import Input, Output, Stored, Table
from ..search.best_choice import rerun_each
from ..search.margins import MARGIN_SPEC, Margin
from ..session import Subgraph
from .base import CANDIDATES, Artifact, Explanation, Row, Rows, measured_clusters, nearest_distance

_CLUSTERS = (Output.COARSE_CLUSTER, Output.CLUSTER)
_ESTIMATES = (Output.COARSE_ESTIMATE, Output.ESTIMATE)

TABLES: Specs = {
    Table.CENTROIDS: Spec(FLOATS, ("fine", "features")),
    Stored.COARSE_CENTROIDS: Spec(FLOATS, ("coarse", "features")),
    Table.COARSE_MEANS: Spec(DOUBLES, ("coarse", "models")),
    Table.FINE_SUMS: Spec(DOUBLES, ("fine", "models")),
    Table.FINE_COUNTS: Spec(DOUBLES, ("fine", "models"), 0),
    Table.LATENCIES: Spec(DOUBLES, ("models",)),
    Table.MARGIN: MARGIN_SPEC,
    Table.COARSE_MARGIN: MARGIN_SPEC,
    **optional({Stored.QUERIES: Spec(FLOATS, ("queries", "features"))}),
}


class HierShrink:
    """Picks the highest of ``mean - cost_weight * latency / greatest latency among the candidates``.

    The mean is ``(sum + shrinkage * coarse mean) / (count + shrinkage)`` over the records of the nearest fine cluster,
    as in the original library. Equal scores go to the first in the order of the candidates.

    Parameters
    ----------
    artifact
        The parts of the artifact.
    """

    def __init__(self, artifact: Artifact) -> None:
        run, metadata, tables, _ = artifact
        self._run, self._shrinkage, self._cost_weight = run, metadata.shrinkage, metadata.cost_weight
        self._coarse_means, self._sums = tables[Table.COARSE_MEANS], tables[Table.FINE_SUMS]
        self._counts, self._latencies = tables[Table.FINE_COUNTS], tables[Table.LATENCIES]
        self._margins = [Margin(tables[name]) for name in (Table.COARSE_MARGIN, Table.MARGIN)]
        self._all = tuple(range(len(metadata.model_names)))

    def pick_one(self, query: Query, preferences: Preferences) -> int:
        """See `Algorithm`."""
        return int(self.pick_many(Queries(query.vector, np.array([query.squared_norm])), preferences)[0])

    def pick_many(self, queries: Queries, preferences: Preferences) -> npt.NDArray[np.int64]:
        """See `Algorithm`."""
        coarse, fine, proven = self._nearest(queries)
        rerun_each(self._run, _CLUSTERS, queries, ~proven, [coarse, fine])
        return self._best_among(self._scores(coarse, fine, preferences), preferences)

    def _nearest(self, queries: Queries) -> list[npt.NDArray[Any]]:
        """Return the nearest coarse and fine centroids, (b,) each, and whether both are proven."""
        norms, estimates = np.sqrt(queries.squared_norms), self._run(_ESTIMATES, {Input.FEATURES: queries.vectors})
        pairs = zip(self._margins, estimates, strict=True)
        (coarse, coarse_proven), (fine, fine_proven) = (margin.best_many(values, norms) for margin, values in pairs)
        return [coarse, fine, coarse_proven & fine_proven]

    def _scores(
        self, coarse: npt.NDArray[np.int64], fine: npt.NDArray[np.int64], preferences: Preferences
    ) -> npt.NDArray[np.float64]:
        """Score the models: (b, n_models)."""
        sums = self._sums[fine] + self._shrinkage * self._coarse_means[coarse]
        scores: npt.NDArray[np.float64] = sums / (self._counts[fine] + self._shrinkage)
        greatest = self._latencies[list(preferences.order or self._all)].max()
        return scores - self._cost_weight * self._latencies / greatest if greatest > 0.0 else scores

    def _best_among(self, scores: npt.NDArray[np.float64], preferences: Preferences) -> npt.NDArray[np.int64]:
        order = np.array(preferences.order or self._all)
        best: npt.NDArray[np.int64] = order[scores[:, order].argmax(axis=1)]
        return best

    def distance(self, query: Query) -> float:
        """See `Algorithm`."""
        return nearest_distance(self._run, query)

    def explain(self, query: Query, preferences: Preferences) -> Explanation:
        """See `Algorithm`."""
        (coarse, fine), distance = measured_clusters(self._run, _CLUSTERS, query, len(self._sums))
        scores = self._scores(np.array([coarse]), np.array([fine]), preferences)
        details = {"coarse_cluster": coarse, "cluster": fine, "distance": distance}
        return Explanation(int(self._best_among(scores, preferences)[0]), scores[0], details)


_SUBGRAPHS = (Subgraph(), Subgraph(_ESTIMATES))
ROWS: Rows = {("hiershrink", "native/1"): Row(HierShrink, CANDIDATES, TABLES, _SUBGRAPHS, skips_unknown=True)}
