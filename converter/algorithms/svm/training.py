"""Training of support vector machines by scikit-learn: one classifier for each model, or an SVC of all models."""

from itertools import combinations, permutations

import numpy as np
import numpy.typing as npt
from sklearn.svm import SVC, LinearSVC

from modelpick.runtime.search.distances import directions

from ...formats.decoding import Vector
from ...formats.outcomes import Indices, Settings, Training
from ..base import Matrix
from .estimators import (
    KernelClassifier,
    LinearClassifier,
    OneVsOneModelSelector,
    OneVsRestModelSelector,
    TrainedPairs,
)

# Most queries whose kernels are computed at once.
KEPT = 4_000


def fit_one_vs_rest(training: Training) -> OneVsRestModelSelector:
    """Train one classifier for each model, on unit vectors as they are scored.

    A classifier separates the queries on which its model exceeds the mean from the other queries. The weight of a query
    is its model's distance from the mean, which is the cost of a mistake (B. Zadrozny, J. Langford, N. Abe,
    Cost-Sensitive Learning by Cost-Proportionate Example Weighting, ICDM 2003). Where all queries are on one side, the
    score is a constant.
    """
    features, settings, names = directions(training.features), training.settings, training.benchmark.model_names
    models = list(zip(names, training.advantages.T, strict=True))
    if settings.kernel == "linear":
        return OneVsRestModelSelector().fit([_linear(features, *model, settings) for model in models], [], names)
    return OneVsRestModelSelector().fit([], [_machine(features, *model, settings) for model in models], names)


def _linear(features: Matrix, name: str, advantages: Vector, settings: Settings) -> LinearClassifier:
    above, costs = advantages > 0, np.abs(advantages)
    if _are_on_one_side(advantages):
        return LinearClassifier(name, np.zeros(features.shape[1]), _constant(advantages))
    fitted = LinearSVC(C=settings.C, random_state=settings.seed).fit(features, above, costs)
    return LinearClassifier(name, fitted.coef_[0], float(fitted.intercept_[0]))


def _machine(features: Matrix, name: str, advantages: Vector, settings: Settings) -> KernelClassifier:
    counted = advantages != 0
    if _are_on_one_side(advantages):
        return KernelClassifier(name, features[:1], np.zeros(1), _constant(advantages), settings.gamma)
    above, costs = advantages[counted] > 0, np.abs(advantages[counted])
    fitted = SVC(C=settings.C, gamma=settings.gamma).fit(features[counted], above, costs)
    vectors, dual_coef, intercept = fitted.support_vectors_, fitted.dual_coef_[0], float(fitted.intercept_[0])
    return KernelClassifier(name, vectors, dual_coef, intercept, settings.gamma)


def _are_on_one_side(advantages: Vector) -> bool:
    return not ((advantages > 0).any() and (advantages < 0).any())


def _constant(advantages: Vector) -> float:
    return 1.0 if (advantages > 0).any() else -1.0


def trained_pairs(training: Training) -> TrainedPairs:
    """Train an SVC that labels queries with models, pair by pair; a single label has a support vector for its name.

    SVC does the same, and computes the kernel of two examples again for each pair of their labels. Among many models, a
    query is an example of many. Here the kernels of at most `KEPT` queries are computed once.
    """
    (queries, models, weights), settings = training.examples(), training.settings
    labels, counts = np.unique(models, return_counts=True)
    if len(labels) < 2:
        return TrainedPairs(labels, training.features[:1], np.zeros((0, 1)), np.zeros(0), np.ones(1, np.int64))
    by_label = np.argsort(models, kind="stable")
    queries, weights, places = queries[by_label], weights[by_label], np.split(np.arange(len(models)), counts.cumsum())
    kernels = _Kernels(training.features, settings, 2 * int(counts.max()))
    coefs, intercepts = np.zeros((len(labels) - 1, len(models))), []
    for a, b in combinations(range(len(labels)), 2):
        of_pair = np.concatenate([places[a], places[b]])
        fitted = kernels.fitted(queries[of_pair], np.arange(len(of_pair)) >= len(places[a]), weights[of_pair])
        of_examples = np.zeros(len(of_pair))
        of_examples[fitted.support_] = fitted.dual_coef_[0]
        coefs[b - 1, places[a]], coefs[a, places[b]] = np.split(of_examples, [len(places[a])])
        intercepts.append(fitted.intercept_[0])
    support = np.flatnonzero(coefs.any(axis=0))
    # scikit-learn reverses the sign of a single comparison.
    sign = 1.0 if len(labels) == 2 else -1.0
    n_support = np.diff(np.searchsorted(support, [0, *counts.cumsum()]))
    vectors = training.features[queries[support]]
    return TrainedPairs(labels, vectors, sign * coefs[:, support], sign * np.array(intercepts), n_support)


class _Kernels:
    """Kernels of queries, from which SVCs of two labels are fitted."""

    def __init__(self, features: Matrix, settings: Settings, most: int) -> None:
        """Compute the kernels of all queries, if they are few; ``most`` is the largest number of examples of a fit."""
        self._features, self._settings = features, settings
        self._kernels = None
        if len(features) <= KEPT:
            products = features @ features.T
            squares: Vector = products.diagonal()
            # As libsvm expands them.
            gaussian = np.exp(-settings.gamma * (squares[:, None] + squares - 2.0 * products))
            self._kernels = products if settings.kernel == "linear" else gaussian
            # Fits share their memory: to get as much from the system takes longer than to fill it.
            self._memory = np.empty(most**2)

    def fitted(self, queries: Indices, labels: npt.NDArray[np.bool_], weights: Vector) -> SVC:
        """Fit an SVC to queries, labels and weights, (n,) each."""
        C, gamma, n = self._settings.C, self._settings.gamma, len(queries)
        if self._kernels is None:
            return SVC(C=C, gamma=gamma, kernel=self._settings.kernel).fit(self._features[queries], labels, weights)
        among = self._memory[: n * n].reshape(n, n)
        for query, row in zip(queries, among, strict=True):
            self._kernels[query].take(queries, out=row, mode="clip")  # any other mode copies once more
        return SVC(C=C, kernel="precomputed").fit(among, labels, weights)


def of_all_models(training: Training, pairs: TrainedPairs) -> OneVsOneModelSelector:
    """Return the estimator of all models of the records; models that are labels always win against the others.

    Models that label no query have no support vectors.
    """
    names, settings = training.benchmark.model_names, training.settings
    m = len(names)
    labels, vectors, coefs, intercepts, counts = pairs
    # Files of two models reverse the sign, too.
    sign = -1.0 if len(labels) == 2 else 1.0
    coefs, intercepts = sign * coefs, sign * intercepts
    owners = np.repeat(labels, counts)
    dual_coef = np.zeros((m - 1, len(vectors)))
    for (a, own), (b, other) in permutations(enumerate(labels), 2):
        dual_coef[other - (other > own), owners == own] = coefs[b - (b > a), owners == own]
    known = dict(zip(combinations(labels, 2), intercepts, strict=True))
    intercept = [known.get(pair, -1.0 if pair[1] in labels else 1.0) for pair in combinations(range(m), 2)]
    n_support = np.zeros(m, np.int64)
    n_support[labels] = counts
    sign = -1.0 if m == 2 else 1.0
    estimator = OneVsOneModelSelector(settings.kernel, settings.gamma)
    return estimator.fit(vectors, sign * dual_coef, sign * np.array(intercept), n_support, names)


def fit_one_vs_one(training: Training) -> OneVsOneModelSelector:
    """Train an SVC, and return the estimator of all models of the records."""
    return of_all_models(training, trained_pairs(training))
