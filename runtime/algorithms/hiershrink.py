"""HierShrink: mean qualities of models in a fine cluster, shrunk to a coarse one, and these to the overall mean."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from ..artifact.metadata import Metadata
from ..artifact.onnx_reader import Tensor
from ..artifact.tables import DOUBLES, FLOATS, Spec, Specs, optional
from ..errors import ArtifactError
from ..request import Norms, Preferences, Queries
from ..schema import Input, Output, Stored, Table
from ..search.leading import MARGIN, SEARCH_ONLY, Lead
from ..session import Part, Run
from .base import CANDIDATES, Explanation, Row, Rows

_CLUSTERS = (Output.COARSE_CLUSTER, Output.CLUSTER)
_ESTIMATES = (Output.COARSE_ESTIMATE, Output.ESTIMATE)
_SETTLED = (Output.COARSE_CANDIDATE, Output.CANDIDATE, Output.CERTAIN)

TABLES: Specs = {
    Table.CENTROIDS: Spec(FLOATS, ("fine", "features")),
    Stored.COARSE_CENTROIDS: Spec(FLOATS, ("coarse", "features")),
    Table.COARSE_MEANS: Spec(DOUBLES, ("coarse", "models")),
    Table.FINE_SUMS: Spec(DOUBLES, ("fine", "models")),
    Table.FINE_COUNTS: Spec(DOUBLES, ("fine", "models"), 0),
    Table.LATENCIES: Spec(DOUBLES, ("models",)),
    **optional(
        {
            Stored.QUERIES: Spec(FLOATS, ("queries", "features")),
            Table.LEAD: MARGIN,
            Table.COARSE_LEAD: MARGIN,
        }
    ),
}


class HierShrink:
    """Picks the highest of ``mean - cost_weight * latency / greatest latency among the candidates``.

    The mean is ``(sum + shrinkage * coarse mean) / (count + shrinkage)`` over the records of the nearest fine cluster,
    as in the original library. Equal scores go to the first in the order of the candidates.

    Parameters
    ----------
    metadata
        Metadata of the artifact.
    tables
        Initializers of the artifact, see `modelpick.runtime.schema.Table`.
    preferences
        Those of most calls; not needed here.
    """

    def __init__(self, metadata: Metadata, tables: Mapping[str, Tensor], preferences: Preferences) -> None:
        self._shrinkage, self._cost_weight = metadata.shrinkage, metadata.cost_weight
        self._coarse_means, self._sums = tables[Table.COARSE_MEANS], tables[Table.FINE_SUMS]
        self._counts, self._latencies = tables[Table.FINE_COUNTS], tables[Table.LATENCIES]
        self._leads = [Lead(tables[name]) for name in (Table.COARSE_LEAD, Table.LEAD) if name in tables]
        self._all = tuple(range(len(metadata.model_names)))

    def winner(self, run: Run, query: Queries, squared_norm: float, preferences: Preferences) -> int:
        """See `Algorithm`."""
        return int(self.winners(run, query, np.array([squared_norm]), preferences)[0])

    def winners(
        self, run: Run, queries: Queries, squared_norms: Norms, preferences: Preferences
    ) -> npt.NDArray[np.int64]:
        """See `Algorithm`."""
        coarse, fine, proven = self._nearest(run, queries, squared_norms)
        for place in np.flatnonzero(~proven):  # each alone: see `Algorithm`
            alone = slice(place, place + 1)
            coarse[alone], fine[alone] = run(_CLUSTERS, {Input.FEATURES: queries[alone]})
        return self._first_greatest(self._scores(coarse, fine, preferences), preferences)

    def _nearest(self, run: Run, queries: Queries, squared_norms: Norms) -> list[npt.NDArray[Any]]:
        """Search for the nearest coarse and fine centroids, (b,) each, and whether both are proven."""
        if not self._leads:
            return run(_SETTLED, {Input.FEATURES: queries, Input.REFINE: SEARCH_ONLY})
        norms = np.sqrt(squared_norms)
        found = zip(self._leads, run(_ESTIMATES, {Input.FEATURES: queries}), strict=True)
        (coarse, coarse_proven), (fine, fine_proven) = (lead.bests(estimates, norms) for lead, estimates in found)
        return [coarse, fine, coarse_proven & fine_proven]

    def _scores(
        self, coarse: npt.NDArray[np.int64], fine: npt.NDArray[np.int64], preferences: Preferences
    ) -> npt.NDArray[np.float64]:
        """Score the models: (b, n_models)."""
        means = (self._sums[fine] + self._shrinkage * self._coarse_means[coarse]) / (
            self._counts[fine] + self._shrinkage
        )
        greatest = self._latencies[list(preferences.order or self._all)].max()
        scores: npt.NDArray[np.float64] = means
        if greatest > 0.0:
            scores = means - self._cost_weight * self._latencies / greatest
        return scores

    def _first_greatest(self, scores: npt.NDArray[np.float64], preferences: Preferences) -> npt.NDArray[np.int64]:
        order = np.array(preferences.order or self._all)
        winners: npt.NDArray[np.int64] = order[scores[:, order].argmax(axis=1)]
        return winners

    def distance(self, run: Run, query: Queries, squared_norm: float) -> float:
        """See `Algorithm`."""
        (distances,) = run((Output.DISTANCE,), {Input.FEATURES: query})
        return float(distances.min())

    def explain(self, run: Run, query: Queries, preferences: Preferences) -> Explanation:
        """See `Algorithm`."""
        coarse, fine, distances = run((*_CLUSTERS, Output.DISTANCE), {Input.FEATURES: query})
        if distances.shape != (1, len(self._sums)):
            raise ArtifactError(f"expected distances of {len(self._sums)} clusters, got shape {distances.shape}")
        scores = self._scores(coarse, fine, preferences)
        details = {
            "coarse_cluster": int(coarse[0]),
            "cluster": int(fine[0]),
            "distance": float(distances[0, fine[0]]),
        }
        return Explanation(int(self._first_greatest(scores, preferences)[0]), scores[0], details)


_PARTS = (Part(), Part(_ESTIMATES, needs=Table.COARSE_LEAD))
ROWS: Rows = {("hiershrink", "native/1"): Row(HierShrink, CANDIDATES, TABLES, _PARTS, skips_unknown=True)}
