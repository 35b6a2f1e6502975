"""Kernel ridge regression in scikit-learn: one kernel predicts the outcomes of every model."""

from collections.abc import Sequence
from types import MappingProxyType
from typing import Any, Self

import numpy as np
import numpy.typing as npt
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.metrics.pairwise import rbf_kernel

from modelpick.runtime.decision.objective import Objective, choose, floored, known_kinds, utilities
from modelpick.runtime.decision.outcomes import COST, QUALITY, n_held
from modelpick.runtime.search.distances import directions

from ...formats.distinct import Names, name_array
from ..base import Matrix, checked_features
from ..outcomes import OutcomeSelector


class KernelRidgeModelSelector(OutcomeSelector, ClassifierMixin, BaseEstimator):
    """Picks the model of the highest predicted quality, or utility.

    ``outcome = intercept + sum_i dual_coef_i exp(-gamma |x - sv_i|^2)``, x scaled to unit length.

    Parameters
    ----------
    gamma : float, default=1.0
    semantics : {"native/1", "native/2"}, default="native/2"
        By ``native/2``, predicted costs and seconds are not below 0.

    Attributes
    ----------
    support_vectors_ : ndarray of float64, shape (s, d)
        Of unit length, as they were trained.
    dual_coef_ : ndarray of float64, shape (s, n_kinds, n_models)
        0 for kinds that are not predicted.
    intercept_ : ndarray of float64, shape (n_kinds, n_models)
        Mean outcomes; NaN for kinds that are not predicted.
    classes_ : ndarray of str, shape (n_models,)
    default_ : str
    operating_points_ : dict or None
    """

    least_prices = MappingProxyType({"native/1": -np.inf, "native/2": 0.0})

    def __init__(self, gamma: float = 1.0, semantics: str = "native/2") -> None:
        self.gamma = gamma
        self.semantics = semantics

    def fit(
        self,
        support_vectors: Matrix,
        dual_coef: Matrix,
        intercept: Matrix,
        model_names: Sequence[str],
        default: str | None = None,
        operating_points: dict[str, Any] | None = None,
    ) -> Self:
        """Take parameters that were trained elsewhere, in the shapes of the attributes.

        Kinds behind the last predicted one are left out. Without ``default``, it is the model of the highest mean
        quality.
        """
        self.support_vectors_, self.n_features_in_ = support_vectors, support_vectors.shape[1]
        held = n_held(known_kinds(intercept))
        self.dual_coef_, self.intercept_ = np.ascontiguousarray(dual_coef[:, :held]), intercept[:held]
        self.classes_: Names = name_array(model_names)
        self.default_ = default or model_names[int(intercept[QUALITY].argmax())]
        self.operating_points_ = operating_points
        return self

    def predict_outcomes(self, X: npt.ArrayLike) -> Matrix:
        """Predict each kind of outcome of each model, float64, shape (b, n_kinds, n_models)."""
        kernels = rbf_kernel(directions(checked_features(self, X)), self.support_vectors_, self.gamma)
        predicted = kernels @ self.dual_coef_.reshape(len(self.dual_coef_), -1)
        return floored(predicted.reshape(-1, *self.intercept_.shape) + self.intercept_, self.least_price)

    def predict(self, X: npt.ArrayLike) -> Names:
        """Names of the picked models, shape (b,), of the highest quality; of equal ones the cheaper, then the first."""
        outcomes = self.predict_outcomes(X)
        picked = choose(utilities(outcomes, Objective()), outcomes[:, COST])
        names: Names = self.classes_[picked]
        return names
