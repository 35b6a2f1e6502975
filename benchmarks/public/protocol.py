"""What the comparisons share: training as a user does it, picks, and paired intervals. All by the public API."""

import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from threadpoolctl import threadpool_limits

from modelpick.converter import Settings, best_settings, convert, read_records, train, training_data, tune
from modelpick.converter.formats.outcomes import Benchmark
from modelpick.converter.statistics.bootstrap import estimate
from modelpick.converter.training.train import trainer
from modelpick.runtime import Selector

SEEDS = range(5)
SAMPLES, CONFIDENCE = 2_000, 0.95
TURNS, TIMED = 10, 200
Vector = npt.NDArray[np.float64]
Indices = npt.NDArray[np.int64]


class Contender(NamedTuple):
    """What `modelpick train --tune` trains."""

    name: str
    algorithm: str
    semantics: str
    tuned: tuple[str, ...]
    """Settings that tuning chooses."""
    landmarks: int | None = None
    """Most support vectors, where the command is given a number."""


CONTENDERS = (
    Contender("kernel_ridge", "kernel_ridge", "native", ("gamma", "ridge", "landmarks")),
    Contender("kernel_ridge, 1,000 landmarks", "kernel_ridge", "native", ("gamma", "ridge"), 1_000),
    Contender("knn, queries", "knn", "queries", ("k", "evidence")),
)


class Trained(NamedTuple):
    """An artifact, and what it took to make it."""

    artifact: Path
    settings: dict[str, float | None]
    """Those that tuning chose; None is the default."""
    seconds: dict[str, float]
    """CPU seconds of tuning and of training, in one thread."""


def trained(contender: Contender, benchmark: Benchmark, seed: int, folder: Path) -> Trained:
    """Do what `modelpick train --tune` and `modelpick convert` do with a seed."""
    row = trainer(contender.algorithm, semantics=contender.semantics)
    with threadpool_limits(1):
        start = time.process_time()
        training = training_data(benchmark, Settings(seed=seed, landmarks=contender.landmarks))
        settings = best_settings(tune(training, row))
        tuned = time.process_time()
        fields = train(training._replace(settings=settings), row)
        seconds = {"tuning": rounded(tuned - start), "training": rounded(time.process_time() - tuned)}
    artifact = folder / f"{contender.name}, {seed}.onnx"
    convert(json.dumps(fields).encode(), artifact, semantics=contender.semantics)
    return Trained(artifact, {name: getattr(settings, name) for name in contender.tuned}, seconds)


def qualities(artifact: Path, benchmark: Benchmark) -> Vector:
    """Let an artifact pick for questions: the recorded quality of each pick."""
    assert benchmark.embeddings is not None
    places = {name: place for place, name in enumerate(benchmark.model_names)}
    with Selector.load(artifact) as selector:
        picks = selector.select_batch(selector.features.build_batch(benchmark.embeddings, benchmark.categories))
    found: Vector = benchmark.quality[np.arange(len(picks)), [places[pick] for pick in picks]]
    return found


def microseconds(artifact: Path, benchmark: Benchmark) -> float:
    """Time picks of one query: CPU time of a call, the best of some turns."""
    assert benchmark.embeddings is not None
    best = np.inf
    with Selector.load(artifact) as selector:
        embeddings, categories = benchmark.embeddings[:TIMED], benchmark.categories[:TIMED]
        queries = [*selector.features.build_batch(embeddings, categories)]
        for _ in range(TURNS):
            start = time.process_time()
            for query in queries:
                selector.select(query)
            best = min(best, (time.process_time() - start) / len(queries) * 1e6)
    return rounded(best)


def interval(values: Vector, groups: Sequence[Indices]) -> list[float]:
    """Return the plain mean over groups of questions of each group's mean, and its 95 % interval.

    The interval is a bootstrap over the questions of each group.
    """
    rng = np.random.default_rng(0)
    samples = np.zeros(SAMPLES)
    for group in groups:
        counts = rng.multinomial(len(group), np.full(len(group), 1 / len(group)), size=SAMPLES)
        samples += counts @ values[group] / len(group) / len(groups)
    tail = 100 * (1 - CONFIDENCE) / 2
    mean = np.mean([values[group].mean() for group in groups])
    return [rounded(it) for it in (mean, *np.percentile(samples, [tail, 100 - tail]))]


def ends(samples: Vector, queries: int) -> list[float]:
    """Return a statistic of queries, the first sample, and its 95 % interval by the others."""
    found = estimate(samples, queries)
    return [rounded(it) for it in (found.value, found.low, found.high)]


def records(folder: Path, name: str) -> Benchmark:
    """Read records with their embeddings."""
    return read_records(folder / name, embeddings=folder / "embeddings_public.npz")


def rounded(value: float) -> float:
    """Return the digits that are worth a line in a file of results."""
    return float(f"{value:.6g}")
