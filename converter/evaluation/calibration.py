"""Calibration: whether the answers that are predicted at a quality reach this quality on average.

Predictions are compared with the recorded answers of the models that an artifact knows. The calibration error is the
mean distance between predicted and recorded quality over bins of as many answers each: M. Naeini, G. Cooper,
M. Hauskrecht, Obtaining Well Calibrated Probabilities Using Bayesian Binning, AAAI 2015. The Brier score is the mean
squared error of the predictions: G. Brier, Verification of Forecasts Expressed in Terms of Probability, 1950.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
from msgspec import Struct

from modelpick.runtime.decision.outcomes import OUTCOMES, QUALITY

from ..formats.outcomes import Benchmark, Matrix
from ..statistics.bootstrap import Estimate, Sums, Vector, estimate, ratio, resampled
from ..statistics.estimation import estimated
from .policies import loaded_for

BINS = 10
NO_ANSWERS = "no answer of its models is recorded"


class Bin(Struct):
    """Answers whose predicted qualities are neighbours."""

    answers: int
    predicted: float
    """Mean predicted quality."""
    recorded: Estimate
    """Mean recorded quality."""


class Reliability(Struct):
    """How predictions of quality compare with the recorded answers."""

    of: str
    """The answers, in words."""
    answers: int
    bins: list[Bin]
    """Bins of about as many answers each, by ascending prediction; fewer where predictions are equal."""
    brier: Estimate
    """Mean squared error of the predictions."""
    error: float
    """Calibration error; NaN without answers."""
    by_chance: float
    """About the calibration error that calibrated predictions have on as many questions: it is above 0 by chance."""
    excess: Estimate
    """Mean prediction minus the mean record."""


class Calibration(Struct):
    """The calibration of an artifact's predictions."""

    name: str
    all: Reliability
    """Of the answers of all models."""
    highest: Reliability
    """Of the answers that are predicted the best of their question: their predictions tend to be too high, as the
    highest of several uncertain numbers is."""
    categories: list[Reliability]
    """Of the answers of all models to the questions of each category."""


def calibrations(
    artifacts: Mapping[str, str | Path], records: Benchmark, *, predict_category: bool = False, seed: int = 0
) -> list[Calibration]:
    """Measure the calibration of each artifact that predicts quality.

    Parameters
    ----------
    artifacts
        Paths of artifacts by the names under which they are shown.
    records
        Held-out records with embeddings. An answer of a log stands for 1 / propensity answers.
    predict_category
        Whether queries have the category that the artifact predicts, instead of the records'.
    seed
        Seed of the bootstrap.

    Raises
    ------
    DocumentError
        When a query has no embedding.
    ArtifactError
        When an artifact is refused, or expects features of another width.
    """
    found = []
    weights = estimated(records, seed).weights if records.is_log else None
    for label, artifact in artifacts.items():
        with loaded_for(artifact, records, predict_category=predict_category) as (selector, features):
            if OUTCOMES[QUALITY] not in selector.metadata.outcomes:
                continue
            predicted = np.full(records.quality.shape, np.nan)
            ours = {name: column for column, name in enumerate(selector.model_names)}
            columns = [place for place, name in enumerate(records.model_names) if name in ours]
            order = [ours[records.model_names[place]] for place in columns]
            predicted[:, columns] = selector.predict_outcomes(features)[:, QUALITY, order]
        found.append(calibration(label, predicted, records.quality, records.categories, weights=weights, seed=seed))
    return found


def calibration(
    name: str,
    predicted: Matrix,
    recorded: Matrix,
    categories: Sequence[str],
    *,
    weights: Matrix | None = None,
    seed: int = 0,
) -> Calibration:
    """Measure the calibration of predictions.

    Parameters
    ----------
    name
        Name of what predicts.
    predicted, recorded
        Quality, float64, shape (n_queries, n_models); NaN where there is none.
    categories
        Category of each query.
    weights
        Of a log, the number of answers that each recorded one stands for, shape (n_queries, n_models). The highest
        prediction of a question is that of all models then; else that of the recorded ones.
    seed
        Seed of the bootstrap, which draws questions.
    """
    among = predicted if weights is not None else np.where(np.isnan(recorded), np.nan, predicted)
    best = np.where(np.isnan(among), -np.inf, among).argmax(axis=1)
    highest = np.where(np.arange(predicted.shape[1]) == best[:, None], predicted, np.nan)
    weights = np.ones_like(predicted) if weights is None else weights
    return Calibration(
        name,
        reliability("all models", predicted, recorded, weights=weights, seed=seed),
        reliability("the highest predicted", highest, recorded, weights=weights, seed=seed),
        [
            reliability(one, predicted[of], recorded[of], weights=weights[of], seed=seed)
            for one in sorted(set(categories))
            for of in [np.array(categories) == one]
        ],
    )


def reliability(
    of: str, predicted: Matrix, recorded: Matrix, *, weights: Matrix | None = None, seed: int = 0
) -> Reliability:
    """Compare predictions with records, of shape (n_queries, n_models) each; NaN where there is none.

    ``weights``, of the same shape, are the numbers of answers that recorded ones stand for: 1 by default.
    """
    weights = np.ones_like(predicted) if weights is None else weights
    known = ~(np.isnan(predicted) | np.isnan(recorded))
    answers = int(known.sum())
    if not answers:
        nothing = Estimate(np.nan, np.nan, np.nan, NO_ANSWERS)
        return Reliability(of, 0, [], nothing, np.nan, np.nan, nothing)
    # Edges stand between predictions, so that equal predictions share a bin.
    edges = np.unique(np.quantile(predicted[known], np.arange(1, BINS) / BINS, method="higher"))
    bin_of = np.searchsorted(edges, predicted, side="right")
    table = {
        "answers": _sums(weights, known),
        "excess": _sums(weights * (predicted - recorded), known),
        "squares": _sums(weights * (predicted - recorded) ** 2, known),
    }
    used, compared = np.unique(bin_of[known]), {"predicted": predicted, "recorded": recorded}
    for number in used:
        among = known & (bin_of == number)
        table |= {f"{number} answers": _sums(weights, among)}
        table |= {f"{number} {side}": _sums(weights * values, among) for side, values in compared.items()}
    (sums,) = resampled([table], seed)
    gaps = np.array([(sums[f"{number} predicted"] - sums[f"{number} recorded"]) / sums["answers"] for number in used])
    questions = sums.counts["answers"]
    return Reliability(
        of,
        answers,
        [_bin(sums, str(number), known & (bin_of == number)) for number in used],
        estimate(ratio(sums["squares"], sums["answers"]), questions),
        float(np.abs(gaps[:, 0]).sum()),
        # The mean distance of a normal variable from its mean is sqrt(2 / pi) standard deviations.
        float(np.sqrt(2 / np.pi) * gaps[:, 1:].std(axis=1).sum()),
        estimate(ratio(sums["excess"], sums["answers"]), questions),
    )


def _sums(values: Matrix, among: npt.NDArray[np.bool_]) -> Vector:
    total: Vector = np.where(among, values, 0.0).sum(axis=1)
    return total


def _bin(sums: Sums, number: str, among: npt.NDArray[np.bool_]) -> Bin:
    counts, questions = sums[f"{number} answers"], int(among.any(axis=1).sum())
    predicted = float(sums[f"{number} predicted"][0] / counts[0])
    return Bin(int(among.sum()), predicted, estimate(ratio(sums[f"{number} recorded"], counts), questions))
