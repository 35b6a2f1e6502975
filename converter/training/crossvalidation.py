"""Cross-validation over queries: picks by models of each setting for queries that they were not trained on."""

from collections.abc import Callable, Sequence
from statistics import NormalDist
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from threadpoolctl import threadpool_limits

from modelpick.runtime import Objective
from modelpick.runtime.decision.objective import utilities
from modelpick.runtime.decision.outcomes import QUALITY

from ..algorithms.row import AnyRow
from ..formats.outcomes import Benchmark, Matrix, Settings, Training
from ..statistics.estimation import ASSUMED, carried, doubly_robust, estimated
from ..statistics.folds import splits
from ..statistics.landmarks import stabilised

# Cost weights to try, a quarter of an octave apart, in units of quality per mean cost of the best single model, so that
# neither the currency nor the length of prompts matters. Beyond the last, nearly all picks are the cheapest model.
WEIGHTS = (0.0, *(2.0 ** (step / 4) for step in range(-28, 5)))
# Confidence of what a point promises to keep, one-sided: of selectors trained again and again, this share keeps it; and
# by how many standard errors the lower end of such an interval is below the mean.
PROMISED = 0.8
SURE = NormalDist().inv_cdf(PROMISED)
Picks = npt.NDArray[np.int64]
Vector = npt.NDArray[np.float64]


class Sweep(NamedTuple):
    """Picks of one setting by each objective."""

    settings: Settings
    objectives: list[Objective]
    picks: Picks
    """Models of the benchmark, int64, shape (n_objectives, n_queries)."""
    errors: Vector
    """`difference_errors` by the first objective, shape (n_queries,); NaN where nothing is predicted or judged."""


class Judged(NamedTuple):
    """The outcomes that picks for training queries are judged by."""

    benchmark: Benchmark
    """The records, or, for a log, the estimates."""
    singles: Benchmark
    """The outcomes without models of which a log holds too few answers."""
    errors: float
    """Standard errors that the mean of a single model loses where the best is named, see `best_single`."""
    confounded: bool
    """Whether a log does not tell what any picks but its own achieve."""


def judged(training: Training) -> Judged:
    """Return the outcomes that picks are judged by."""
    if not training.benchmark.is_log:
        return Judged(training.benchmark, training.benchmark, 0.0, confounded=False)
    estimation = estimated(training.benchmark, training.settings.seed, training.features)
    return Judged(estimation.benchmark, carried(estimation), SURE, estimation.estimator == ASSUMED)


def learnable(training: Training, row: AnyRow) -> Training:
    """Prepare the answers of a log for rows that do not weigh them by themselves.

    Rows that take means of qualities get each quality r moved to ``q + w (r - q)``, q being predicted from other
    questions and w the answer's weight, see `stabilised`: means of these stand for all questions, not only for those
    that a model was given. Where the log's policy does not look at the question, w is 1. Rows that learn which model is
    best get an estimate of the worth of every model, since of one answer a question, none is better than the others.
    Source: M. Dudík, J. Langford, L. Li, Doubly Robust Policy Evaluation and Learning, ICML 2011, section 3.
    """
    benchmark = training.benchmark
    if not benchmark.is_log or (row.predicts and not row.averages):
        return training
    seed, features = training.settings.seed, training.features
    if row.averages:
        known, recorded = ~np.isnan(benchmark.quality), benchmark.recorded.copy()
        predicted = estimated(benchmark, seed, features).predicted[:, QUALITY]
        moved = doubly_robust(benchmark.quality, stabilised(known, benchmark.propensity), predicted)
        recorded[:, QUALITY] = np.where(known, moved, np.nan)
        return training._replace(benchmark=benchmark._replace(recorded=recorded))
    known = np.isfinite(training.weights)
    recorded = np.full_like(benchmark.recorded, np.nan)
    recorded[:, QUALITY] = np.where(known, training.weights, np.nan)
    log = benchmark._replace(recorded=recorded, failures=np.where(known, 0.0, np.nan))
    worth = estimated(log, seed, features).benchmark.quality
    return training._replace(weights=np.where(np.isnan(worth), -np.inf, worth))


def objective_of(training: Training) -> Objective:
    """Return the user's objective.

    Raises
    ------
    DocumentError
        When it weighs an outcome that no record has.
    """
    objective = training.settings.objective
    training.benchmark.known_utilities(objective)
    return objective


def objectives_of(training: Training, row: AnyRow, by: Judged) -> list[Objective]:
    """Return the objectives that a setting is judged by: the user's, or without one all of `weighted`."""
    objective = objective_of(training)
    return weighted(training, by) if row.predicts and objective == Objective() else [objective]


def weighted(training: Training, by: Judged) -> list[Objective]:
    """Return objectives of each of `WEIGHTS` with the user's other weights; without costs, the user's weights alone."""
    given = training.settings.objective.keywords()
    costs = by.singles.cost[:, best_single(by.singles.quality, by.errors)]
    unit = 0.0 if np.isnan(costs).all() else float(np.nanmean(costs))
    if not unit > 0:
        return [Objective(**given | {"cost_weight": 0.0})]
    return [Objective(**given | {"cost_weight": weight / unit}) for weight in WEIGHTS]


def best_single(utility: Matrix, errors: float = 0.0) -> int:
    """Return the model of the highest mean known quality, or utility, (n_queries, n_models).

    A log tells little of a model that it seldom asked: of several such models, the best seems better than it is. There
    a mean counts less by some of its standard ``errors``.
    """
    known = ~np.isnan(utility)
    counts = np.maximum(known.sum(axis=0), 1)
    means = np.where(known, utility, 0.0).sum(axis=0) / counts
    if errors:
        squares = np.where(known, utility - means, 0.0) ** 2
        means = means - errors * np.sqrt(squares.sum(axis=0)) / counts
    return int(np.where(known.any(axis=0), means, -np.inf).argmax())


def swept(
    training: Training,
    row: AnyRow,
    grid: Sequence[Settings],
    objectives: Sequence[Objective],
    done: Callable[[int, int], None] = lambda done, total: None,
    *,
    by: Benchmark | None = None,
) -> list[Sweep]:
    """Pick for each query by each setting, trained on the other folds: no query is on both sides.

    ``done`` is called with the number of finished trials, one for each setting and fold, and of all trials. Predictions
    are judged ``by`` outcomes of the queries.
    """
    n = len(training.features)
    outcomes = None if by is None else by.outcomes()
    parts = splits(training.features, training.settings.seed)
    picks = np.zeros((len(grid), len(objectives), n), dtype=np.int64)
    errors = np.full((len(grid), n), np.nan)
    places = {settings: place for place, settings in enumerate(grid)}
    with threadpool_limits(1):
        for number, (learned, held_out) in enumerate(parts):
            trials = row.trials(learnable(training.of(learned), row), training.features[held_out], grid)
            for place, trial in enumerate(trials, 1):
                for column, objective in enumerate(objectives):
                    picks[places[trial.settings], column, held_out] = trial.pick(objective)
                if outcomes is not None and trial.predicted is not None:
                    wrong = difference_errors(trial.predicted, outcomes[held_out], objectives[0])
                    errors[places[trial.settings], held_out] = wrong
                done(number * len(grid) + place, len(parts) * len(grid))
    return [Sweep(settings, list(objectives), picks[place], errors[place]) for place, settings in enumerate(grid)]


def difference_errors(predicted: Matrix, outcomes: Matrix, objective: Objective) -> Vector:
    """Return the squared error of the predicted differences of utilities between models, (n_queries,).

    A pick depends on differences alone: whether a query is hard for all models does not matter. The error of a query is
    the variance of prediction minus outcome over the models whose utility is known; NaN where fewer than two are.

    Parameters
    ----------
    predicted, outcomes
        Float64, shape (n_queries, n_kinds, n_models), NaN where unknown.
    """
    residuals = utilities(predicted - outcomes, objective)
    known = ~np.isnan(residuals)
    counts = known.sum(axis=1, keepdims=True)
    means = np.where(known, residuals, 0.0).sum(axis=1, keepdims=True) / np.maximum(counts, 1)
    squares = np.where(known, residuals - means, 0.0) ** 2
    errors: Vector = np.where(counts[:, 0] > 1, squares.sum(axis=1) / np.maximum(counts[:, 0], 1), np.nan)
    return errors


def outcomes_of(picks: Picks, values: Matrix) -> Matrix:
    """Return the outcomes of picks, (p, n_queries) of (n_queries, n_models): (p, n_queries), NaN where unknown."""
    found: Matrix = values[np.arange(len(values)), picks]
    return found
