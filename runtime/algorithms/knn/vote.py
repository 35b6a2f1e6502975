"""KNN: the rows nearest to a query vote, each for its model."""

import numpy as np
import numpy.typing as npt

from ...artifact.tables import DOUBLES, INTEGERS, Spec, Specs
from ...decision.voting import Vote, Weights, vote_many, vote_one, vote_weights
from ...queries import Queries, Query
from ...request import Preferences
from ...schema import Table
from ...search.early_exit import EarlyExit, Ranked
from ...search.exact import Nearest, nearest_tables
from ..base import Artifact, Explanation

TABLES: Specs = {
    **nearest_tables("rows"),
    Table.ROW_MODEL: Spec(INTEGERS, ("rows",), 0, "models"),
    Table.ROW_QUALITY: Spec(DOUBLES, ("rows",)),
    Table.ROW_SPEED: Spec(DOUBLES, ("rows",)),
}


class KNNVote:
    """Picks the model that the nearest rows vote for.

    Only votes for models that may win count. Where none of the k rows votes for such a model, the nearest row that does
    votes alone.

    Parameters
    ----------
    artifact
        The parts of the artifact; early exits are prepared for the weights of the preferences.
    ties_by_name
        Whether equal sums go to the lexicographically first name, instead of the model of the nearest neighbour.
    """

    def __init__(self, artifact: Artifact, ties_by_name: bool = False) -> None:
        run, metadata, tables, preferences = artifact
        self._names = np.array(metadata.model_names, dtype=object)
        self._models, self._qualities = tables[Table.ROW_MODEL], tables[Table.ROW_QUALITY]
        self._speeds = tables[Table.ROW_SPEED]
        order = np.argsort(self._names, kind="stable")
        self._preferred = np.argsort(order).astype(np.int64) if ties_by_name else None
        assert preferences.weights is not None
        self._usual = preferences.weights
        self._usual_votes = vote_weights(self._qualities, self._speeds, self._usual)
        self._nearest = Nearest(run, tables, metadata)
        self._early_exit = EarlyExit(
            tables[Table.MEMBERS], self._models, self._usual_votes, metadata.k, len(self._names), self._nearest.complete
        )

    def pick_one(self, query: Query, preferences: Preferences) -> int:
        """See `Algorithm`."""
        ranked, pick, voters = self._nearest.search_one(query), None, None
        if preferences.weights == self._usual:
            pick = self._early_exit.pick_one(ranked, preferences.allowed)
            if pick is None:
                voters = self._early_exit.votes_in_order(ranked)
            if pick is None and voters is None:
                pick = self._pick_measured(query, ranked, preferences)
        if pick is None:
            if voters is None:
                rows = self._nearest.rows_one(query, ranked)
                voters = self._models[rows].tolist(), self._votes(rows, preferences.weights).tolist()
            pick = vote_one(*voters, preferences.allowed, self._preferred)
        return self._model_of_nearest(query, preferences) if pick is None else pick

    def pick_many(self, queries: Queries, preferences: Preferences) -> npt.NDArray[np.int64]:
        """See `Algorithm`."""
        found, count = self._nearest.search_many(queries), len(queries.vectors)
        picks, left = np.full(count, -1), np.arange(count)
        if preferences.weights == self._usual:
            gaps = self._nearest.gap_many(queries)
            picks, proven = self._early_exit.pick_many(found, gaps, preferences.allowed)
            left = np.flatnonzero(~proven)
            for place, ranked in zip(left, found.some(left).each(gaps[left]), strict=True):
                pick = self._pick_measured(queries.one(place), ranked, preferences)
                if pick is not None:
                    picks[place], proven[place] = pick, True
            left = np.flatnonzero(~proven)
        if left.size:
            rows = self._nearest.rows_many(queries.some(left), found.some(left))
            picks[left] = self._vote(rows, preferences).picks
        for place in np.flatnonzero(picks < 0):
            picks[place] = self._model_of_nearest(queries.one(place), preferences)
        return picks

    def _pick_measured(self, query: Query, ranked: Ranked, preferences: Preferences) -> int | None:
        measured = self._nearest.measured(query, ranked)
        return None if measured is None else self._early_exit.pick_one(measured, preferences.allowed)

    def distance(self, query: Query) -> float:
        """See `Algorithm`."""
        return self._nearest.distance(query)

    def explain(self, query: Query, preferences: Preferences) -> Explanation:
        """See `Algorithm`."""
        rows, distances = self._nearest.neighbours(query)
        allowed = preferences.allowed
        if allowed is not None and not allowed[self._models[rows]].any():
            rows, distances = self._nearest.nearest_of(query, allowed[self._models])
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
        return Explanation(int(outcome.picks[0]), outcome.scores[0], {"neighbours": neighbours})

    def _votes(self, rows: npt.NDArray[np.int64], weights: Weights | None) -> npt.NDArray[np.float64]:
        if weights is None or weights == self._usual:
            return self._usual_votes[rows]
        return vote_weights(self._qualities[rows], self._speeds[rows], weights)

    def _vote(self, rows: npt.NDArray[np.int64], preferences: Preferences) -> Vote:
        votes = self._votes(rows, preferences.weights)
        return vote_many(self._models[rows], votes, len(self._names), preferences.allowed, self._preferred)

    def _model_of_nearest(self, query: Query, preferences: Preferences) -> int:
        assert preferences.allowed is not None
        row = self._nearest.nearest_of(query, preferences.allowed[self._models]).rows
        return int(self._models[row].item())
