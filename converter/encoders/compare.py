"""Compares encoders: the worth of picks by their embeddings, and the time of an embedding."""

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from modelpick.runtime.text import Encoder

from ..algorithms.row import AnyRow
from ..formats.outcomes import Benchmark, Settings, Training
from ..statistics.bootstrap import Estimate, estimate, estimated_mean, resampled, share, with_known
from ..training.crossvalidation import Judged, Sweep, best_single, judged, outcomes_of, swept, weighted
from ..training.train import trainer, training_data
from .verify import EncoderWorth

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


def candidate(file: Path, read: Callable[[Encoder], Benchmark]) -> Candidate:
    """Load the file of an encoder, and read records with its embeddings by ``read``.

    Raises
    ------
    ArtifactError
        When the encoder is refused. Errors of ``read`` are passed on.
    """
    encoder = Encoder.load(file)
    return Candidate(str(file), encoder, read(encoder), file.stat().st_size / 1e6)


def compare_encoders(
    candidates: Sequence[Candidate], seed: int = 0, done: Done = lambda done, total: None
) -> list[EncoderWorth]:
    """Compare encoders on the same records: kernel ridge on embeddings alone, by 5-fold cross-validation.

    All intervals are paired: they use the same samples of queries. Of a log, its estimates by the first encoder count.

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
    trainings = [training_data(one.benchmark, Settings(seed=seed), one_hot=False) for one in candidates]
    by = judged(trainings[0])
    sweeps = [_swept(training, by, row, number, len(trainings), done) for number, training in enumerate(trainings)]
    benchmark, single = by.benchmark, best_single(by.singles.quality)
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


def _swept(training: Training, by: Judged, row: AnyRow, number: int, total: int, done: Done) -> Sweep:
    (sweep,) = swept(
        training,
        row,
        [training.settings],
        weighted(training, by),
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
