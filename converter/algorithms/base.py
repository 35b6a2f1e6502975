"""The base of all estimators, and the check of features."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, ClassVar

import numpy as np
import numpy.typing as npt
from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_array, check_is_fitted

from ..formats.distinct import Names
from ..formats.source import Source

if TYPE_CHECKING:
    from .row import AnyRow

Matrix = npt.NDArray[np.float64]


class Estimator:
    """Base of the estimators: fitted in scikit-learn's way, they pick language models.

    Attributes
    ----------
    semantics : str
        Semantics by which it picks, and their version: "native/1".
    classes_ : ndarray of str, shape (n_models,)
        Language models, in the order of scores.
    n_features_in_ : int
        Width of a query.
    source_ : Source or None
        The JSON model that it was loaded from.
    """

    rows: ClassVar[Mapping[str, "AnyRow"]] = {}
    """Semantics -> row of the table; the table fills in the rows."""
    semantics: str = "native/1"
    classes_: Names
    n_features_in_: int
    source_: Source | None = None

    @property
    def row(self) -> "AnyRow":
        """Row of the table by which it picks."""
        return self.rows[self.semantics]

    def decision_function(self, X: npt.ArrayLike) -> Matrix:
        """Return the score of each model, float64, shape (b, n_models)."""
        raise NotImplementedError

    def predict(self, X: npt.ArrayLike) -> Names:
        """Return the names of the picked models, shape (b,)."""
        raise NotImplementedError


def checked_features(estimator: BaseEstimator, X: npt.ArrayLike) -> Matrix:
    """Return queries as float64, shape (b, d).

    Raises
    ------
    NotFittedError, ValueError
        When the estimator is not fitted, or the queries are not finite numbers of its width.
    """
    check_is_fitted(estimator)
    features: Matrix = check_array(X, dtype=np.float64)
    if features.shape[1] != estimator.n_features_in_:
        raise ValueError(f"expected {estimator.n_features_in_} features, got {features.shape[1]}")
    return features
