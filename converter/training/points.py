"""Operating points: what a selector achieves by each objective, in cross-validation over the training queries."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from modelpick.runtime.decision.outcomes import OUTCOMES

from ..algorithms.row import AnyRow
from ..formats.outcomes import Benchmark, Training
from ..statistics.bootstrap import estimate, ratio, resampled, share
from ..statistics.folds import FOLDS
from .crossvalidation import Judged, Sweep, best_single, outcomes_of, swept, weighted

Vector = npt.NDArray[np.float64]


def operating_points(training: Training, row: AnyRow, by: Judged) -> dict[str, Any]:
    """Return the field ``operating_points`` of a selector that predicts outcomes; nothing where none is known.

    See `modelpick.converter.formats.operating_points` for what it holds. Points that another surpasses in quality for
    no more money are left out.
    """
    if len(np.unique(training.features, axis=0)) < 2:
        return {}
    (sweep,) = swept(training, row, [training.settings], weighted(training))
    benchmark, best = by.benchmark, best_single(by.singles.quality)
    # Of sparse records, perhaps no pick has an outcome.
    points = [point for point in _points(sweep, benchmark, best, training.settings.seed) if point["quality"]]
    if not points:
        return {}
    single = {
        "model": benchmark.model_names[best],
        **{kind: _mean(values[:, best]) for kind, values in _kinds(benchmark).items()},
    }
    recorded = {
        "queries": len(training.features),
        "folds": min(FOLDS, len(training.features)),
        "best_single": single,
        "points": _undominated(points),
    }
    return {"operating_points": recorded}


def _kinds(benchmark: Benchmark) -> dict[str, Vector]:
    return dict(zip(OUTCOMES, np.moveaxis(benchmark.answered, 1, 0), strict=True))


def _mean(values: Vector) -> float | None:
    known = values[~np.isnan(values)]
    return float(known.mean()) if known.size else None


def _points(sweep: Sweep, benchmark: Benchmark, best: int, seed: int) -> list[dict[str, Any]]:
    kinds = _kinds(benchmark)
    tables = []
    for picks in sweep.picks:
        columns: dict[str, Vector] = {}
        for kind, values in kinds.items():
            for name, chosen in (("picked", outcomes_of(picks[None], values)[0]), ("single", values[:, best])):
                known = ~np.isnan(chosen)
                columns[f"{kind} {name}"] = np.where(known, chosen, 0.0)
                columns[f"{kind} {name} known"] = known.astype(np.float64)
        tables.append(columns)
    points = []
    for objective, picks, sums in zip(sweep.objectives, sweep.picks, resampled(tables, seed), strict=True):
        picked, single = (
            {kind: ratio(sums[f"{kind} {of}"], sums[f"{kind} {of} known"]) for kind in kinds}
            for of in ("picked", "single")
        )
        known = {kind: sums.counts[f"{kind} picked known"] for kind in kinds}
        counts = np.bincount(picks, minlength=len(benchmark.model_names)) / len(picks)
        points.append(
            {
                "cost_weight": objective.cost_weight,
                "seconds_weight": objective.seconds_weight,
                **{kind: _interval(samples, known[kind]) for kind, samples in picked.items()},
                "kept": _interval(_kept(picked["quality"], single["quality"]), known["quality"]),
                "saved": _interval(1.0 - share(picked["cost"], single["cost"]), known["cost"]),
                "shares": dict(zip(benchmark.model_names, counts.tolist(), strict=True)),
            }
        )
    return points


def _kept(picked: Vector, single: Vector) -> Vector:
    """Return the share of the best single model's quality; where it has none, all if it is reached, or nothing."""
    kept = share(picked, single)
    return (picked >= single).astype(np.float64) if np.isnan(kept[0]) else kept


def _interval(samples: Vector, queries: int) -> list[float] | None:
    found = estimate(samples, queries)
    values = [found.value, found.low, found.high]
    return values if np.isfinite(values).all() else None


def _undominated(points: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Leave out points that another surpasses in quality for no more money; without costs keep all."""

    def worth(point: Mapping[str, Any]) -> tuple[float, float]:
        return point["quality"][0], point["cost"][0]

    if any(point["cost"] is None for point in points):
        return points
    kept: list[dict[str, Any]] = []
    for point in points:
        quality, cost = worth(point)
        others = [worth(other) for other in points if other is not point]
        surpassed = any(q >= quality and c <= cost and (q, c) != (quality, cost) for q, c in others)
        if not surpassed and all(worth(other) != (quality, cost) for other in kept):
            kept.append(point)
    return kept
