"""Tuning: settings by cross-validation over queries, and which algorithm to take."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from threadpoolctl import threadpool_limits

from modelpick.runtime import DocumentError

from ..algorithms.row import AnyRow
from ..formats.outcomes import Benchmark, Matrix, Settings, Training, mean
from ..statistics.bootstrap import FEWEST, Estimate, estimated_mean, ratio, resampled, with_known
from ..statistics.folds import splits
from .crossvalidation import (
    Sweep,
    best_single,
    judged,
    learnable,
    objective_of,
    objectives_of,
    outcomes_of,
    swept,
)
from .train import TRAINED, row_of

Vector = npt.NDArray[np.float64]
# Standard errors of a mean loss above which it is sure.
LOSING = 2.0


class Tried(NamedTuple):
    """A setting, and what it achieved on queries that it was not trained on."""

    settings: Settings
    score: float
    """Mean utility of the picks by the user's weights, or, without them, over the objectives of `objectives_of`."""
    error: float
    """Mean squared error of the predicted differences of utilities between models, see `difference_errors`; NaN where
    outcomes are not predicted."""
    quality: float
    """Mean quality of the picks by the first objective: without a weight of cost, or by the user's weights."""
    is_best: bool


def tune(
    training: Training, algorithm: str | AnyRow, done: Callable[[int, int], None] = lambda done, total: None
) -> list[Tried]:
    """Cross-validate all settings of an algorithm over queries: no query is on both sides of a fold.

    The score is the mean utility of the picks: by the user's weights; or, where outcomes are predicted, costs are
    recorded and there are no weights, the mean over many weights of cost, from none to those that pick the cheapest. It
    is noisy, since a pick counts only where models differ. A setting surely loses to the one of the highest score where
    its mean loss, question by question, is above two standard errors of this mean. Of the other settings the one is
    chosen that predicts the differences between models with the least squared error; of those that predict alike, the
    one of the most evidence that loses at most one standard error to the highest of them. What predicts nothing has the
    highest score. Settings that cost more time, such as kernel ridge with all queries as support vectors, are tried
    after the others and chosen by the same rule. The rule is the one-SE rule of L. Breiman et al., Classification and
    Regression Trees, 1984, with paired losses, and two standard errors in the place of one. Deterministic. ``done`` is
    called as by `swept`, for the grid and for the settings after it.

    Raises
    ------
    DocumentError
        When there are fewer than two queries, or a weighted outcome is in no record.
    """
    row = row_of(algorithm)
    assert row.grid is not None
    by = judged(training)
    benchmark = by.benchmark
    parts = splits(training.features, training.settings.seed)
    least = min(len(learned) for learned, _ in parts)
    grid = [settings for settings in row.grid(training.settings) if _fits(settings, training.settings, least)]
    objectives = objectives_of(training, row, by)
    sweeps = swept(training, row, grid, objectives, done, by=benchmark)
    if row.costlier is not None:
        best = sweeps[_best(sweeps, _utilities(sweeps, benchmark))].settings
        more, first = row.costlier(best, training), len(grid) * len(parts)
        if more:
            sweeps += swept(
                training, row, more, objectives, lambda trial, trials: done(first + trial, first + trials), by=benchmark
            )
    utility = _utilities(sweeps, benchmark)
    best_place = _best(sweeps, utility)
    return [
        Tried(
            sweep.settings,
            _mean(utility[place]),
            mean(sweep.errors),
            _mean(outcomes_of(sweep.picks[:1], benchmark.quality)[0]),
            place == best_place,
        )
        for place, sweep in enumerate(sweeps)
    ]


def best_settings(found: Sequence[Tried]) -> Settings:
    """Return the settings that tuning chose."""
    return next(tried.settings for tried in found if tried.is_best)


def _fits(settings: Settings, given: Settings, queries: int) -> bool:
    """Whether there are enough queries for the neighbours and clusters of a setting; the user's are always tried."""
    return (settings.k <= queries or settings.k == given.k) and (
        settings.clusters <= queries or settings.clusters == given.clusters
    )


def _mean(values: Vector) -> float:
    known = values[~np.isnan(values)]
    return float(known.mean()) if known.size else -np.inf


def _utilities(sweeps: Sequence[Sweep], benchmark: Benchmark) -> Matrix:
    """Return the mean utility of picks over the objectives, (n_settings, n_queries); NaN where none is known."""
    total, counts = (np.zeros((len(sweeps), len(benchmark.queries))) for _ in range(2))
    for column, objective in enumerate(sweeps[0].objectives):
        utility = outcomes_of(np.stack([sweep.picks[column] for sweep in sweeps]), benchmark.utilities(objective))
        total += np.nan_to_num(utility)
        counts += ~np.isnan(utility)
    return ratio(total, counts)


def _best(sweeps: Sequence[Sweep], utility: Matrix) -> int:
    """Return the place of the setting that is taken, by `tune`: utilities are (n_settings, n_queries)."""
    scores, wrong = [_mean(of_setting) for of_setting in utility], [mean(sweep.errors) for sweep in sweeps]
    near = _near(utility, range(len(sweeps)), LOSING)
    least = min(np.nan_to_num(wrong[place]) for place in near)
    equal = [place for place in near if np.nan_to_num(wrong[place]) == least]
    return max(_near(utility, equal, 1.0), key=lambda place: (sweeps[place].settings.evidence, scores[place]))


def _near(utility: Matrix, places: Sequence[int], errors: float) -> list[int]:
    """Return the places whose mean loss to the highest mean of them is at most some of its standard errors."""
    highest = max(places, key=lambda place: _mean(utility[place]))
    losses = {place: utility[highest] - utility[place] for place in places}
    return [
        place
        for place, loss in losses.items()
        if place == highest or -np.inf < _mean(loss) <= errors * _standard_error(loss)
    ]


def _standard_error(values: Vector) -> float:
    """Return the standard error of a mean, NaN where unknown; 0 for fewer than two values."""
    known = values[~np.isnan(values)]
    return float(known.std(ddof=1) / np.sqrt(len(known))) if len(known) >= FEWEST else 0.0


class Compared(NamedTuple):
    """What an algorithm achieves on held-out queries, tuned on the training queries of each fold alone."""

    row: AnyRow
    quality: float
    """Mean quality of the picks."""
    utility: float
    """Mean utility of the picks, by the user's weights."""
    over_single: Estimate
    """Mean utility minus that of always calling the best single model of each fold's training queries, paired."""


def _tuned(training: Training, row: AnyRow) -> Settings:
    """Return the best settings; the only setting of a grid is not tried."""
    assert row.grid is not None
    grid = row.grid(training.settings)
    return grid[0] if len(grid) == 1 else best_settings(tune(training, row))


def compare(
    training: Training,
    algorithms: Sequence[str | AnyRow] = TRAINED,
    done: Callable[[int, int], None] = lambda done, total: None,
) -> list[Compared]:
    """Compare algorithms by nested cross-validation, by utility, the best first.

    ``done`` is called with the number of finished tunings, one for each algorithm and fold, and of all tunings.

    Parameters
    ----------
    algorithms
        Names or rows, as `train` takes them.

    Raises
    ------
    DocumentError
        When there are fewer than three queries, or a weighted outcome is in no record.
    """
    candidates = [row_of(algorithm) for algorithm in algorithms]
    n, by, objective = len(training.features), judged(training), objective_of(training)
    benchmark, utility, of_singles = by.benchmark, by.benchmark.utilities(objective), by.singles.utilities(objective)
    if n < 3:
        raise DocumentError(f"expected three queries or more to compare algorithms, got {n}")
    parts = splits(training.features, training.settings.seed)
    picks = np.zeros((1 + len(candidates), n), dtype=np.int64)
    for number, (learned, held_out) in enumerate(parts):
        inner = training.of(learned)
        picks[0, held_out] = best_single(of_singles[learned], by.errors)
        for place, row in enumerate(candidates, 1):
            settings = _tuned(inner, row)
            with threadpool_limits(1):
                (trial,) = row.trials(learnable(inner, row), training.features[held_out], [settings])
                picks[place, held_out] = trial.pick(objective)
            done(number * len(candidates) + place, len(parts) * len(candidates))
    single, *found = outcomes_of(picks, utility)
    qualities = outcomes_of(picks[1:], benchmark.quality)
    gains = resampled((with_known({"gain": got - single}) for got in found), training.settings.seed)
    compared = [
        Compared(row, _mean(quality), _mean(got), estimated_mean(gain, "gain"))
        for row, quality, got, gain in zip(candidates, qualities, found, gains, strict=True)
    ]
    return sorted(compared, key=lambda one: -np.nan_to_num(one.over_single.value, nan=-np.inf))
