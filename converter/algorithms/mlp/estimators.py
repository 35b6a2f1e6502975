"""MLP as in scikit-learn: a chain of dense layers with a ReLU between each two, and a softmax."""

from collections.abc import Sequence
from typing import Self

import numpy as np
import numpy.typing as npt
from scipy.special import softmax
from sklearn.base import BaseEstimator, ClassifierMixin

from ...formats.decoding import Vector
from ...formats.distinct import Names
from ..base import Matrix, checked_features
from ..choices import ChoiceSelector


class MLPModelSelector(ChoiceSelector, ClassifierMixin, BaseEstimator):
    """Picks the model of the most probable class; each class is a choice. Of equal probabilities the last is picked.

    Parameters
    ----------
    semantics : {"native/1", "native/2"}, default="native/2"
        Both pick alike.

    Attributes
    ----------
    coefs_ : list of ndarray of float64, shape (in, out)
        Weights of each dense layer, as in MLPClassifier.
    intercepts_ : list of ndarray of float64, shape (out,)
        Intercepts of each dense layer.
    """

    def __init__(self, semantics: str = "native/2") -> None:
        self.semantics = semantics

    def fit(self, coefs: Sequence[Matrix], intercepts: Sequence[Vector], model_names: Sequence[str]) -> Self:
        """Take layers, trained elsewhere; the last layer has an output for each model."""
        self.coefs_ = [np.ascontiguousarray(coef) for coef in coefs]
        self.intercepts_ = list(intercepts)
        self.n_features_in_ = len(coefs[0])
        self.set_choices(model_names)
        return self

    def choice_scores(self, X: npt.ArrayLike) -> Matrix:
        """Softmax probabilities, shape (b, n_models)."""
        values = checked_features(self, X) @ self.coefs_[0] + self.intercepts_[0]
        for coef, intercept in zip(self.coefs_[1:], self.intercepts_[1:], strict=True):
            values = np.maximum(values, 0.0) @ coef + intercept
        probabilities: Matrix = softmax(values, axis=1)
        return probabilities

    def predict(self, X: npt.ArrayLike) -> Names:
        """Names of the picked models, shape (b,)."""
        last = -1 - self.choice_scores(X)[:, ::-1].argmax(axis=1)
        names: Names = self.choice_models_[last]
        return names
