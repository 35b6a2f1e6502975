"""Evaluation: what selectors come to on held-out benchmark records, beside every single model, chance and the best."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from msgspec import Struct

from modelpick.runtime import DocumentError, ModelpickError, Selector
from modelpick.runtime.features import FeatureBuilder

from ..training.records import Benchmark, Matrix, required_embeddings
from .bootstrap import Interval, interval, resampled_sums

ORACLE, RANDOM = "oracle", "random"


class Strategy(Struct):
    """What a way of picking comes to."""

    name: str
    quality: float
    """Mean quality of the picked models."""
    interval: Interval
    """Bootstrap 95 % interval of that, over queries."""
    seconds: float
    """Mean response time of the picked models."""
    best_share: float
    """Share of the queries on which no model did better than the one picked."""
    gap_from_random: float | None
    """Share of the way from random to the oracle; None where there is none."""
    gap_from_best_single: float | None
    """Share of the way from the best single model to the oracle; None where there is none."""
    selections: dict[str, float]
    """Share of the queries for which each model is picked."""
    categories: dict[str, float]
    """Mean quality on the queries of each category."""


class Difference(Struct):
    """How much better one artifact is than another on the same queries."""

    better: str
    than: str
    quality: float
    """Difference of mean quality."""
    interval: Interval
    """Paired bootstrap 95 % interval of that."""


class Evaluation(Struct):
    """The outcome of an evaluation."""

    queries: int
    left_out: int
    """Queries without an outcome of every model."""
    strategies: list[Strategy]
    differences: list[Difference]


def evaluate(artifacts: Sequence[str | Path], benchmark: Benchmark, *, seed: int = 0) -> Evaluation:
    """Evaluate artifacts on benchmark records that they were not trained on.

    Queries on which a model has no outcome are left out. "random" is the mean over all models.

    Raises
    ------
    DocumentError
        When there are no embeddings, no query has every model's outcome, or a pick has no outcome.
    ArtifactError, FeatureError
        When an artifact is refused, or expects features of another width.
    """
    whole = ~np.isnan(benchmark.quality).any(axis=1)
    if not whole.any():
        raise DocumentError("expected queries with an outcome of every model, got none")
    quality, seconds = benchmark.quality[whole], benchmark.seconds[whole]
    categories = np.array(benchmark.categories)[whole]
    embeddings = required_embeddings(benchmark)[whole]
    names, n = benchmark.model_names, len(quality)
    # How likely each model is picked for each query: (n, n_models).
    chances: dict[str, Matrix] = {ORACLE: np.eye(len(names))[_fastest_best(quality, seconds)]}
    labels = _distinct_labels(artifacts)
    for label, artifact in zip(labels, artifacts, strict=True):
        chances[label] = np.eye(len(names))[_picks(artifact, embeddings, categories.tolist(), names)]
    chances |= {name: np.tile(np.eye(len(names))[model], (n, 1)) for model, name in enumerate(names)}
    chances[RANDOM] = np.full((n, len(names)), 1 / len(names))

    oracle, chance, single = quality.max(axis=1).mean(), quality.mean(), quality.mean(axis=0).max()
    best = quality >= quality.max(axis=1, keepdims=True)

    def strategy(name: str, chances: Matrix) -> Strategy:
        got = (chances * quality).sum(axis=1)
        return Strategy(
            name=name,
            quality=float(got.mean()),
            interval=_interval_of_mean(got, seed),
            seconds=float((chances * seconds).sum(axis=1).mean()),
            best_share=float((chances * best).sum(axis=1).mean()),
            gap_from_random=_closed(got.mean(), chance, oracle),
            gap_from_best_single=_closed(got.mean(), single, oracle),
            selections=dict(zip(names, chances.mean(axis=0).tolist(), strict=True)),
            categories={c: float(got[categories == c].mean()) for c in sorted(set(categories.tolist()))},
        )

    strategies = [strategy(name, chosen) for name, chosen in chances.items()]
    return Evaluation(n, int((~whole).sum()), strategies, _differences(labels, chances, quality, seed))


def _distinct_labels(artifacts: Sequence[str | Path]) -> list[str]:
    stems = [Path(artifact).stem for artifact in artifacts]
    return [stem if stems.count(stem) == 1 else str(artifact) for stem, artifact in zip(stems, artifacts, strict=True)]


def _picks(artifact: str | Path, embeddings: Matrix, categories: list[str], names: list[str]) -> list[int]:
    with Selector.load(artifact) as selector:
        features = FeatureBuilder(selector.n_features_in_).build_batch(embeddings, categories)
        picked = selector.select_batch(features)
    unknown = sorted(set(picked) - set(names))
    if unknown:
        raise DocumentError(f"{artifact}: expected picks among {', '.join(names)}, got {', '.join(unknown)}")
    return [names.index(name) for name in picked]


def _fastest_best(quality: Matrix, seconds: Matrix) -> npt.NDArray[np.int64]:
    """Give each query's best model, of several the fastest, of those the first; unknown seconds are the slowest."""
    slowest = np.finfo(np.float64).max
    best = quality == quality.max(axis=1, keepdims=True)
    waits: Matrix = np.where(best, np.nan_to_num(seconds, nan=slowest), np.inf)
    picks: npt.NDArray[np.int64] = waits.argmin(axis=1)
    return picks


def _interval_of_mean(values: npt.NDArray[np.float64], seed: int) -> Interval:
    return interval(resampled_sums(values[:, None], seed)[:, 0] / len(values))


def _closed(got: float, start: float, end: float) -> float | None:
    return float((got - start) / (end - start)) if end > start else None


def _differences(labels: list[str], chances: Mapping[str, Matrix], quality: Matrix, seed: int) -> list[Difference]:
    got = {label: (chances[label] * quality).sum(axis=1) for label in labels}
    ranked = sorted(labels, key=lambda label: -got[label].mean())
    pairs = [(better, than) for place, better in enumerate(ranked) for than in ranked[place + 1 :]]
    gains = [got[better] - got[than] for better, than in pairs]
    return [
        Difference(better, than, float(gain.mean()), _interval_of_mean(gain, seed))
        for (better, than), gain in zip(pairs, gains, strict=True)
    ]


def plot(evaluation: Evaluation, target: Path) -> None:
    """Plot quality against response time, one point a strategy, as SVG or PNG by the target's suffix.

    Raises
    ------
    ModelpickError
        When the target is neither or cannot be written, or matplotlib is missing.
    """
    if target.suffix not in {".svg", ".png"}:
        raise ModelpickError(f"{target}: expected a name that ends in .svg or .png")
    try:
        from matplotlib.figure import Figure
    except ModuleNotFoundError:
        raise ModelpickError("a plot needs matplotlib: pip install 'modelpick[plot]'") from None
    figure = Figure(figsize=(8, 5), layout="tight")
    axes: Any = figure.subplots()
    for strategy in evaluation.strategies:
        axes.scatter(strategy.seconds, strategy.quality)
        axes.annotate(strategy.name, (strategy.seconds, strategy.quality), fontsize=8)
    axes.set_xlabel("mean response time, seconds")
    axes.set_ylabel("mean quality")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(target)
    except OSError as cause:
        raise ModelpickError(f"{target}: cannot be written: {cause.strerror}") from None
