"""What the families share that predict outcomes: KNN by the nearest questions, and kernel ridge."""

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from modelpick.runtime.decision.objective import Objective, known_kinds, utilities
from modelpick.runtime.decision.outcomes import PLACES
from modelpick.runtime.schema import Entry

from ..formats.distinct import Names
from .base import Estimator, Matrix
from .row import Explanation


class OutcomeSelector(Estimator):
    """Picks the model of the highest predicted quality, or utility.

    Attributes
    ----------
    default_ : str
        Model that is best on average.
    operating_points_ : dict or None
        See `modelpick.converter.formats.operating_points`.
    """

    least_prices: ClassVar[Mapping[str, float]] = {}
    """Semantics -> the least cost and time that are predicted."""
    default_: str
    operating_points_: dict[str, Any] | None

    @property
    def least_price(self) -> float:
        """The least cost and time that are predicted."""
        return self.least_prices[self.semantics]

    def predict_outcomes(self, X: npt.ArrayLike) -> Matrix:
        """Predict each kind of outcome of each model, float64, shape (b, n_kinds, n_models)."""
        raise NotImplementedError

    def decision_function(self, X: npt.ArrayLike) -> Matrix:
        """Predicted quality, float64, shape (b, n_models)."""
        return utilities(self.predict_outcomes(X), Objective())


def describe_outcomes(estimator: OutcomeSelector, outcomes: Matrix) -> dict[str, Any]:
    """Return the metadata entries of an estimator that predicts outcomes.

    Parameters
    ----------
    outcomes
        Known outcomes, float64, shape (..., n_kinds, n_models): all NaN for kinds that are not predicted.
    """
    entries: dict[str, Any] = {Entry.OUTCOMES: known_kinds(outcomes), Entry.DEFAULT: estimator.default_}
    if np.isfinite(estimator.least_price):
        entries[Entry.LEAST_PRICE] = estimator.least_price
    if estimator.operating_points_ is not None:
        entries[Entry.OPERATING_POINTS] = estimator.operating_points_
    return entries


def known_outcomes(explanation: Explanation, names: Names, outcomes: Matrix) -> tuple[Matrix, Matrix]:
    """Return the outcomes of an explanation, and the predicted ones, of all known kinds, kind after kind.

    Parameters
    ----------
    outcomes
        Predicted ones, float64, shape (n_kinds, n_models); NaN for kinds that are not known.
    """
    known = known_kinds(outcomes)
    explained = [[explanation["outcomes"][name].get(kind, np.nan) for name in names] for kind in known]
    return np.array(explained).ravel(), outcomes[[PLACES[kind] for kind in known]].ravel()
