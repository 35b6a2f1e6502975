"""Estimators of support vector machines: a classifier for each model, or a machine for each pair of models."""

from collections.abc import Sequence
from typing import NamedTuple, Self

import numpy as np
import numpy.typing as npt
from scipy.spatial.distance import cdist
from sklearn.base import BaseEstimator, ClassifierMixin

from modelpick.runtime.search.distances import directions

from ...formats.decoding import Vector
from ...formats.distinct import row_groups, taken
from ...formats.outcomes import Indices
from ..base import Matrix, checked_features
from ..choices import ChoiceSelector

# Queries with at most this norm are not scaled to unit length.
MIN_NORM = 1e-10


def gaussian(queries: Matrix, support_vectors: Matrix, gamma: float) -> Matrix:
    """Return ``exp(-gamma * |x - sv|^2)``, (b, s), of queries, (b, d), and support vectors, (s, d)."""
    kernels: Matrix = np.exp(-gamma * cdist(queries, support_vectors, "sqeuclidean"))
    return kernels


class LinearClassifier(NamedTuple):
    """``coef . x + intercept``."""

    model_name: str
    coef: Vector
    """Float64, shape (d,)."""
    intercept: float


class KernelClassifier(NamedTuple):
    """``sum(dual_coef * exp(-gamma * |x - sv|^2)) + intercept``."""

    model_name: str
    support_vectors: Matrix
    """Float64, shape (s, d)."""
    dual_coef: Vector
    """Float64, shape (s,)."""
    intercept: float
    gamma: float


class OneVsRestModelSelector(ChoiceSelector, ClassifierMixin, BaseEstimator):
    """Picks the model whose classifier scores highest on the query scaled to unit length.

    Each classifier is a choice, linear ones first.

    Attributes
    ----------
    coef_ : ndarray of float64, shape (n_linear, d)
        Weights of the linear classifiers.
    intercept_ : ndarray of float64, shape (n_linear,)
        Their intercepts.
    machines_ : tuple of KernelClassifier
        Classifiers with a Gaussian kernel.
    """

    def fit(
        self, linear: Sequence[LinearClassifier], machines: Sequence[KernelClassifier], model_names: Sequence[str] = ()
    ) -> Self:
        """Take classifiers, trained elsewhere, and the names of models, some of which may have no classifier."""
        width = len(linear[0].coef) if linear else machines[0].support_vectors.shape[1]
        self.n_features_in_ = width
        self.coef_ = np.array([classifier.coef for classifier in linear]).reshape(-1, width)
        self.intercept_ = np.array([classifier.intercept for classifier in linear])
        self.machines_ = tuple(machines)
        self.set_choices([one.model_name for one in linear] + [one.model_name for one in machines], model_names)
        return self

    def choice_scores(self, X: npt.ArrayLike) -> Matrix:
        """Scores of the classifiers, float64, shape (b, n_classifiers)."""
        queries = directions(checked_features(self, X), MIN_NORM)
        of_machines = [
            gaussian(queries, machine.support_vectors, machine.gamma) @ machine.dual_coef + machine.intercept
            for machine in self.machines_
        ]
        return np.column_stack([queries @ self.coef_.T + self.intercept_, *of_machines])


class TrainedPairs(NamedTuple):
    """An SVC of the models that label queries, with the parameters of scikit-learn's SVC."""

    labels: Indices
    """The models, ascending."""
    support_vectors_: Matrix
    dual_coef_: Matrix
    intercept_: Vector
    n_support_: Indices


class OneVsOneModelSelector(ChoiceSelector, ClassifierMixin, BaseEstimator):
    """Picks the model that wins the most comparisons of pairs of models, as scikit-learn's SVC does.

    Each model is a choice. Each comparison is a machine; all machines share their support vectors.

    Parameters
    ----------
    kernel : {"rbf", "linear"}, default="rbf"
    gamma : float, default=1.0
        Width of the kernel "rbf".
    semantics : {"native/2", "trainer/1"}, default="native/2"

    Attributes
    ----------
    support_vectors_, n_support_, dual_coef_, intercept_ : ndarray
        As in SVC: the support vectors, shape (s, d), one model after another; their number for each model, (n_models,);
        coefficients, (n_models - 1, s); and intercepts, (n_pairs,). For two models, coefficients and intercept have the
        opposite sign.
    row_groups_ : ndarray of int64, shape (s,)
        Number of each support vector among the distinct ones: a query may support several models.
    vectors_ : ndarray of float64, shape (n_distinct, d)
        Distinct support vectors.
    pair_coef_ : ndarray of float64, shape (n_pairs, n_distinct)
        Coefficients of each machine for all distinct support vectors.
    pair_intercept_ : ndarray of float64, shape (n_pairs,)
    """

    def __init__(self, kernel: str = "rbf", gamma: float = 1.0, semantics: str = "native/2") -> None:
        self.kernel = kernel
        self.gamma = gamma
        self.semantics = semantics

    def fit(
        self,
        support_vectors: Matrix,
        dual_coef: Matrix,
        intercept: Vector,
        n_support: Sequence[int] | npt.NDArray[np.int64],
        model_names: Sequence[str],
    ) -> Self:
        """Take the parameters of an SVC, trained elsewhere; the attributes tell their shapes."""
        self.support_vectors_, self.n_features_in_ = support_vectors, support_vectors.shape[1]
        self.dual_coef_, self.intercept_, self.n_support_ = dual_coef, intercept, np.array(n_support)
        self.set_choices(model_names)
        sign = -1.0 if len(model_names) == 2 else 1.0
        first, second = self.pairs
        self.row_groups_ = row_groups(support_vectors)
        _, places = np.unique(self.row_groups_, return_index=True)
        self.vectors_ = taken(support_vectors, places)
        of_models = np.split(np.arange(len(support_vectors)), self.n_support_.cumsum()[:-1])
        self.pair_coef_ = np.zeros((len(first), len(places)))
        for machine, i, j in zip(self.pair_coef_, first, second, strict=True):
            for own, other in ((i, j - 1), (j, i)):
                np.add.at(machine, self.row_groups_[of_models[own]], sign * dual_coef[other, of_models[own]])
        self.pair_intercept_ = sign * intercept
        return self

    @property
    def pairs(self) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        """The first and the second model of each comparison, (n_pairs,) each."""
        first, second = np.triu_indices(len(self.choice_models_), 1)
        return first, second

    def pair_scores(self, X: npt.ArrayLike) -> Matrix:
        """Scores of the comparisons, positive where the first of two models wins, shape (b, n_pairs)."""
        queries, vectors = checked_features(self, X), self.vectors_
        kernels = queries @ vectors.T if self.kernel == "linear" else gaussian(queries, vectors, self.gamma)
        scores: Matrix = kernels @ self.pair_coef_.T + self.pair_intercept_
        return scores

    def wins(self, pair_scores: Matrix) -> Matrix:
        """Count the comparisons that each model wins: (b, n_pairs) -> (b, n_models)."""
        won, (first, second) = pair_scores > 0, self.pairs
        of_models = [
            won[:, first == model].sum(axis=1) + (~won[:, second == model]).sum(axis=1)
            for model in range(len(self.choice_models_))
        ]
        return np.stack(of_models, axis=1).astype(np.float64)

    def choice_scores(self, X: npt.ArrayLike) -> Matrix:
        """Comparisons won, shape (b, n_models)."""
        return self.wins(self.pair_scores(X))
