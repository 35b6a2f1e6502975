"""Training of kernel ridge: the part that models share on a query, and the part of each model.

scikit-learn's `KernelRidge` solves; with landmarks its solution equals `Nystroem` followed by ``Ridge``. Where most
queries have one answer, both parts take one solve, see `modelpick.converter.statistics.landmarks`.
"""

from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt
from sklearn.kernel_ridge import KernelRidge
from sklearn.metrics.pairwise import rbf_kernel

from modelpick.runtime.decision.shrinkage import Deviations, deviations
from modelpick.runtime.search.distances import directions

from ...formats.outcomes import Settings, Training
from ...statistics.landmarks import Landmarks, landmarks, regressed
from ..base import Matrix
from .estimators import KernelRidgeModelSelector

Mask = npt.NDArray[np.bool_]


def fit_ridges(training: Training, ridges: Sequence[float]) -> list[KernelRidgeModelSelector]:
    """Fit all recorded kinds of outcomes by each ridge; the kernel is evaluated once.

    ``f_m = b_m + S(a) + S_m(own_m)``: the mean of a model, the part that models share on a query, and the model's own
    part, see `modelpick.runtime.decision.shrinkage`. Each S is a kernel ridge regression on the queries with known
    outcomes. Since S is linear, all targets on the same queries take one solve; without missing outcomes, this is one
    regression of ``y - b`` for all models.
    """
    if training.benchmark.is_sparse:
        return list(_of_answers(training, ridges))
    smooth = _Smoother(directions(training.features), training.settings)
    outcomes = training.benchmark.outcomes()
    n_kinds, n_models = outcomes.shape[1:]
    intercept = np.full((n_kinds, n_models), np.nan)
    targets: dict[bytes, list[tuple[Matrix, int, slice]]] = {}
    for kind in range(n_kinds):
        split = deviations(outcomes[:, kind])
        intercept[kind] = split.base
        for known, values, models in _targets(split):
            targets.setdefault(known.tobytes(), []).append((values, kind, models))
    dual_coef = np.zeros((len(ridges), len(smooth.support_vectors), n_kinds, n_models))
    for mask, columns in targets.items():
        values = np.column_stack([values for values, _, _ in columns])
        solved = smooth(np.frombuffer(mask, np.bool_), values, ridges)
        for place, (_, kind, models) in enumerate(columns):
            dual_coef[:, :, kind, models] += solved[:, :, place, None]
    return [
        KernelRidgeModelSelector(training.settings.gamma).fit(
            smooth.support_vectors, of_ridge, intercept, training.benchmark.model_names
        )
        for of_ridge in dual_coef
    ]


def _of_answers(training: Training, ridges: Sequence[float]) -> Iterator[KernelRidgeModelSelector]:
    """Fit by each ridge, in one solve over answers."""
    settings, benchmark, features = training.settings, training.benchmark, directions(training.features)
    kernel = Landmarks(landmarks(features, settings.landmarks, settings.seed), settings.gamma)
    mapped, outcomes = kernel.mapped(features), benchmark.outcomes()
    for ridge in ridges:
        intercept, coefficients = regressed(mapped, outcomes, benchmark.propensity, ridge)
        dual_coef = kernel.of_kernels(coefficients.reshape(len(coefficients), -1)).reshape(coefficients.shape)
        yield KernelRidgeModelSelector(settings.gamma).fit(kernel.rows, dual_coef, intercept, benchmark.model_names)


def _targets(split: Deviations) -> Iterator[tuple[Mask, Matrix, slice]]:
    """Yield each target: the mask of queries where it is known, (n,), its values, (n,), and its models."""
    complete = split.known.all()
    of_any = np.asarray(split.known.any(axis=1))
    if not complete and of_any.any():
        yield of_any, split.common, slice(None)
    for model in range(split.known.shape[1]):
        known, own = np.asarray(split.known[:, model]), split.own[:, model]
        if known.any():
            yield known, split.common + own if complete else own, slice(model, model + 1)


class _Smoother:
    """Kernel ridge regression of any targets on some queries; all coefficients belong to the same support vectors.

    The support vectors are all queries, or `Settings.landmarks` of them where more are distinct.
    """

    def __init__(self, features: Matrix, settings: Settings) -> None:
        chosen = landmarks(features, settings.landmarks, settings.seed)
        are_some = len(chosen) == settings.landmarks < len(features)
        self._landmarks = Landmarks(chosen, settings.gamma) if are_some else None
        if self._landmarks is None:
            self.support_vectors, self._kernel = features, rbf_kernel(features, gamma=settings.gamma)
        else:
            self.support_vectors, self._mapped = self._landmarks.rows, self._landmarks.mapped(features)

    def __call__(self, known: Mask, targets: Matrix, ridges: Sequence[float]) -> Matrix:
        """Fit targets, (n, t), on a mask of known queries, (n,): coefficients, (n_ridges, s, t)."""
        if self._landmarks is None:
            dual_coef = np.zeros((len(ridges), len(known), targets.shape[1]))
            dual_coef[:, known] = _solutions(self._kernel[np.ix_(known, known)], targets[known], ridges)
            return dual_coef
        mapped = self._mapped[known]
        return self._landmarks.of_kernels(_solutions(mapped.T @ mapped, mapped.T @ targets[known], ridges))


def _solutions(matrix: Matrix, targets: Matrix, ridges: Sequence[float]) -> Matrix:
    """Solve ``(matrix + ridge I) x = targets``, (s, s) and (s, t), for each ridge: (n_ridges, s, t).

    This is kernel ridge regression if the matrix is a kernel, and Ridge if it holds the products of its features.
    """
    solver = KernelRidge(kernel="precomputed")
    return np.stack([solver.set_params(alpha=ridge).fit(matrix, targets).dual_coef_ for ridge in ridges])
