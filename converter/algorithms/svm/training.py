"""Training of support vector machines by scikit-learn: one classifier for each model, or an SVC of all models."""

from itertools import combinations, permutations

import numpy as np
from sklearn.svm import SVC, LinearSVC

from modelpick.runtime.search.distances import directions

from ...formats.decoding import Vector
from ...formats.outcomes import Indices, Settings, Training
from ..base import Matrix
from .estimators import KernelClassifier, LinearClassifier, OneVsOneModelSelector, OneVsRestModelSelector


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


def trained_svc(training: Training) -> tuple[Indices, SVC | None]:
    """Train an SVC that labels queries with models; returns the labels, and the SVC, or None for a single label."""
    examples, settings = training.examples(), training.settings
    labels = np.unique(examples.models)
    if len(labels) < 2:
        return labels, None
    svc = SVC(C=settings.C, gamma=settings.gamma, kernel=settings.kernel)
    return labels, svc.fit(training.features[examples.queries], examples.models, examples.weights)


def of_all_models(training: Training, labels: Indices, svc: SVC | None) -> OneVsOneModelSelector:
    """Return the estimator of all models of the records; models that are labels always win against the others.

    Parameters
    ----------
    labels, svc
        See `trained_svc`. Models that label no query have no support vectors.
    """
    names, settings = training.benchmark.model_names, training.settings
    m = len(names)
    vectors, coefs, intercepts, counts = training.features[:1], np.zeros((0, 1)), np.zeros(0), np.ones(1, np.int64)
    if svc is not None:
        # scikit-learn reverses the sign of a single comparison, and so do files of two models.
        sign = -1.0 if len(labels) == 2 else 1.0
        vectors, counts = svc.support_vectors_, svc.n_support_
        coefs, intercepts = sign * svc.dual_coef_, sign * svc.intercept_
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
    return of_all_models(training, *trained_svc(training))
