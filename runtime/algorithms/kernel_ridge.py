"""Kernel ridge regression: one kernel predicts the outcomes of every model.

The graph also computes a bound on the error of the search's predictions in float32. Where the best utility exceeds the
second by more than twice the bound, the pick is proven. Otherwise, bounds on the errors of differences between models
may prove it, which are smaller the more alike models are. Otherwise the predictions are computed in float64.
"""

import numpy as np
import numpy.typing as npt

from ..artifact.onnx_reader import Tensor
from ..artifact.tables import DOUBLES, FLOATS, Spec, Specs, optional
from ..decision.objective import floored
from ..queries import Queries, Query, Vectors
from ..request import FarFrom, Preferences
from ..schema import Input, Output, Stored, Table
from ..session import Subgraph
from .base import FAR, PREDICTS, Artifact, Explanation, Row, Rows
from .outcomes import (
    Picks,
    Proven,
    are_far,
    clear_pick,
    default_of,
    explanation,
    is_close,
    is_proven,
    pick,
    proven_by_differences,
)

_SEARCH_OUTPUTS = (Output.PREDICTION, Output.PREDICTION_ERROR)
_EXACT_OUTPUTS = (Output.OUTCOME,)
# The distance to the nearest support vector is known where the kernel is.
_MEASURED_OUTPUTS = (*_SEARCH_OUTPUTS, Output.DISTANCE)

TABLES: Specs = {
    Table.MEAN_OUTCOMES: Spec(DOUBLES, ("kinds", "models")),
    **optional(
        {
            Stored.SUPPORT_VECTORS: Spec(FLOATS, ("support", "features")),
            Table.DUAL_COEF: Spec(DOUBLES, ("support", "coefficients")),
            Table.DIFFERENCE_ERROR: Spec(DOUBLES, ("kinds", "models", "models"), least=0.0),
        }
    ),
}


class KernelRidge:
    """Picks the model of the highest predicted utility.

    Parameters
    ----------
    artifact
        The parts of the artifact.
    """

    def __init__(self, artifact: Artifact) -> None:
        run, metadata, tables, _ = artifact
        self._run, self._names, self._base = run, metadata.model_names, tables[Table.MEAN_OUTCOMES]
        self._searches, self._least_price = Table.REFINE in tables, metadata.least_price
        self._differences = tables.get(Table.DIFFERENCE_ERROR)
        self._first = _first_of_equals(tables.get(Table.DUAL_COEF), self._base)

    def pick_one(self, query: Query, preferences: Preferences) -> int:
        """See `Algorithm`."""
        if self._first is not None:
            preferences = self._without_equals(self._first, preferences)
        if not self._searches or preferences.at_least is not None:
            return int(self._pick(query.vector, preferences)[0])
        feeds, far = {Input.FEATURES: query.vector}, preferences.far
        if far is None:
            predicted, errors = self._run(_SEARCH_OUTPUTS, feeds)
        else:
            predicted, errors, distance = self._run(_MEASURED_OUTPUTS, feeds)
            if distance.item() > far.distance:
                return FAR
        outcomes = self._shaped(predicted)
        best = clear_pick(outcomes, errors, preferences)
        if best is None:
            picks, proven = self._by_differences(outcomes, errors, preferences)
            best = (picks if proven[0] else self._pick_exactly(query.vector, preferences)).item()
        return best

    def pick_many(self, queries: Queries, preferences: Preferences) -> npt.NDArray[np.int64]:
        """See `Algorithm`."""
        if self._first is not None:
            preferences = self._without_equals(self._first, preferences)
        return self._pick(queries.vectors, preferences)

    @staticmethod
    def _without_equals(first: Picks, preferences: Preferences) -> Preferences:
        """Leave out models that are predicted as an earlier candidate is: of ties the first wins, without a proof."""
        if preferences.given:
            return preferences
        allowed = np.full(len(first), True) if preferences.allowed is None else preferences.allowed
        is_later = first != np.arange(len(first))
        return preferences._replace(allowed=allowed & ~(is_later & allowed[first]))

    def predict(self, queries: Queries) -> npt.NDArray[np.float64]:
        """See `Predictor`."""
        return self._predicted(queries.vectors)

    def _pick(self, vectors: Vectors, preferences: Preferences) -> npt.NDArray[np.int64]:
        far, left = preferences.far, np.full(len(vectors), True)
        picks = np.full(len(vectors), FAR)
        if self._searches or far is not None:
            outputs = _SEARCH_OUTPUTS if far is None else _MEASURED_OUTPUTS
            predicted, errors, *distances = self._run(outputs, {Input.FEATURES: vectors})
        if self._searches:
            outcomes = self._shaped(predicted)
            picks, utility = pick(outcomes, preferences)
            left = ~is_proven(outcomes, utility, errors, preferences)
            if left.any():
                picks[left], proven = self._by_differences(outcomes[left], errors[left], preferences)
                left[left] = ~proven
        if far is not None:
            is_far = self._are_far(vectors, distances[0][:, 0], far)
            picks[is_far], left[is_far] = FAR, False
        if left.any():
            picks[left] = self._pick_exactly(vectors[left], preferences)
        return picks

    def _by_differences(
        self, outcomes: npt.NDArray[np.float64], errors: npt.NDArray[np.float64], preferences: Preferences
    ) -> tuple[Picks, Proven]:
        if self._differences is None or preferences.at_least is not None or preferences.given:
            return np.zeros(len(outcomes), np.int64), np.zeros(len(outcomes), np.bool_)
        return proven_by_differences(outcomes, errors, self._differences, self._least_price, preferences)

    def _are_far(self, vectors: Vectors, distances: npt.NDArray[np.float64], far: FarFrom) -> npt.NDArray[np.bool_]:
        # Products of directions in float32; the nearest support vector is no longer than the distance to it and 1.
        errors = vectors.shape[1] * 2.0**-20 * (1.0 + distances)
        return are_far(distances**2, errors, far, lambda place: self._distance(vectors[place : place + 1]))

    def _pick_exactly(self, vectors: Vectors, preferences: Preferences) -> npt.NDArray[np.int64]:
        """Pick by predictions in float64, one by one where rounding could decide: see `Algorithm`."""
        outcomes = self._predicted(vectors)
        picks, utility = pick(outcomes, preferences)
        if len(vectors) > 1:
            for place in np.flatnonzero(is_close(outcomes, utility, preferences)):
                picks[place] = self._pick_exactly(vectors[place : place + 1], preferences)[0]
        return picks

    def _predicted(self, vectors: Vectors) -> npt.NDArray[np.float64]:
        """Predict outcomes in float64: (b, n_kinds, n_models)."""
        (predicted,) = self._run(_EXACT_OUTPUTS, {Input.FEATURES: vectors})
        return self._shaped(predicted)

    def _shaped(self, predicted: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        return floored(predicted.reshape(-1, *self._base.shape), self._least_price)

    def distance(self, query: Query) -> float:
        """See `Algorithm`: the distance of its direction to the nearest support vector."""
        return self._distance(query.vector)

    def _distance(self, vector: Vectors) -> float:
        _, _, distance = self._run(_MEASURED_OUTPUTS, {Input.FEATURES: vector})
        return float(distance.item())

    def default(self, preferences: Preferences) -> int:
        """See `Predictor`."""
        return default_of(self._base, preferences)

    def explain(self, query: Query, preferences: Preferences) -> Explanation:
        """See `Algorithm`."""
        return explanation(self._predicted(query.vector), self._base, self._names, preferences)


def _first_of_equals(dual_coef: Tensor | None, base: npt.NDArray[np.float64]) -> Picks | None:
    """Return for each model the first that is predicted as it is, (n_models,); None where all models differ.

    Such are one model under two names, or at two limits of tokens that its answers never reach.
    """
    if dual_coef is None or dual_coef.shape[1] != base.size:
        return None
    coefficients, first = dual_coef.reshape(-1, *base.shape), dict[bytes, int]()
    predicted = (coefficients[:, :, model].tobytes() + base[:, model].tobytes() for model in range(base.shape[1]))
    found = np.array([first.setdefault(of_model, model) for model, of_model in enumerate(predicted)], dtype=np.int64)
    return None if len(first) == len(found) else found


# What is computed in float64 leaves out what the search computes in float32.
_SUBGRAPHS = (
    Subgraph(_EXACT_OUTPUTS, enables=Table.REFINE),
    Subgraph(_SEARCH_OUTPUTS, needs=Table.REFINE),
    Subgraph(_MEASURED_OUTPUTS),
)
_ROW = Row(KernelRidge, PREDICTS, TABLES, _SUBGRAPHS)
ROWS: Rows = {("kernel_ridge", "native/1"): _ROW, ("kernel_ridge", "native/2"): _ROW}
