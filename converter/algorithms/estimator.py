"""What every estimator has, and how it checks features."""

from collections.abc import Sequence
from typing import Protocol

import numpy as np
import numpy.typing as npt
from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_array, check_is_fitted

Matrix = npt.NDArray[np.float64]
Names = npt.NDArray[np.object_]


class Estimator(Protocol):
    """A fitted scikit-learn estimator that picks language models.

    Attributes
    ----------
    semantics : str
        Rule set by which it picks, and the version of that: "native/1".
    model_names_ : ndarray of str, shape (n_models,)
        Language models, in the order of scores.
    n_features_in_ : int
        Width of a query.
    """

    semantics: str
    model_names_: Names
    n_features_in_: int

    def decision_function(self, X: npt.ArrayLike) -> Matrix:
        """Return the score of each model, float64, shape (b, n_models)."""

    def predict(self, X: npt.ArrayLike) -> Names:
        """Return the names of the picked models, shape (b,)."""


def name_array(names: Sequence[str]) -> Names:
    """Return an array of Python strings, shape (n,)."""
    array = np.empty(len(names), dtype=object)
    array[:] = names
    return array


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
