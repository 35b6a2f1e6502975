"""Operating points: what a selector achieves by each objective in cross-validation over the training queries."""

from collections.abc import Iterator
from dataclasses import replace
from operator import ge
from typing import Any

import numpy as np
import numpy.typing as npt

from modelpick.runtime import OperatingPoint
from modelpick.runtime.decision.operating_points import Estimate, Single, written_point, written_single
from modelpick.runtime.decision.outcomes import OUTCOMES

from ..algorithms.row import AnyRow
from ..formats.outcomes import Benchmark, Matrix, Training, mean
from ..statistics.bootstrap import estimate, lower_bound, mean_of, resampled, share, with_known
from ..statistics.folds import FOLDS
from .crossvalidation import PROMISED, Judged, Sweep, best_single, outcomes_of, swept, weighted

Vector = npt.NDArray[np.float64]


def operating_points(training: Training, row: AnyRow, by: Judged) -> dict[str, Any]:
    """Return the field ``operating_points`` of a selector that predicts outcomes; empty where no point is known.

    See `modelpick.converter.formats.operating_points` for its content. Points are left out if another point has a
    higher quality, promises more, and costs no more.
    """
    if (training.features == training.features[0]).all():
        return {}
    (sweep,) = swept(training, row, [training.settings], weighted(training, by))
    benchmark, best = by.benchmark, best_single(by.singles.quality, by.errors)
    # In sparse records, perhaps no pick has an outcome.
    points = _in_sequence(list(_points(sweep, benchmark, best, training.settings.seed)))
    if not points:
        return {}
    means = {kind: mean(values[:, best]) for kind, values in _kinds(benchmark).items()}
    single = Single(benchmark.model_names[best], {kind: value for kind, value in means.items() if not np.isnan(value)})
    recorded = {
        "queries": len(training.features),
        "folds": min(FOLDS, len(training.features)),
        "best_single": written_single(single),
        "points": [written_point(point) for point in _undominated(points)],
    }
    return {"operating_points": recorded}


def _kinds(benchmark: Benchmark) -> dict[str, Matrix]:
    return dict(zip(OUTCOMES, np.moveaxis(benchmark.answered, 1, 0), strict=True))


def _points(sweep: Sweep, benchmark: Benchmark, best: int, seed: int) -> Iterator[OperatingPoint]:
    """Yield the point of each objective with at least one pick of known quality."""
    kinds = _kinds(benchmark)
    tables = []
    for picks in sweep.picks:
        picked = {f"{kind} picked": outcomes_of(picks[None], values)[0] for kind, values in kinds.items()}
        tables.append(with_known(picked | {f"{kind} single": values[:, best] for kind, values in kinds.items()}))
    for objective, picks, sums in zip(sweep.objectives, sweep.picks, resampled(tables, seed), strict=True):
        picked, single = ({kind: mean_of(sums, f"{kind} {of}") for kind in kinds} for of in ("picked", "single"))
        counts = {kind: sums.counts[f"{kind} picked known"] for kind in kinds}
        outcomes = {
            kind: found for kind, samples in picked.items() if (found := _interval(samples, counts[kind])) is not None
        }
        shares_kept = _kept(picked["quality"], single["quality"])
        kept = _interval(shares_kept, counts["quality"])
        shares = np.bincount(picks, minlength=len(benchmark.model_names)) / len(picks)
        if "quality" in outcomes and kept is not None:
            yield OperatingPoint(
                objective,
                outcomes,
                kept,
                _interval(1.0 - share(picked["cost"], single["cost"]), counts["cost"]),
                dict(zip(benchmark.model_names, shares.tolist(), strict=True)),
                lower_bound(shares_kept, PROMISED),
            )


def _kept(picked: Vector, single: Vector) -> Vector:
    """Return the share of the best single model's quality; where it has none, all if it is reached, or nothing."""
    kept = share(picked, single)
    return (picked >= single).astype(np.float64) if np.isnan(kept[0]) else kept


def _interval(samples: Vector, queries: int) -> Estimate | None:
    found = estimate(samples, queries)
    values = Estimate(found.value, found.low, found.high)
    return values if np.isfinite(values).all() else None


def _in_sequence(points: list[OperatingPoint]) -> list[OperatingPoint]:
    """From the surest point on, let no point promise more than one of a lower weight. Points come by weight.

    ``keep`` takes the cheapest of many points, one of which may seem good by chance. Tests in a fixed order, up to the
    first that fails, need no correction for their number. Source: A. Angelopoulos et al., Learn then Test: Calibrating
    Predictive Algorithms to Achieve Risk Control, 2021, section 3.
    """
    surest = max(range(len(points)), key=lambda place: points[place].promised, default=0)
    least = np.minimum.accumulate([point.promised for point in points[surest:]]).tolist()
    return points[:surest] + [
        replace(point, promised=bound) for point, bound in zip(points[surest:], least, strict=True)
    ]


def _undominated(points: list[OperatingPoint]) -> list[OperatingPoint]:
    """Leave out points that another surpasses in quality, in its promise too, for no more money; all without costs."""
    worths = [(point.quality.mean, point.promised, -point.cost.mean) for point in points if point.cost is not None]
    if len(worths) < len(points):
        return points
    kept: dict[tuple[float, float, float], OperatingPoint] = {}
    for worth, point in zip(worths, points, strict=True):
        if not any(other != worth and all(map(ge, other, worth)) for other in worths):
            kept.setdefault(worth, point)
    return list(kept.values())
