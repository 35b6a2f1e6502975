"""What corrections of predictions would bring, and what picks reach that ask for a quality."""

from collections.abc import Callable
from typing import Any

import numpy as np
from sklearn.isotonic import IsotonicRegression
from sklearn.linear_model import LinearRegression

from modelpick.converter.evaluation.calibration import reliability
from modelpick.converter.formats.outcomes import Benchmark, Matrix
from modelpick.converter.statistics.bootstrap import estimated_mean, resampled, with_known
from modelpick.converter.statistics.folds import splits
from modelpick.converter.training.records import required_embeddings

# Corrections, and whether each category has one of its own.
CORRECTIONS: dict[str, tuple[Callable[[], Any], bool]] = {
    "a line": (LinearRegression, False),
    "a line for each category": (LinearRegression, True),
    "an isotonic map": (lambda: IsotonicRegression(out_of_bounds="clip"), False),
}


def corrected(predicted: Matrix, records: Benchmark, of_shifted: Matrix, shifted: Benchmark) -> dict[str, Any]:
    """Correct predictions of quality by maps to recorded quality.

    Predictions for the questions of a fold are corrected by the other folds, those for shifted questions by all folds.
    """
    found = {}
    for name, (make, by_category) in CORRECTIONS.items():
        both = (of.categories if by_category else [""] * len(of.queries) for of in (records, shifted))
        groups, asked = map(np.array, both)
        in_folds, elsewhere = np.full_like(predicted, np.nan), np.full_like(of_shifted, np.nan)
        for group in set(groups):
            of_group = groups == group
            for learned, held_out in splits(required_embeddings(records), 0):
                some, others = learned[of_group[learned]], held_out[of_group[held_out]]
                fitted = make().fit(predicted[some].reshape(-1, 1), records.quality[some].ravel())
                in_folds[others] = _map(fitted, predicted[others])
            fitted = make().fit(predicted[of_group].reshape(-1, 1), records.quality[of_group].ravel())
            elsewhere[asked == group] = _map(fitted, of_shifted[asked == group])
        found[name] = {
            "five folds": reliability(name, in_folds, records.quality),
            "shifted": reliability(name, elsewhere, shifted.quality),
        }
    return found


def _map(fitted: Any, predicted: Matrix) -> Matrix:
    mapped: Matrix = fitted.predict(predicted.reshape(-1, 1)).reshape(predicted.shape)
    return mapped


def reached(enough: float, predicted: Matrix, records: Benchmark) -> dict[str, Any]:
    """Pick the model of the lowest mean cost whose predicted quality is enough, where there is one."""
    cost = np.where(predicted >= enough, np.nanmean(records.cost, axis=0), np.inf)
    some = np.flatnonzero(np.isfinite(cost).any(axis=1))
    (sums,) = resampled([with_known({"quality": records.quality[some, cost[some].argmin(axis=1)]})], 0)
    return {"reached": len(some) / len(predicted), "quality": estimated_mean(sums, "quality")}
