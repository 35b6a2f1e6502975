"""The queries nearest to a query are its neighbours, and each tells what every model came to on it."""

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from ..artifact.metadata import Metadata
from ..artifact.onnx_reader import Tensor
from ..decision.voting import first_best, shrunk_means
from ..errors import ArtifactError
from ..search.exact import Nearest
from .base import Ballot, Explanation, Queries, Run

OUTPUTS = ("row", "distance")


class Neighbourhoods:
    """Picks the model that did best on the nearest queries of the training set.

    Parameters
    ----------
    metadata
        Metadata of the artifact.
    tables
        Initializers of the artifact: ``outcomes`` tells quality, speed and whether they are known, float64, shape
        (n, 3, n_models), and ``first_row`` the first row of each distinct embedding in the JSON model, int64, (n,).
    quality_weight
        Share of the quality in a weight; calls say it again.
    """

    def __init__(self, metadata: Metadata, tables: Mapping[str, Tensor], quality_weight: float) -> None:
        self._k, self._names = metadata.k, metadata.model_names
        self._shrinkage = float(metadata.raw["shrinkage"])
        self._outcomes, self._first_row = tables["outcomes"], tables["first_row"]
        self._overall = self._outcomes.sum(axis=0)
        self._nearest = Nearest(tables, metadata.k, metadata.n_features_in, OUTPUTS)

    def winner(self, run: Run, query: Queries, q2: float, ballot: Ballot) -> int:
        """See `Algorithm`."""
        found = self._nearest.search(run, query)
        scores, k = found.scores[0], self._k
        if scores[k] - scores[k - 1] > self._nearest.gap(query, q2) if k < len(scores) else self._nearest.complete:
            rows = found.candidates[:, :k]
        else:
            rows = self._nearest.rows(run, query, found, ("row",))["row"]
        return int(first_best(self._scores(rows, ballot), ballot.allowed)[0])

    def winners(self, run: Run, queries: Queries, ballot: Ballot) -> npt.NDArray[np.int64]:
        """See `Algorithm`."""
        found, k = self._nearest.search(run, queries), self._k
        if k < found.scores.shape[1]:
            with np.errstate(invalid="ignore"):
                apart = found.scores[:, k].astype(np.float64) - found.scores[:, k - 1]
            left = np.flatnonzero(~(apart > self._nearest.gaps(queries)))
        else:
            left = np.arange(0 if self._nearest.complete else len(queries))
        rows = found.candidates[:, :k].copy()
        for start in range(0, len(left), self._nearest.chunk):
            chunk = left[start : start + self._nearest.chunk]
            rows[chunk] = self._nearest.rows(run, queries[chunk], found.of(chunk), ("row",))["row"]
        return first_best(self._scores(rows, ballot), ballot.allowed)

    def distance(self, run: Run, query: Queries, q2: float) -> float:
        """See `Algorithm`."""
        return self._nearest.distance(run, query, q2)

    def explain(self, run: Run, query: Queries, ballot: Ballot) -> Explanation:
        """See `Algorithm`."""
        rows, distances = self._nearest.rows(run, query).values()
        if rows.shape != (1, self._k):
            raise ArtifactError(f"expected {self._k} neighbours, got shape {rows.shape}")
        scores = self._scores(rows, ballot)
        neighbours = []
        for row, distance in zip(rows[0].tolist(), distances[0].tolist(), strict=True):
            quality, speed, known = self._outcomes[row]
            weights = ballot.quality_weight * quality + (1.0 - ballot.quality_weight) * speed
            outcomes = {self._names[model]: float(weights[model]) for model in np.flatnonzero(known)}
            neighbours.append({"row": int(self._first_row[row]), "distance": distance, "outcomes": outcomes})
        return Explanation(int(first_best(scores, ballot.allowed)[0]), scores[0], {"neighbours": neighbours})

    def _scores(self, rows: npt.NDArray[np.int64], ballot: Ballot) -> npt.NDArray[np.float64]:
        return shrunk_means(self._outcomes[rows].sum(axis=1), self._overall, ballot.quality_weight, self._shrinkage)
