"""KNN by queries, from the second version on: the nearest queries predict the outcomes of every model."""

import numpy as np
import numpy.typing as npt

from ...artifact.tables import DOUBLES, INTEGERS, Spec, Specs
from ...decision.guard import t_statistics
from ...decision.objective import floored
from ...decision.shrinkage import deviations, neighbour_means
from ...queries import Queries, Query
from ...request import Preferences
from ...schema import Table
from ...search.exact import Nearest, nearest_tables
from ..base import FAR, Artifact, Explanation
from ..outcomes import are_far, default_of, explained, explanation, pick, utility_of

TABLES: Specs = {
    **nearest_tables("distinct"),
    Table.FIRST_ROW: Spec(INTEGERS, ("distinct",), 0, "rows"),
    Table.OUTCOMES: Spec(DOUBLES, ("distinct", "kinds", "models")),
}


class KNNOutcomes:
    """Picks the model of the highest predicted utility.

    With ``evidence``, a model other than the best one on average is picked only where it did better on the neighbours
    by this number of standard errors, see `modelpick.runtime.decision.guard`.

    Parameters
    ----------
    artifact
        The parts of the artifact.
    """

    def __init__(self, artifact: Artifact) -> None:
        run, metadata, tables, _ = artifact
        self._k, self._names, self._shrinkage = metadata.k, metadata.model_names, metadata.shrinkage
        self._least_price = metadata.least_price
        self._outcomes, self._first_row = tables[Table.OUTCOMES], tables[Table.FIRST_ROW]
        self._split = [deviations(self._outcomes[:, kind]) for kind in range(self._outcomes.shape[1])]
        self._base = np.array([split.base for split in self._split])
        self._nearest = Nearest(run, tables, metadata)

    def pick_one(self, query: Query, preferences: Preferences) -> int:
        """See `Algorithm`."""
        ranked, far = self._nearest.search_one(query), preferences.far
        if far is not None and self._nearest.distance(query, ranked) > far.distance:
            return FAR
        return int(self._pick(self._nearest.set_one(query, ranked), preferences)[0])

    def pick_many(self, queries: Queries, preferences: Preferences) -> npt.NDArray[np.int64]:
        """See `Algorithm`."""
        found = self._nearest.search_many(queries)
        picks = self._pick(self._nearest.set_many(queries, found), preferences)
        if preferences.far is not None:
            squares, gaps = self._nearest.nearest_squares(queries, found), self._nearest.gap_many(queries)
            is_far = are_far(squares, gaps, preferences.far, lambda place: self._nearest.distance(queries.one(place)))
            picks[is_far] = FAR
        return picks

    def predict(self, queries: Queries) -> npt.NDArray[np.float64]:
        """See `Predictor`."""
        return self._predicted(self._nearest.set_many(queries, self._nearest.search_many(queries)))

    def _pick(self, rows: npt.NDArray[np.int64], preferences: Preferences) -> npt.NDArray[np.int64]:
        picks, _ = pick(self._predicted(rows), preferences, self._allowed(rows, preferences))
        return picks

    def _predicted(self, rows: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
        """Predict outcomes by neighbours, (b, k): (b, n_kinds, n_models)."""
        means = [neighbour_means(split, rows, self._shrinkage) for split in self._split]
        return floored(np.stack(means, axis=1), self._least_price)

    def _allowed(self, rows: npt.NDArray[np.int64], preferences: Preferences) -> npt.NDArray[np.bool_] | None:
        """Return which models may win, (b, n_models): if evidence is required, only models that have it."""
        if not preferences.evidence:
            return preferences.allowed
        default = np.full(len(rows), default_of(self._base, preferences))
        outcomes = self._outcomes[rows]
        observed = utility_of(outcomes.reshape(-1, *outcomes.shape[2:]), preferences).reshape(*rows.shape, -1)
        passed = t_statistics(observed, default) > preferences.evidence
        return passed if preferences.allowed is None else passed & preferences.allowed

    def distance(self, query: Query) -> float:
        """See `Algorithm`."""
        return self._nearest.distance(query)

    def default(self, preferences: Preferences) -> int:
        """See `Predictor`."""
        return default_of(self._base, preferences)

    def explain(self, query: Query, preferences: Preferences) -> Explanation:
        """See `Algorithm`."""
        rows, distances = self._nearest.neighbours(query)
        ascending = np.sort(rows)[None]
        kept = ""
        if preferences.evidence:
            default = self._names[default_of(self._base, preferences)]
            kept = f"no model exceeds {default}, which is best on average, by {preferences.evidence} standard errors "
            kept += f"over the {self._k} neighbours"
        found = explanation(
            self._predicted(ascending),
            self._base,
            self._names,
            preferences,
            self._allowed(ascending, preferences),
            kept,
        )
        neighbours = [
            {
                "row": int(self._first_row[row]),
                "distance": distance,
                "outcomes": explained(self._outcomes[row], self._names, Preferences()),
            }
            for row, distance in zip(rows.tolist(), distances.tolist(), strict=True)
        ]
        return found._replace(details={**found.details, "neighbours": neighbours})
