"""Kernel ridge regression: one kernel predicts quality, cost and seconds of every model.

The predictions of the search in float32 are off by a bound that the graph computes beside them. Where the best utility
leads by more than twice that, the pick is proven; else the predictions are computed in float64.
"""

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from ..artifact.metadata import Metadata
from ..artifact.onnx_reader import Tensor
from ..artifact.tables import DOUBLES, FLOATS, Spec, Specs, optional
from ..decision.objective import floored, utility_errors
from ..decision.voting import are_close
from ..errors import ArtifactError
from ..request import Norms, Preferences, Queries
from ..schema import Input, Output, Stored, Table
from ..session import Part, Run
from .base import PREDICTS, Explanation, Row, Rows
from .outcomes import default_of, explained, pick, reason, utility_of

_SEARCH_OUTPUTS = (Output.PREDICTION, Output.PREDICTION_ERROR)
_EXACT_OUTPUTS = (Output.OUTCOME,)

TABLES: Specs = {
    Table.MEAN_OUTCOMES: Spec(DOUBLES, ("kinds", "models")),
    **optional({Stored.SUPPORT_VECTORS: Spec(FLOATS, ("support", "features"))}),
}


class KernelRidge:
    """Picks the model of the highest predicted utility.

    Parameters
    ----------
    metadata
        Metadata of the artifact.
    tables
        Initializers of the artifact, see `modelpick.runtime.schema.Table`.
    preferences
        Those of most calls; calls say them again.
    """

    def __init__(self, metadata: Metadata, tables: Mapping[str, Tensor], preferences: Preferences) -> None:
        self._names, self._base = metadata.model_names, tables[Table.MEAN_OUTCOMES]
        self._searches, self._least_price = Table.REFINE in tables, metadata.least_price

    def winner(self, run: Run, query: Queries, squared_norm: float, preferences: Preferences) -> int:
        """See `Algorithm`."""
        return int(self.winners(run, query, np.array([squared_norm]), preferences)[0])

    def winners(
        self, run: Run, queries: Queries, squared_norms: Norms, preferences: Preferences
    ) -> npt.NDArray[np.int64]:
        """See `Algorithm`."""
        if not self._searches:
            return self._settled(run, queries, preferences)
        predicted, errors = run(_SEARCH_OUTPUTS, {Input.FEATURES: queries})
        outcomes = self._shaped(predicted)
        utility = utility_of(outcomes, preferences)
        winners = pick(outcomes, utility, preferences)
        left = np.flatnonzero(~self._proven(utility, winners, errors, preferences))
        if left.size:
            winners[left] = self._settled(run, queries[left], preferences)
        return winners

    def _settled(self, run: Run, queries: Queries, preferences: Preferences) -> npt.NDArray[np.int64]:
        """Pick by predictions in float64, alone where roundings could decide: see `Algorithm`."""
        outcomes = self._exact(run, queries)
        utility = utility_of(outcomes, preferences)
        winners = pick(outcomes, utility, preferences)
        if len(queries) > 1:
            for place in np.flatnonzero(are_close(utility, preferences.allowed)):
                winners[place] = self._settled(run, queries[place : place + 1], preferences)[0]
        return winners

    def _shaped(self, predicted: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        return floored(predicted.reshape(-1, *self._base.shape), self._least_price)

    def _exact(self, run: Run, queries: Queries) -> npt.NDArray[np.float64]:
        """Predict outcomes in float64: (b, n_kinds, n_models)."""
        (predicted,) = run(_EXACT_OUTPUTS, {Input.FEATURES: queries})
        return self._shaped(predicted)

    def _proven(
        self,
        utility: npt.NDArray[np.float64],
        winners: npt.NDArray[np.int64],
        errors: npt.NDArray[np.float64],
        preferences: Preferences,
    ) -> npt.NDArray[np.bool_]:
        """Whether each winner leads by more than the errors of two predictions, (b, n_kinds)."""
        bound = 2.0 * utility_errors(errors, preferences.objective)
        others = utility if preferences.allowed is None else np.where(preferences.allowed, utility, -np.inf)
        best = others[np.arange(len(others)), winners]
        proven: npt.NDArray[np.bool_] = (others >= (best - bound)[:, None]).sum(axis=1) == 1
        return proven

    def distance(self, run: Run, query: Queries, squared_norm: float) -> float:
        """See `Algorithm`: not recorded for kernel ridge."""
        raise ArtifactError("expected an artifact that records distances")

    def explain(self, run: Run, query: Queries, preferences: Preferences) -> Explanation:
        """See `Algorithm`."""
        outcomes = self._exact(run, query)
        utility = utility_of(outcomes, preferences)
        winner, default = int(pick(outcomes, utility, preferences)[0]), default_of(self._base, preferences)
        details = {
            "outcomes": explained(outcomes[0], self._names, preferences),
            **reason(utility[0], winner, default, self._names),
        }
        return Explanation(winner, utility[0], details)


_PARTS = (Part(), Part(_SEARCH_OUTPUTS, needs=Table.REFINE))
ROWS: Rows = {
    ("kernel_ridge", semantics): Row(KernelRidge, PREDICTS, TABLES, _PARTS) for semantics in ("native/1", "native/2")
}
