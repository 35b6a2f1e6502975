"""The rows of kernel ridge regression: one kernel predicts the outcomes of every model, and the best utility wins.

All models share the support vectors: the training queries, or a sample of them, the landmarks.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.metrics.pairwise import euclidean_distances

from modelpick.runtime import DocumentError
from modelpick.runtime.decision.objective import Objective, choose, floored, utilities
from modelpick.runtime.decision.outcomes import COST, QUALITY
from modelpick.runtime.schema import Entry, Output
from modelpick.runtime.search.distances import directions

from ...formats.outcomes import Settings, Training
from ...graphs.kernel import square_errors
from ..base import Matrix
from ..outcomes import describe_outcomes, known_outcomes
from ..row import TOLERANCE, Answer, Expected, Explanation, Held, Probes, Row, Trial, WholeGraph, evenly_spaced
from .estimators import KernelRidgeModelSelector
from .forms import KernelRidgeForm, load, outcome_fields
from .graph import add_graph, expands, outputs_of
from .training import LANDMARKS, fit_ridges, with_model

# Widths of the kernel, and penalties, that tuning tries; and the most queries that it tries as support vectors, all.
GAMMAS, RIDGES, MOST_EXACT = (0.5, 1.0, 2.0, 4.0), (1.0, 2.0, 4.0, 8.0, 16.0), 6_000


def _describe(estimator: KernelRidgeModelSelector) -> dict[str, Any]:
    count, width = estimator.support_vectors_.shape
    return {
        Entry.CHOICES: list(estimator.classes_),
        Entry.ROWS: count,
        Entry.K: 0,
        Entry.TIE_RULE: "utility, then cost, then model",
        Entry.VALUES_PER_QUERY: count + width if expands(estimator) else count * width,
        **describe_outcomes(estimator, estimator.intercept_),
    }


def _expect(
    estimator: KernelRidgeModelSelector, queries: Matrix, explained: Sequence[Explanation]
) -> Iterator[Expected]:
    names, nothing = estimator.classes_, np.empty(0)
    for why, outcomes in zip(explained, estimator.predict_outcomes(queries), strict=True):
        found, expected = known_outcomes(why, names, outcomes)
        close = outcomes[QUALITY] >= outcomes[QUALITY].max() - TOLERANCE
        yield Expected(Answer(found, nothing), Answer(expected, nothing), set(names[close]), bool(close.sum() > 1))


def _hold(estimator: KernelRidgeModelSelector, queries: Matrix, ask: WholeGraph) -> Iterator[Held]:
    (found,) = ask((Output.OUTCOME,), queries)
    expected = estimator.predict_outcomes(queries)
    yield Held(Output.OUTCOME, floored(found.reshape(expected.shape), estimator.least_price), expected)
    if estimator.gamma > 0:
        (found,) = ask((Output.DISTANCE,), queries)
        nearest = euclidean_distances(directions(queries), estimator.support_vectors_).min(axis=1, keepdims=True)
        within = np.abs(found**2 - nearest**2) <= square_errors(estimator.support_vectors_).max() + TOLERANCE
        yield Held(Output.DISTANCE, found, np.where(within, found, nearest))


def _distances(estimator: KernelRidgeModelSelector) -> Matrix:
    """Return distances from some distinct support vectors to all others, (s, n)."""
    vectors = np.unique(estimator.support_vectors_, axis=0)
    sample = evenly_spaced(len(vectors))
    distances: Matrix = euclidean_distances(vectors[sample], vectors)
    distances[np.arange(len(sample)), sample] = np.inf
    return distances if estimator.gamma > 0 else np.full_like(distances, np.inf)


def _fit(training: Training) -> KernelRidgeModelSelector:
    (estimator,) = fit_ridges(training, [training.settings.ridge])
    return estimator


def _write(estimator: KernelRidgeModelSelector, training: Training) -> dict[str, Any]:
    """Return the fields of a file.

    Raises
    ------
    DocumentError
        When float64 does not hold the predictions.
    """
    _check_digits(estimator, training.settings.ridge)
    return {
        "format_version": 2,
        "model_names": training.benchmark.model_names,
        "gamma": training.settings.gamma,
        "ridge": training.settings.ridge,
        "support_vectors": estimator.support_vectors_.tolist(),
        "outcomes": outcome_fields(estimator),
        "default": estimator.default_,
    }


def _add(estimator: KernelRidgeModelSelector, fields: dict[str, Any], training: Training) -> dict[str, Any]:
    """Return the fields of a file with one more model.

    Raises
    ------
    DocumentError
        When the file predicts a kind of outcome that the new model has no records of, or float64 does not hold the
        predictions.
    """
    ridge = float(fields.get("ridge") or Settings().ridge)
    more = with_model(estimator, training, ridge)
    _check_digits(more, ridge)
    return fields | {
        "model_names": list(more.classes_),
        "outcomes": outcome_fields(more),
        "default": more.default_,
    }


def _check_digits(estimator: KernelRidgeModelSelector, ridge: float) -> None:
    """Refuse a penalty whose predictions float64 does not hold.

    The kernel of nearly equal queries is nearly singular: with a small penalty, large coefficients cancel. The error of
    a sum of kernels, each at most 1, is a few units in the last place of ``sum |dual_coef|``.
    """
    error = np.abs(estimator.dual_coef_).sum(axis=0) * 2.0**-50 / np.fmax(np.abs(estimator.intercept_), 1.0)
    if error.max() > TOLERANCE:
        enough = 10.0 ** np.ceil(np.log10(max(ridge, 2.0**-50) * error.max() / TOLERANCE))
        raise DocumentError(
            f"ridge: expected about {enough:g} or more, got {ridge:g}: the queries are nearly equal, and float64 "
            f"predicts them with an error of {error.max():.0e}"
        )


def _grid(settings: Settings) -> list[Settings]:
    pairs = ((ridge, gamma) for ridge in sorted(RIDGES, reverse=True) for gamma in sorted(GAMMAS))
    return [settings._replace(gamma=gamma, ridge=ridge) for ridge, gamma in pairs]


def _exact(settings: Settings, training: Training) -> list[Settings]:
    queries = len(training.features)
    is_tried = settings.landmarks is None and LANDMARKS < queries <= MOST_EXACT and not training.benchmark.is_sparse
    return [settings._replace(landmarks=queries)] if is_tried else []


def _trials(training: Training, held_out: Matrix, grid: Sequence[Settings]) -> Iterator[Trial]:
    """Evaluate the kernel of the training queries once for each gamma."""
    for gamma in dict.fromkeys(settings.gamma for settings in grid):
        tried = [settings for settings in grid if settings.gamma == gamma]
        estimators = fit_ridges(training._replace(settings=tried[0]), [settings.ridge for settings in tried])
        for settings, estimator in zip(tried, estimators, strict=True):
            predicted = estimator.predict_outcomes(held_out)
            yield Trial(settings, partial(_pick, predicted), predicted)


def _pick(predicted: Matrix, objective: Objective) -> npt.NDArray[np.int64]:
    return choose(utilities(predicted, objective), predicted[:, COST])


_NEWEST = Row(
    algorithm="kernel_ridge",
    semantics="native/2",
    form=KernelRidgeForm,
    load=load,
    estimator=KernelRidgeModelSelector,
    outputs=outputs_of,
    graph=add_graph,
    describe=_describe,
    stored_rows=lambda estimator: list(range(len(estimator.support_vectors_))),
    probes=lambda estimator: Probes(estimator.support_vectors_, np.arange(len(estimator.support_vectors_))),
    expect=_expect,
    hold=_hold,
    distances=_distances,
    fit=_fit,
    write=_write,
    add=_add,
    grid=_grid,
    costlier=_exact,
    shared_trials=_trials,
    settings=frozenset({"gamma", "ridge", "landmarks"}),
    predicts=True,
    by_direction=True,
)
# Rows of earlier semantics answer as before, but are not trained any more.
ROWS = (
    replace(
        _NEWEST, semantics="native/1", fit=None, write=None, add=None, grid=None, costlier=None, shared_trials=None
    ),
    _NEWEST,
)
