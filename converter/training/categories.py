"""Trains the classifier that says an embedding's category, so that a request needs text alone."""

import warnings
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from threadpoolctl import threadpool_limits

from modelpick.runtime.features import CATEGORIES, OTHER

from ..formats.categories import CategoryClassifier
from ..formats.outcomes import Matrix
from ..statistics.folds import folds

# Inverse of the penalty, for embeddings of unit length.
C = 4.0
ITERATIONS = 1_000
DIGITS = 6


def category_classifier(embeddings: Matrix, categories: Sequence[str], seed: int = 0) -> CategoryClassifier | None:
    """Train a classifier of categories, and measure it by cross-validation; the same each time.

    Parameters
    ----------
    embeddings
        Float64, shape (n, e).
    categories
        Of each embedding; unknown ones count as "other", as in features.
    seed
        Seed of the folds.

    Returns
    -------
    None where there are fewer than two categories, or distinct embeddings: there is nothing to learn.
    """
    labels = np.array([category if category in CATEGORIES else OTHER for category in categories])
    if len(np.unique(labels)) < 2 or len(np.unique(embeddings, axis=0)) < 2:
        return None
    with threadpool_limits(1), warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # near enough, and measured
        fitted = _fitted(embeddings, labels)
        return CategoryClassifier(
            classes=fitted.classes_.tolist(),
            coef=[_rounded(row) for row in fitted.coef_],
            intercept=_rounded(fitted.intercept_),
            accuracy=_accuracy(embeddings, labels, folds(embeddings, seed)),
        )


def _fitted(embeddings: Matrix, labels: npt.NDArray[np.str_]) -> LogisticRegression:
    return LogisticRegression(C=C, max_iter=ITERATIONS).fit(embeddings, labels)


def _accuracy(embeddings: Matrix, labels: npt.NDArray[np.str_], fold: npt.NDArray[np.int64]) -> float:
    right = 0
    for number in range(int(fold.max()) + 1):
        learned, held_out = fold != number, fold == number
        one_class = len(np.unique(labels[learned])) == 1
        answers = (
            labels[learned][:1]
            if one_class
            else _fitted(embeddings[learned], labels[learned]).predict(embeddings[held_out])
        )
        right += int((answers == labels[held_out]).sum())
    return round(right / len(labels), DIGITS)


def _rounded(values: npt.NDArray[np.float64]) -> list[float]:
    return [float(f"{value:.{DIGITS}g}") for value in values]
