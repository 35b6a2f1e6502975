"""The rows nearest to a query vote, each for its model."""

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from ..artifact.metadata import Metadata
from ..artifact.onnx_reader import Tensor
from ..decision.voting import vote, vote_one, vote_weights
from ..errors import ArtifactError
from ..search.early_exit import Shortcut
from ..search.exact import Nearest, Table
from .base import Ballot, Explanation, Queries, Run

VOTE_OUTPUTS = ("model", "quality", "speed")
OUTPUTS = ("row", "distance", *VOTE_OUTPUTS)


class Neighbours:
    """Picks the model that the nearest rows vote for.

    Among models that may win, only votes for these count; where none of the k rows has one, the nearest row that does
    votes alone.

    Parameters
    ----------
    metadata
        Metadata of the artifact.
    tables
        Initializers of the artifact, see `modelpick.runtime.artifact.metadata.TABLES`.
    quality_weight
        Share of the quality in a vote that most calls will ask for.
    """

    def __init__(self, metadata: Metadata, tables: Mapping[str, Tensor], quality_weight: float) -> None:
        self._k, self._names = metadata.k, np.array(metadata.model_names, dtype=object)
        self._row_model = tables["row_model"]
        self._nearest = Nearest(tables, metadata.k, metadata.n_features_in, OUTPUTS, metadata.raw["metric"] == "cosine")
        self._shortcut = Shortcut(tables, metadata.k, len(self._names), self._nearest.complete, quality_weight)

    def winner(self, run: Run, query: Queries, q2: float, ballot: Ballot) -> int:
        """See `Algorithm`."""
        found = self._nearest.search(run, query)
        gap = self._nearest.gap(query, q2)
        winner = self._shortcut.winner(found.scores[0].tolist(), found.candidates[0].tolist(), gap, ballot)
        if winner is None:
            table = self._nearest.rows(run, query, found, VOTE_OUTPUTS)
            models, qualities, speeds = (values[0].tolist() for values in table.values())
            winner = vote_one(models, qualities, speeds, ballot.quality_weight, ballot.allowed)
        return int(self._nearest_allowed(run, query, ballot)["model"].item()) if winner is None else winner

    def winners(self, run: Run, queries: Queries, ballot: Ballot) -> npt.NDArray[np.int64]:
        """See `Algorithm`."""
        found = self._nearest.search(run, queries)
        winners, proven = self._shortcut.winners(*found, self._nearest.gaps(queries), ballot)
        left = np.flatnonzero(~proven)
        for start in range(0, len(left), self._nearest.chunk):
            chunk = left[start : start + self._nearest.chunk]
            table = self._nearest.rows(run, queries[chunk], found.of(chunk), VOTE_OUTPUTS)
            models, qualities, speeds = table.values()
            weights = vote_weights(qualities, speeds, ballot.quality_weight)
            winners[chunk] = vote(models, weights, len(self._names), ballot.allowed).winners
        for query in np.flatnonzero(winners < 0):
            winners[query] = self._nearest_allowed(run, queries[query : query + 1], ballot)["model"].item()
        return winners

    def distance(self, run: Run, query: Queries, q2: float) -> float:
        """See `Algorithm`."""
        return self._nearest.distance(run, query, q2)

    def explain(self, run: Run, query: Queries, ballot: Ballot) -> Explanation:
        """See `Algorithm`."""
        table = self._nearest.rows(run, query)
        if table["row"].shape != (1, self._k):
            raise ArtifactError(f"expected {self._k} neighbours, got shape {table['row'].shape}")
        if ballot.allowed is not None and not ballot.allowed[table["model"]].any():
            table = self._nearest_allowed(run, query, ballot)
        weights = vote_weights(table["quality"], table["speed"], ballot.quality_weight)
        outcome = vote(table["model"], weights, len(self._names), ballot.allowed)
        columns = {**table, "model": self._names[table["model"]], "vote": weights}
        rows = zip(*(values[0].tolist() for values in columns.values()), strict=True)
        neighbours = [dict(zip(columns, row, strict=True)) for row in rows]
        return Explanation(int(outcome.winners[0]), outcome.scores[0], {"neighbours": neighbours})

    def _nearest_allowed(self, run: Run, query: Queries, ballot: Ballot) -> Table:
        assert ballot.allowed is not None
        return self._nearest.nearest_of(run, query, ballot.allowed[self._row_model])
