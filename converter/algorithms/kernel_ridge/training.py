"""Training of kernel ridge: the part that models share on a query, and the part of each model.

scikit-learn's `KernelRidge` solves; with landmarks its solution equals ``Nystroem`` followed by ``Ridge``. Where most
queries have one answer, both parts take one solve, see `modelpick.converter.statistics.landmarks`.
"""

import warnings
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.linalg import LinAlgWarning, cho_factor, cho_solve
from sklearn.kernel_ridge import KernelRidge
from sklearn.metrics.pairwise import rbf_kernel

from modelpick.runtime import DocumentError
from modelpick.runtime.decision.objective import known_kinds
from modelpick.runtime.decision.outcomes import KINDS, PLACES, QUALITY
from modelpick.runtime.decision.shrinkage import OWN, Deviations, deviations
from modelpick.runtime.search.distances import directions

from ...formats.outcomes import Settings, Training
from ...statistics.landmarks import AT_ONCE, Landmarks, landmarks, regressed
from ..base import Matrix
from .estimators import KernelRidgeModelSelector

Mask = npt.NDArray[np.bool_]
# Most support vectors by default.
LANDMARKS = 1_000
# Added to the diagonal of the support vectors' kernel, which is singular where two of them are equal.
JITTER = 1e-6
# Ratio of the variance of what models share on a query to that of their own parts. It calibrates predictions: of about
# 0, 0.1, 0.4 and 1, 0.4 predicted the mean quality of held-out queries best for nine models, as well as 1 for seven.
AGREEING = 0.4


def fit_ridges(training: Training, ridges: Sequence[float]) -> list[KernelRidgeModelSelector]:
    """Fit all recorded kinds of outcomes by each ridge; the kernel is evaluated once.

    ``f_m = b_m + S(a) + S_m(own_m)``: the mean of a model, the part that models share on a query, and the model's own
    part, see `modelpick.runtime.decision.shrinkage`. Each S is a kernel ridge regression on the queries with known
    outcomes. Since S is linear, all targets on the same queries take one matrix.

    The penalty of S is ``ridge / (1 + AGREEING answers)``, with the mean number of answers of a query: a is a mean of
    answers, and has less noise than one. The penalty decides how far predictions spread, and no difference between
    models.
    """
    if training.benchmark.is_sparse:
        return list(_of_answers(training, ridges))
    smooth = _Smoother(directions(training.features), training.settings)
    outcomes = training.benchmark.outcomes()
    n_kinds, n_models = outcomes.shape[1:]
    intercept = np.full((n_kinds, n_models), np.nan)
    alike: dict[bytes, list[_Target]] = {}
    for kind in range(n_kinds):
        split = deviations(outcomes[:, kind])
        intercept[kind] = split.base
        for target in _targets(split, kind):
            alike.setdefault(target.known.tobytes(), []).append(target)
    dual_coef = np.zeros((len(ridges), len(smooth.support_vectors), n_kinds, n_models))
    for solved, targets in zip(smooth(list(alike.values()), ridges), alike.values(), strict=True):
        for place, target in enumerate(targets):
            dual_coef[:, :, target.kind, target.models] += solved[:, :, place, None]
    # Models of equal outcomes are equal to the last digit, which depends on their place in a solve: ties are exact.
    first: dict[bytes, int] = {}
    of_equals = [first.setdefault(outcomes[:, :, model].tobytes(), model) for model in range(n_models)]
    dual_coef, intercept = dual_coef[..., of_equals], intercept[:, of_equals]
    return [
        KernelRidgeModelSelector(training.settings.gamma).fit(
            smooth.support_vectors, of_ridge, intercept, training.benchmark.model_names
        )
        for of_ridge in dual_coef
    ]


def _of_answers(training: Training, ridges: Sequence[float]) -> Iterator[KernelRidgeModelSelector]:
    """Fit by each ridge, in one solve over answers."""
    settings, benchmark, features = training.settings, training.benchmark, directions(training.features)
    kernel = Landmarks(landmarks(features, settings.landmarks or LANDMARKS, settings.seed), settings.gamma)
    mapped, outcomes = kernel.mapped(features), benchmark.outcomes()
    for ridge in ridges:
        intercept, coefficients = regressed(mapped, outcomes, benchmark.propensity, ridge)
        dual_coef = kernel.of_kernels(coefficients.reshape(len(coefficients), -1)).reshape(coefficients.shape)
        yield KernelRidgeModelSelector(settings.gamma).fit(kernel.rows, dual_coef, intercept, benchmark.model_names)


def with_model(estimator: KernelRidgeModelSelector, training: Training, ridge: float) -> KernelRidgeModelSelector:
    """Add a model to a trained selector, from the model's records alone.

    The support vectors stay. The new model starts as the average model: the mean over the models of all means and
    coefficients. Its mean and its own part are what its records exceed this by: the mean of the excess, shrunk as by
    `modelpick.runtime.decision.shrinkage`, and kernel ridge regression of the rest in the span of the support vectors.

    Parameters
    ----------
    estimator
        What is added to.
    training
        Records of the new model alone, see `Training.only`.
    ridge
        Penalty of the regression.

    Raises
    ------
    DocumentError
        When the estimator predicts a kind of outcome that the new model has no records of.
    """
    (name,) = training.benchmark.model_names
    outcomes = training.benchmark.outcomes()[:, :, 0]
    solve = _Span(estimator, directions(training.features), ridge)
    dual_coef, intercept = estimator.dual_coef_, estimator.intercept_
    of_new, mean = np.zeros(dual_coef.shape[:2]), np.full(len(intercept), np.nan)
    for kind in map(PLACES.__getitem__, known_kinds(intercept)):
        known = ~np.isnan(outcomes[:, kind])
        if not known.any():
            raise DocumentError(f"expected the {KINDS[kind].noun} of answers of {name}, which the file predicts")
        shared, average = dual_coef[:, kind].mean(axis=1), intercept[kind].mean()
        excess = outcomes[known, kind] - average - solve.kernels[known] @ shared
        own = excess.sum() / (len(excess) + OWN)
        of_new[:, kind], mean[kind] = shared + solve(known, excess - own), average + own
    names = [*estimator.classes_, name]
    default = list(estimator.classes_).index(estimator.default_)
    is_better = mean[QUALITY] > intercept[QUALITY, default]
    return KernelRidgeModelSelector(estimator.gamma, estimator.semantics).fit(
        estimator.support_vectors_,
        np.concatenate([dual_coef, of_new[:, :, None]], axis=2),
        np.concatenate([intercept, mean[:, None]], axis=1),
        names,
        name if is_better else estimator.default_,
    )


class _Span:
    """Kernel ridge regression in the span of given support vectors.

    It minimises ``|y - A a|^2 + ridge a' K a`` over the coefficients a, where A holds the kernels of queries and
    support vectors, (n, s), and K the kernels among the support vectors: ``a = K^-1 A' (A K^-1 A' + ridge I)^-1 y``.
    """

    def __init__(self, estimator: KernelRidgeModelSelector, features: Matrix, ridge: float) -> None:
        vectors = estimator.support_vectors_
        self.kernels = rbf_kernel(features, vectors, estimator.gamma)
        self._ridge = ridge
        # Equal support vectors share their part.
        between = rbf_kernel(vectors, gamma=estimator.gamma) + JITTER * np.eye(len(vectors))
        self._weights: Matrix = cho_solve(cho_factor(between), self.kernels.T)

    def __call__(self, known: Mask, target: Matrix) -> Matrix:
        """Fit a target, (k,), on a mask of known queries, (n,): coefficients, (s,)."""
        weights = self._weights[:, known]
        solved: Matrix = (
            weights @ _solutions(self.kernels[known] @ weights, target[:, None], [self._ridge], np.ones(1))[0, :, 0]
        )
        return solved


class _Target(NamedTuple):
    """Values of a kind of outcome that are regressed, and the models whose predictions they are a part of."""

    values: Matrix
    """Float64, shape (n,)."""
    known: Mask
    """Queries whose values are known, shape (n,)."""
    answers: float
    """Number of independent answers that a value is as sure as: the penalty is divided by it."""
    kind: int
    models: slice


def _targets(split: Deviations, kind: int) -> Iterator[_Target]:
    """Yield the part that models share, and the part of each model, of a kind with answers."""
    of_any = np.asarray(split.known.any(axis=1))
    if of_any.any():
        yield _Target(split.common, of_any, 1.0 + AGREEING * split.known.sum() / of_any.sum(), kind, slice(None))
    for model in range(split.known.shape[1]):
        known = np.asarray(split.known[:, model])
        if known.any():
            yield _Target(split.own[:, model], known, 1.0, kind, slice(model, model + 1))


class _Smoother:
    """Kernel ridge regression of any targets on some queries; all coefficients belong to the same support vectors.

    The support vectors are all queries, or `Settings.landmarks` of them where more are distinct.
    """

    def __init__(self, features: Matrix, settings: Settings) -> None:
        most = settings.landmarks or LANDMARKS
        chosen = landmarks(features, most, settings.seed)
        are_some = len(chosen) == most < len(features)
        self._features, self._gamma = features, settings.gamma
        self._landmarks = Landmarks(chosen, settings.gamma) if are_some else None
        self.support_vectors = features if self._landmarks is None else self._landmarks.rows

    def __call__(self, groups: Sequence[Sequence[_Target]], ridges: Sequence[float]) -> Iterator[Matrix]:
        """Fit groups of t targets that the same queries know: coefficients, (n_ridges, s, t), of each group.

        The kernel is evaluated once for all. With landmarks, only that of some queries at once is in memory.
        """
        known = [targets[0].known for targets in groups]
        values = [np.column_stack([target.values for target in targets]) for targets in groups]
        answers = [np.array([target.answers for target in targets]) for targets in groups]
        if self._landmarks is None:
            kernel = rbf_kernel(self._features, gamma=self._gamma)
            for mask, of_group, divisors in zip(known, values, answers, strict=True):
                dual_coef = np.zeros((len(ridges), *of_group.shape))
                dual_coef[:, mask] = _solutions(kernel[np.ix_(mask, mask)], of_group[mask], ridges, divisors)
                yield dual_coef
            return
        width = len(self.support_vectors)
        products = [(np.zeros((width, width)), np.zeros((width, of_group.shape[1]))) for of_group in values]
        for first in range(0, len(self._features), AT_ONCE):
            block = slice(first, first + AT_ONCE)
            mapped = self._landmarks.mapped(self._features[block])
            for mask, of_group, (squares, right) in zip(known, values, products, strict=True):
                rows = mapped[mask[block]]
                squares += rows.T @ rows
                right += rows.T @ of_group[block][mask[block]]
        for (squares, right), divisors in zip(products, answers, strict=True):
            yield self._landmarks.of_kernels(_solutions(squares, right, ridges, divisors))


def _solutions(matrix: Matrix, targets: Matrix, ridges: Sequence[float], divisors: Matrix) -> Matrix:
    """Solve ``(matrix + ridge / divisor I) x = target`` for each ridge and target: (n_ridges, s, t).

    This is kernel ridge regression if the matrix is a kernel, and Ridge if it holds the products of its features.

    Parameters
    ----------
    matrix, targets, divisors
        Shapes (s, s), (s, t) and (t,).
    """
    solver, found = KernelRidge(kernel="precomputed"), np.empty((len(ridges), *targets.shape))
    with warnings.catch_warnings():  # whether float64 holds what a singular matrix predicts is checked later
        warnings.filterwarnings("ignore", "Singular matrix", UserWarning)
        warnings.filterwarnings("ignore", category=LinAlgWarning)
        for place, ridge in enumerate(ridges):
            for divisor in np.unique(divisors):
                some = divisors == divisor
                found[place][:, some] = (
                    solver.set_params(alpha=ridge / divisor).fit(matrix, targets[:, some]).dual_coef_
                )
    return found
