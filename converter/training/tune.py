"""Tuning: settings by cross-validation over queries, and which algorithm to take."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from threadpoolctl import threadpool_limits

from modelpick.runtime import DocumentError

from ..algorithms.row import AnyRow
from ..formats.outcomes import Benchmark, Settings, Training
from ..statistics.bootstrap import FEWEST, Estimate, estimated_mean, resampled, with_known
from ..statistics.folds import splits
from ..statistics.frontier import aiq
from .crossvalidation import Sweep, best_single, judged, objective_of, objectives_of, outcomes_of, swept
from .train import TRAINED, row_of

Vector = npt.NDArray[np.float64]


class Tried(NamedTuple):
    """A setting, and what it achieved on queries that it was not trained on."""

    settings: Settings
    score: float
    """The score to maximise, see `tune`."""
    quality: float
    """Mean quality of the picks by the first objective: without a weight of cost, or by the user's weights."""
    is_best: bool


def tune(
    training: Training, algorithm: str | AnyRow, done: Callable[[int, int], None] = lambda done, total: None
) -> list[Tried]:
    """Cross-validate all settings of an algorithm over queries: no query is on both sides of a fold.

    Where outcomes are predicted, costs are recorded and the user gave no weights, the score is the area under the
    cost-quality frontier, RouterBench's AIQ, between the costs of the cheapest and of the best single model. Otherwise
    it is the mean utility by the user's weights, which is the quality without weights. Where the score is a mean and
    evidence is among the settings, the setting of the most evidence is chosen whose score is within a paired standard
    error of the highest: the one-SE rule of L. Breiman et al., Classification and Regression Trees, 1984.
    Deterministic. ``done`` is called as by `swept`.

    Raises
    ------
    DocumentError
        When there are fewer than two queries, or a weighted outcome is in no record.
    """
    row = row_of(algorithm)
    assert row.grid is not None
    benchmark = judged(training).benchmark
    least = min(len(learned) for learned, _ in splits(training.features, training.settings.seed))
    grid = [settings for settings in row.grid(training.settings) if _fits(settings, training.settings, least)]
    objectives = objectives_of(training, row)
    sweeps = swept(training, row, grid, objectives, done)
    scores = [_score(sweep, benchmark) for sweep in sweeps]
    best = int(np.argmax(scores))
    if len(objectives) == 1:
        best = _cautious(sweeps, benchmark, best)
    return [
        Tried(sweep.settings, score, _mean(outcomes_of(sweep.picks[:1], benchmark.quality)[0]), place == best)
        for place, (sweep, score) in enumerate(zip(sweeps, scores, strict=True))
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


def _score(sweep: Sweep, benchmark: Benchmark) -> float:
    if len(sweep.objectives) == 1:
        return _mean(_utility(sweep, benchmark))
    single, costs = best_single(benchmark.quality), [_mean(column) for column in benchmark.cost.T]
    known = [cost for cost in costs if np.isfinite(cost)]
    quality, cost = (outcomes_of(sweep.picks, values) for values in (benchmark.quality, benchmark.cost))
    points = np.array([(_mean(c), _mean(q)) for c, q in zip(cost, quality, strict=True)])
    area = aiq(points[:, 0], points[:, 1], min(known), costs[single])
    return area if np.isfinite(area) else float(points[0, 1])


def _utility(sweep: Sweep, benchmark: Benchmark) -> Vector:
    (objective,) = sweep.objectives
    (utility,) = outcomes_of(sweep.picks, benchmark.utilities(objective))
    found: Vector = utility
    return found


def _cautious(sweeps: list[Sweep], benchmark: Benchmark, best: int) -> int:
    """Return the setting of the most evidence, then the most neighbours, within a standard error of the best."""
    if len({sweep.settings.evidence for sweep in sweeps}) == 1:
        return best
    highest, near = _utility(sweeps[best], benchmark), [best]
    for place, sweep in enumerate(sweeps):
        loss = highest - _utility(sweep, benchmark)
        loss = loss[~np.isnan(loss)]
        if len(loss) >= FEWEST and loss.mean() <= loss.std(ddof=1) / np.sqrt(len(loss)):
            near.append(place)
    return max(near, key=lambda place: (sweeps[place].settings.evidence, sweeps[place].settings.k))


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
    n, benchmark, objective = len(training.features), judged(training).benchmark, objective_of(training)
    utility = benchmark.utilities(objective)
    if n < 3:
        raise DocumentError(f"expected three queries or more to compare algorithms, got {n}")
    parts = splits(training.features, training.settings.seed)
    picks = np.zeros((1 + len(candidates), n), dtype=np.int64)
    for number, (learned, held_out) in enumerate(parts):
        inner = training.of(learned)
        picks[0, held_out] = best_single(utility[learned])
        for place, row in enumerate(candidates, 1):
            settings = _tuned(inner, row)
            with threadpool_limits(1):
                (trial,) = row.trials(inner, training.features[held_out], [settings])
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
