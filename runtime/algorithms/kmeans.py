"""KMeans: the model of the nearest cluster, or the model that scores highest in it."""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from ..artifact.metadata import Metadata
from ..artifact.onnx_reader import Tensor
from ..artifact.tables import DOUBLES, FLOATS, INTEGERS, Spec, Specs
from ..errors import ArtifactError
from ..request import Norms, Preferences, Queries
from ..schema import Input, Output, Table
from ..search.leading import PARTS, Settled, search_of, search_tables
from ..session import Run
from .base import CANDIDATES, Explanation, Row, Rows
from .choices import Choices, Kind

_CLUSTER = (Output.CLUSTER,)

SCORED_TABLES: Specs = {
    **search_tables("clusters"),
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
    metadata
        Metadata of the artifact.
    tables
        Initializers of the artifact, see `modelpick.runtime.schema.Table`.
    preferences
        Those of most calls; not needed here.
    """

    def __init__(self, metadata: Metadata, tables: Mapping[str, Tensor], preferences: Preferences) -> None:
        self._names = metadata.model_names
        self._scores, self._support = tables[Table.SCORES], tables[Table.SUPPORT]
        self._best: npt.NDArray[np.int64] = self._scores.argmax(axis=1)
        self._search = search_of(tables) or Settled()

    def winner(self, run: Run, query: Queries, squared_norm: float, preferences: Preferences) -> int:
        """See `Algorithm`."""
        cluster = self._search.best(run, query, squared_norm)
        if cluster is None:
            cluster = int(run(_CLUSTER, {Input.FEATURES: query})[0].item())
        if preferences.allowed is None:
            return int(self._best[cluster])
        return int(self._among(self._scores[cluster : cluster + 1], preferences.allowed)[0])

    def winners(
        self, run: Run, queries: Queries, squared_norms: Norms, preferences: Preferences
    ) -> npt.NDArray[np.int64]:
        """See `Algorithm`."""
        clusters, proven = self._search.bests(run, queries, squared_norms)
        for place in np.flatnonzero(~proven):  # each alone: see `Algorithm`
            alone = slice(place, place + 1)
            (clusters[alone],) = run(_CLUSTER, {Input.FEATURES: queries[alone]})
        if preferences.allowed is None:
            return self._best[clusters]
        return self._among(self._scores[clusters], preferences.allowed)

    def _among(self, scores: npt.NDArray[np.float64], allowed: npt.NDArray[np.bool_]) -> npt.NDArray[np.int64]:
        best: npt.NDArray[np.int64] = np.where(allowed, scores, -np.inf).argmax(axis=1)
        return best

    def distance(self, run: Run, query: Queries, squared_norm: float) -> float:
        """See `Algorithm`."""
        (distances,) = run((Output.DISTANCE,), {Input.FEATURES: query})
        return float(distances.min())

    def explain(self, run: Run, query: Queries, preferences: Preferences) -> Explanation:
        """See `Algorithm`."""
        clusters, distances = run((Output.CLUSTER, Output.DISTANCE), {Input.FEATURES: query})
        if distances.shape != (1, len(self._scores)):
            raise ArtifactError(f"expected distances of {len(self._scores)} clusters, got shape {distances.shape}")
        cluster = int(clusters[0])
        scores = self._scores[cluster]
        allowed = np.full(len(scores), True) if preferences.allowed is None else preferences.allowed
        details = {
            "cluster": cluster,
            "distance": float(distances[0, cluster]),
            "support": dict(zip(self._names, self._support[cluster].tolist(), strict=True)),
        }
        return Explanation(int(self._among(scores[None], allowed)[0]), scores, details)


ROWS: Rows = {
    ("kmeans", "native/1"): Row(partial(Choices, _CLUSTERS), CANDIDATES, search_tables("choices"), PARTS),
    ("kmeans", "native/2"): Row(ClusterScores, CANDIDATES, SCORED_TABLES, PARTS, skips_unknown=True),
}
