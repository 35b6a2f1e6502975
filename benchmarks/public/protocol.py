"""What the comparisons share: training as a user does it, picks, and paired intervals. All by the public API."""

import gzip
import json
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from threadpoolctl import threadpool_limits

from modelpick.converter import Settings, best_settings, convert, read_records, train, training_data, tune
from modelpick.converter.formats.outcomes import Benchmark
from modelpick.converter.training.train import trainer
from modelpick.runtime import Selector

SEEDS = range(5)
SAMPLES, CONFIDENCE = 2_000, 0.95
TURNS, TIMED = 10, 200
Vector = npt.NDArray[np.float64]
Indices = npt.NDArray[np.int64]


class Contender(NamedTuple):
    """What is tuned, with the defaults of the command, and what is trained by the settings that tuning chose."""

    algorithm: str
    semantics: str
    tuned: tuple[str, ...]
    """Settings that tuning chooses."""
    landmarks: dict[str, int]
    """Name of an artifact -> most support vectors that it has; tuning has the default of them."""


CONTENDERS = (
    Contender(
        "kernel_ridge",
        "native",
        ("gamma", "ridge"),
        {"kernel_ridge": 1_000, "kernel_ridge, all landmarks": 10**9},
    ),
    Contender("knn", "queries", ("k", "evidence"), {"knn, queries": 10**9}),
)


class Trained(NamedTuple):
    """An artifact, and what it took to make it."""

    name: str
    artifact: Path
    settings: dict[str, float]
    """Those that tuning chose."""
    seconds: dict[str, float]
    """CPU seconds of tuning and of training, in one thread."""


def trained(
    contender: Contender, benchmark: Benchmark, seed: int, folder: Path, made: dict[Path, float]
) -> Iterator[Trained]:
    """Do what `modelpick train --tune` and `modelpick convert` do with a seed and their defaults.

    Parameters
    ----------
    made
        Artifacts that were made of the same records -> CPU seconds of their training. If tuning chose the settings of
        one of them, and no landmarks were drawn, it is not made again.
    """
    row = trainer(contender.algorithm, semantics=contender.semantics)
    with threadpool_limits(1):
        start = time.process_time()
        training = training_data(benchmark, Settings(seed=seed))
        settings = best_settings(tune(training, row))
        tuning = rounded(time.process_time() - start)
    chosen = {name: getattr(settings, name) for name in contender.tuned}
    for name, landmarks in contender.landmarks.items():
        drawn = f", seed {seed}" if landmarks < len(benchmark.queries) else ""
        artifact = folder / f"{name}, {' '.join(map(str, chosen.values()))}{drawn}.onnx"
        if artifact not in made:
            with threadpool_limits(1):
                start = time.process_time()
                fields = train(training._replace(settings=settings._replace(landmarks=landmarks)), row)
                made[artifact] = rounded(time.process_time() - start)
            convert(json.dumps(fields).encode(), artifact, semantics=contender.semantics)
        yield Trained(name, artifact, chosen, {"tuning": tuning, "training": made[artifact]})


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


def sets_of(file: Path, benchmark: Benchmark) -> npt.NDArray[np.str_]:
    """Return the field ``set`` of each question, which the product does not read."""
    found: dict[str, str] = {}
    with gzip.open(file, "rt", encoding="utf-8", newline="\n") as lines:
        for line in lines:
            record: dict[str, Any] = json.loads(line)
            found.setdefault(record["query"], record["set"])
    return np.array([found[query] for query in benchmark.queries])


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


def records(folder: Path, name: str) -> Benchmark:
    """Read records with their embeddings."""
    return read_records(folder / name, embeddings=folder / "embeddings_public.npz")


def rounded(value: float) -> float:
    """Return the digits that are worth a line in a file of results."""
    return float(f"{value:.6g}")
