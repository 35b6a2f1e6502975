"""Compares encoders: the worth of picks by their embeddings, and the time of an embedding."""

import time
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from msgspec import Struct

from modelpick.runtime.search.distances import directions
from modelpick.runtime.text import Encoder

from ..algorithms.row import AnyRow
from ..formats.outcomes import Benchmark, Settings
from ..statistics.bootstrap import FEWEST, Estimate, estimate, estimated_mean, resampled, share, with_known
from ..training.crossvalidation import Sweep, best_single, judged, outcomes_of, swept, weighted
from ..training.train import trainer, training_data

ALGORITHM = "kernel_ridge"
KEPT = (1.0, 0.95)
# Number of prompts that are timed.
_TIMED = 200
# Times that differ by less, relatively, count as equal: they vary as much from day to day.
_ALIKE = 1.5
Vector = npt.NDArray[np.float64]
Done = Callable[[int, int], None]


class Candidate(NamedTuple):
    """An encoder, and records with its embeddings."""

    file: str
    encoder: Encoder
    benchmark: Benchmark
    megabytes: float


class EncoderWorth(Struct):
    """The worth of picks by an encoder's embeddings, in cross-validation, and the time of an embedding."""

    file: str
    digest: str
    quality: Estimate
    """Mean quality of the picks."""
    over_single: Estimate
    """Mean quality minus the best single model's."""
    over_best: Estimate
    """Mean quality minus that of the best encoder."""
    saved: dict[str, Estimate]
    """Share of its quality to keep -> share of the best single model's cost that the cheapest such point saves."""
    milliseconds: float
    """Median time to embed a prompt."""
    megabytes: float
    is_recommended: bool = False
    """Whether it is the fastest encoder that is not surely worse than the best; of equally fast ones, the better."""


def compare_encoders(
    candidates: Sequence[Candidate], seed: int = 0, done: Done = lambda done, total: None
) -> list[EncoderWorth]:
    """Compare encoders on the same records: kernel ridge on embeddings alone, by 5-fold cross-validation.

    All intervals are paired: they use the same samples of queries.

    Parameters
    ----------
    candidates
        Encoders, with the same records in the same order.
    done
        Called with the number of finished trials and of all trials.

    Raises
    ------
    DocumentError
        When there are fewer than two queries.
    """
    row = trainer(ALGORITHM)
    sweeps = [
        _swept(candidate.benchmark, row, seed, number, len(candidates), done)
        for number, candidate in enumerate(candidates)
    ]
    benchmark = candidates[0].benchmark
    single = best_single(benchmark.quality)
    qualities = [outcomes_of(sweep.picks[:1], benchmark.quality)[0] for sweep in sweeps]
    best = int(np.argmax([np.nanmean(quality) for quality in qualities]))
    others = {"over single": benchmark.quality[:, single], "over best": qualities[best]}
    columns = (
        with_known({"quality": quality} | {name: quality - other for name, other in others.items()})
        for quality in qualities
    )
    tables = resampled(columns, seed)
    found = [
        EncoderWorth(
            candidate.file,
            candidate.encoder.digest,
            estimated_mean(sums, "quality"),
            estimated_mean(sums, "over single"),
            estimated_mean(sums, "over best"),
            {f"{kept:g}": _saved(sweep, benchmark, single, kept, seed) for kept in KEPT},
            _milliseconds(candidate.encoder, benchmark.queries),
            candidate.megabytes,
        )
        for candidate, sweep, sums in zip(candidates, sweeps, tables, strict=True)
    ]
    fair = [one for place, one in enumerate(found) if place == best or not one.over_best.high < 0]
    fastest = min(one.milliseconds for one in fair)
    alike = [one for one in fair if one.milliseconds <= _ALIKE * fastest]
    max(alike, key=lambda one: (one.quality.value, -one.milliseconds)).is_recommended = True
    return found


def similarity(one: npt.NDArray[np.float32], other: npt.NDArray[np.float32]) -> float:
    """Return the correlation between the cosines of all pairs of texts by two embeddings, (n, e); NaN for one pair."""
    pairs = np.triu_indices(len(one), 1)
    if len(pairs[0]) < FEWEST:
        return float("nan")
    correlations: Vector = np.corrcoef([_cosines(embeddings)[pairs] for embeddings in (one, other)])
    return float(correlations[0, 1])


def _cosines(embeddings: npt.NDArray[np.float32]) -> Vector:
    unit = directions(embeddings.astype(np.float64))
    cosines: Vector = unit @ unit.T
    return cosines


def _swept(benchmark: Benchmark, row: AnyRow, seed: int, number: int, total: int, done: Done) -> Sweep:
    training = training_data(benchmark, Settings(seed=seed), one_hot=False)
    (sweep,) = swept(
        training,
        row,
        [training.settings],
        weighted(training, judged(training)),
        lambda trials, of: done(number * of + trials, total * of),
    )
    return sweep


def _saved(sweep: Sweep, benchmark: Benchmark, single: int, kept: float, seed: int) -> Estimate:
    """Estimate the savings of the cheapest objective whose picks keep a share of the best single model's quality."""
    known = ~np.isnan(benchmark.cost).all(axis=1)
    quality, cost = (outcomes_of(sweep.picks, values) for values in (benchmark.quality, benchmark.cost))
    least = kept * float(np.nanmean(benchmark.quality[:, single]))
    reached = [place for place, values in enumerate(quality) if known.any() and np.nanmean(values) >= least]
    if not reached:
        return Estimate(np.nan, np.nan, np.nan, "no objective keeps that quality" if known.any() else "no costs")
    cheapest = min(reached, key=lambda place: np.nanmean(cost[place]))
    both = ~np.isnan(cost[cheapest]) & ~np.isnan(benchmark.cost[:, single])
    columns = {"picked": cost[cheapest], "single": benchmark.cost[:, single]}
    (sums,) = resampled([{name: np.where(both, value, 0.0) for name, value in columns.items()}], seed)
    return estimate(1.0 - share(sums["picked"], sums["single"]), int(both.sum()))


def _milliseconds(encoder: Encoder, queries: Sequence[str]) -> float:
    taken = []
    for query in queries[:_TIMED]:
        start = time.perf_counter()
        encoder.read(query)
        taken.append(time.perf_counter() - start)
    return float(np.median(taken)) * 1e3
