"""Kernels by landmarks, and ridge regression of answers in one solve: a part that models share, and a part of each.

A log has one answer a question. The parts of a question that its models share and that are their own cannot be told
apart there question by question, as `modelpick.runtime.decision.shrinkage` does; a kernel ``k(x, x') (shared + (1 -
shared) [same model])`` over all answers tells them apart by questions that are alike. Source of kernels by landmarks:
C. Williams, M. Seeger, Using the Nyström Method to Speed Up Kernel Machines, NIPS 2000; of kernels over models: T.
Evgeniou, C. Micchelli, M. Pontil, Learning Multiple Tasks with Kernel Methods, JMLR 6, 2005.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from sklearn.kernel_approximation import Nystroem

from modelpick.runtime.decision.shrinkage import OWN

from ..formats.distinct import row_groups

Matrix = npt.NDArray[np.float64]
# Number of rows that are mapped at once.
AT_ONCE = 4_096
# Share of the kernel that models have in common. Of 0.3, 0.5, 0.6 and 0.9 it predicted logs best, see benchmarks.
SHARED = 0.5
# Least penalty: below it, answers to nearly equal questions contradict one another by roundings.
LEAST_RIDGE = 1e-12
# Most weight of an answer, in answers: more would let one answer bend all predictions around it.
MOST_WEIGHT = 10.0


def landmarks(features: Matrix, most: int, seed: int) -> Matrix:
    """Draw distinct rows of features, (n, d): at most ``most`` of them, all where there are no more."""
    distinct = np.unique(row_groups(features), return_index=True)[1]
    drawn = np.random.default_rng(seed).permutation(distinct)[:most] if len(distinct) > most else distinct
    found: Matrix = features[np.sort(drawn)]
    return found


class Landmarks:
    """Features whose products approximate a Gaussian kernel; equal to it where all distinct rows are landmarks."""

    def __init__(self, chosen: Matrix, gamma: float) -> None:
        self._nystroem = Nystroem(gamma=gamma, n_components=len(chosen), random_state=0).fit(chosen)
        self.rows: Matrix = self._nystroem.components_

    def mapped(self, features: Matrix) -> Matrix:
        """Map features, (n, d), to (n, n_landmarks)."""
        found: Matrix = np.empty((len(features), len(self.rows)))
        for first in range(0, len(features), AT_ONCE):  # kernels of all rows would take as much memory again, and more
            found[first : first + AT_ONCE] = self._nystroem.transform(features[first : first + AT_ONCE])
        return found

    def of_kernels(self, of_mapped: Matrix) -> Matrix:
        """Turn coefficients of mapped features, (..., n_landmarks, t), into coefficients of kernels with landmarks."""
        found: Matrix = self._nystroem.normalization_.T @ of_mapped
        return found


def stabilised(known: npt.NDArray[np.bool_], propensity: Matrix) -> Matrix:
    """Weigh answers so that each model's answers stand for all questions, not only for the questions it was given.

    ``share of the model / propensity``, up to `MOST_WEIGHT`; 1 where the propensity is unknown, and 0 where there is no
    answer. Where the log's policy does not look at the question, all weights are about 1. Source: J. Robins, M. Hernán,
    B. Brumback, Marginal Structural Models and Causal Inference in Epidemiology, Epidemiology 11, 2000.

    Parameters
    ----------
    known, propensity
        Which answers were recorded, and their propensities, NaN where unknown: shape (n_queries, n_models).
    """
    weights = np.where(np.isnan(propensity), 1.0, np.minimum(known.mean(axis=0) / propensity, MOST_WEIGHT))
    return np.where(known, weights, 0.0)


def drawn_means(values: Matrix, weights: Matrix) -> Matrix:
    """Return weighted means of models, drawn to the mean of all answers as by `OWN` answers more; (n_models,).

    Parameters
    ----------
    values, weights
        Shape (n_queries, n_models); values count where weights are above 0.
    """
    sums, totals = (weights * np.where(weights > 0, values, 0.0)).sum(axis=0), weights.sum(axis=0)
    means: Matrix = (sums + OWN * sums.sum() / totals.sum()) / (totals + OWN)
    return means


class Regression(NamedTuple):
    """Outcomes that mapped features predict: ``intercept + mapped @ coefficients``."""

    intercept: Matrix
    """`drawn_means`, shape (n_kinds, n_models); NaN for kinds without answers."""
    coefficients: Matrix
    """Shape (n_landmarks, n_kinds, n_models)."""

    def __call__(self, mapped: Matrix) -> Matrix:
        """Predict for mapped features, (b, n_landmarks): (b, n_kinds, n_models)."""
        flat = mapped @ self.coefficients.reshape(len(self.coefficients), -1)
        return self.intercept + flat.reshape(-1, *self.intercept.shape)


def regressed(mapped: Matrix, outcomes: Matrix, propensity: Matrix, ridge: float) -> Regression:
    """Regress outcomes of answers on mapped features, each kind on the answers of which it is known: `shared_ridge`.

    Parameters
    ----------
    mapped
        Shape (n_queries, n_landmarks).
    outcomes
        Shape (n_queries, n_kinds, n_models), NaN where unknown.
    propensity
        Shape (n_queries, n_models), NaN where unknown; see `stabilised`.
    """
    known = ~np.isnan(outcomes)
    intercept = np.full(outcomes.shape[1:], np.nan)
    coefficients = np.zeros((mapped.shape[1], *outcomes.shape[1:]))
    alike: dict[bytes, list[int]] = {}
    for kind in range(outcomes.shape[1]):
        if known[:, kind].any():
            alike.setdefault(known[:, kind].tobytes(), []).append(kind)
    for kinds in alike.values():
        weights = stabilised(known[:, kinds[0]], propensity)
        intercept[kinds] = [drawn_means(outcomes[:, kind], weights) for kind in kinds]
        rest = np.moveaxis(outcomes[:, kinds] - intercept[kinds], 1, 0)
        coefficients[:, kinds] = shared_ridge(mapped, rest, weights, ridge)
    return Regression(intercept, coefficients)


def shared_ridge(mapped: Matrix, targets: Matrix, weights: Matrix, ridge: float, shared: float = SHARED) -> Matrix:
    """Regress answers on mapped features by ridge, with a part that models share and a part of each model.

    Minimises ``sum_im weights_im (target_im - x_i (u + v_m))^2 + ridge (|u|^2 / shared + sum_m |v_m|^2 / (1 -
    shared))``. This is kernel ridge regression over answers with the module's kernel. The answers of each model are
    eliminated first, so that the largest matrix has as many rows as there are landmarks.

    Parameters
    ----------
    mapped
        Shape (n_queries, n_landmarks).
    targets
        Shape (t, n_queries, n_models); they count where weights are above 0.
    weights
        Shape (n_queries, n_models).
    shared
        Above 0, and at most 1.

    Returns
    -------
    ndarray of float64, shape (n_landmarks, t, n_models)
        ``u + v_m``.
    """
    width, n_targets = mapped.shape[1], len(targets)
    normal, right, parts = np.eye(width) / shared, np.zeros((width, n_targets)), []
    numbers = row_groups(weights.T)
    for number in range(numbers.max() + 1):  # models of the same answers and weights take one solve
        models = np.flatnonzero(numbers == number)
        known = np.flatnonzero(weights[:, models[0]] > 0)
        scales = np.sqrt(weights[known, models[0]])[:, None]
        answers = np.moveaxis(targets[:, known][:, :, models], 1, 0).reshape(len(known), n_targets * len(models))
        rows, values = scales * mapped[known], scales * answers
        if len(rows) > width:  # as many equations say the same
            rows, values = np.hsplit(np.linalg.qr(np.hstack([rows, values]), mode="r")[:width], [width])
        gram = (1 - shared) * rows @ rows.T + max(ridge, LEAST_RIDGE) * np.eye(len(rows))
        solved = np.linalg.solve(gram, np.hstack([rows, values]))
        of_rows, of_models = solved[:, :width], solved[:, width:].reshape(len(rows), n_targets, len(models))
        normal += len(models) * rows.T @ of_rows
        right += rows.T @ of_models.sum(axis=2)
        parts.append((models, rows, of_rows, of_models))
    common = np.linalg.solve(normal, right)
    found = np.empty((width, n_targets, weights.shape[1]))
    for models, rows, of_rows, of_models in parts:
        own = np.tensordot(rows.T, of_models - (of_rows @ common)[:, :, None], axes=1)
        found[:, :, models] = common[:, :, None] + (1 - shared) * own
    return found
