"""KNN: the rows nearest to a query vote, each for its model."""

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from ...artifact.metadata import Metadata
from ...artifact.onnx_reader import Tensor
from ...artifact.tables import DOUBLES, INTEGERS, Spec, Specs
from ...decision.voting import Vote, Weights, vote, vote_one, vote_weights
from ...request import Norms, Preferences, Queries
from ...schema import Table
from ...search.early_exit import EarlyExit, Ranked
from ...search.exact import Nearest, nearest_tables
from ...session import Run
from ..base import Explanation

TABLES: Specs = {
    **nearest_tables("rows"),
    Table.ROW_MODEL: Spec(INTEGERS, ("rows",), 0, "models"),
    Table.ROW_QUALITY: Spec(DOUBLES, ("rows",)),
    Table.ROW_SPEED: Spec(DOUBLES, ("rows",)),
}


class KNNVote:
    """Picks the model that the nearest rows vote for.

    Among models that may win, only votes for these count; where none of the k rows has one, the nearest row that does
    votes alone.

    Parameters
    ----------
    metadata
        Metadata of the artifact.
    tables
        Initializers of the artifact, see `modelpick.runtime.schema.Table`.
    preferences
        Those of most calls: for their weights, early exits are prepared.
    ties_by_name
        Whether equal sums go to the lexicographically first name, instead of the model of the best-ranked neighbour.
    """

    def __init__(
        self,
        metadata: Metadata,
        tables: Mapping[str, Tensor],
        preferences: Preferences,
        ties_by_name: bool = False,
    ) -> None:
        self._k, self._names = metadata.k, np.array(metadata.model_names, dtype=object)
        self._models, self._qualities = tables[Table.ROW_MODEL], tables[Table.ROW_QUALITY]
        self._speeds = tables[Table.ROW_SPEED]
        order = np.argsort(self._names, kind="stable")
        self._preferred = np.argsort(order).astype(np.int64) if ties_by_name else None
        assert preferences.weights is not None
        self._usual = preferences.weights
        self._usual_votes = vote_weights(self._qualities, self._speeds, self._usual)
        self._nearest = Nearest(tables, metadata.k, metadata.n_features_in, metadata.metric)
        self._early_exit = EarlyExit(
            tables[Table.MEMBERS], self._models, self._usual_votes, metadata.k, len(self._names), self._nearest.complete
        )

    def winner(self, run: Run, query: Queries, squared_norm: float, preferences: Preferences) -> int:
        """See `Algorithm`."""
        ranked, winner = self._nearest.ranked(run, query, squared_norm), None
        if preferences.weights == self._usual:
            winner = self._early_exit.winner(*ranked, preferences.allowed)
            if winner is None:
                winner = self._settled_winner(query, ranked, preferences)
        if winner is None:
            rows = self._nearest.row_list(run, query, ranked)
            votes = self._votes(rows, preferences.weights).tolist()
            winner = vote_one(self._models[rows].tolist(), votes, preferences.allowed, self._preferred)
        return self._model_of_nearest(run, query, preferences) if winner is None else winner

    def winners(
        self, run: Run, queries: Queries, squared_norms: Norms, preferences: Preferences
    ) -> npt.NDArray[np.int64]:
        """See `Algorithm`."""
        found = self._nearest.search(run, queries, squared_norms)
        winners, left = np.full(len(queries), -1), np.arange(len(queries))
        if preferences.weights == self._usual:
            gaps = self._nearest.gaps(queries, squared_norms)
            winners, proven = self._early_exit.winners(*found, gaps, preferences.allowed)
            left = np.flatnonzero(~proven)
            for place, ranked in zip(left, found.of(left).each(gaps[left]), strict=True):
                winner = self._settled_winner(queries[place : place + 1], ranked, preferences)
                if winner is not None:
                    winners[place], proven[place] = winner, True
            left = np.flatnonzero(~proven)
        if left.size:
            rows = self._nearest.row_lists(run, queries[left], squared_norms[left], found.of(left))
            winners[left] = self._vote(rows, preferences).winners
        for query in np.flatnonzero(winners < 0):
            winners[query] = self._model_of_nearest(run, queries[query : query + 1], preferences)
        return winners

    def _settled_winner(self, query: Queries, ranked: Ranked, preferences: Preferences) -> int | None:
        settled = self._nearest.settled(query, ranked)
        return None if settled is None else self._early_exit.winner(*settled, preferences.allowed)

    def distance(self, run: Run, query: Queries, squared_norm: float) -> float:
        """See `Algorithm`."""
        return self._nearest.distance(run, query, squared_norm)

    def explain(self, run: Run, query: Queries, preferences: Preferences) -> Explanation:
        """See `Algorithm`."""
        rows, distances = self._nearest.neighbours(run, query)
        allowed = preferences.allowed
        if allowed is not None and not allowed[self._models[rows]].any():
            rows, distances = self._nearest.nearest_of(run, query, allowed[self._models])
        models, votes = self._models[rows], self._votes(rows, preferences.weights)
        outcome = self._vote(rows[None], preferences)
        columns = {
            "row": rows,
            "distance": distances,
            "model": self._names[models],
            "quality": self._qualities[rows],
            "speed": self._speeds[rows],
            "vote": votes,
        }
        neighbours = [
            dict(zip(columns, row, strict=True))
            for row in zip(*(values.tolist() for values in columns.values()), strict=True)
        ]
        return Explanation(int(outcome.winners[0]), outcome.scores[0], {"neighbours": neighbours})

    def _votes(self, rows: npt.NDArray[np.int64], weights: Weights | None) -> npt.NDArray[np.float64]:
        if weights is None or weights == self._usual:
            return self._usual_votes[rows]
        return vote_weights(self._qualities[rows], self._speeds[rows], weights)

    def _vote(self, rows: npt.NDArray[np.int64], preferences: Preferences) -> Vote:
        votes = self._votes(rows, preferences.weights)
        return vote(self._models[rows], votes, len(self._names), preferences.allowed, self._preferred)

    def _model_of_nearest(self, run: Run, query: Queries, preferences: Preferences) -> int:
        assert preferences.allowed is not None
        row = self._nearest.nearest_of(run, query, preferences.allowed[self._models]).rows
        return int(self._models[row].item())
