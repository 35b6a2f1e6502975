"""The choice between a weak and a strong model: how much of their gap is recovered, for how many strong calls.

A router of two models is a preference for the strong model, a number for each query, and a threshold. RouteLLM
measures all thresholds: I. Ong et al., RouteLLM: Learning to Route LLMs with Preference Data, 2024, section 3.
"""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from msgspec import Struct

from modelpick.runtime import ArtifactError, DocumentError, Selector
from modelpick.runtime.decision.outcomes import COST, OUTCOMES, QUALITY

from ..formats.outcomes import Benchmark, Matrix
from ..statistics.bootstrap import Estimate, Vector, drawn, estimate, share
from ..statistics.estimation import estimated, lacking
from ..statistics.frontier import area
from .policies import labels, loaded_for

CALL_THRESHOLDS = (0.5, 0.8)
# The number of RouteLLM's thresholds, evenly spaced in the share of calls, without the last one.
BINS = 10
NO_GAP = "{} is not surely better than {}"
Mask = npt.NDArray[np.bool_]


class Calibration(Struct):
    """The objective that sends a share of the calls to the strong model, as nearly as the predictions allow."""

    cost_weight: float
    costs: dict[str, float]
    """The ``costs=`` to give with the objective; empty where the predicted costs count."""
    share: float
    """Share of calls to the strong model by this objective."""
    recovered: Estimate
    """Share of the gap that is recovered by this objective."""


class Recovery(Struct):
    """How well an artifact chooses between a weak and a strong model, as RouteLLM measures it."""

    name: str
    apgr: Estimate
    """Average of the gap's recovered share over all shares of calls to the strong model; 0.5 by chance."""
    apgr_of_bins: Estimate
    """APGR by the trapezoids between ten quantiles of the preference, as RouteLLM's paper reports it."""
    call_shares: dict[str, Estimate]
    """Recovered share of the gap -> smallest share of calls to the strong model; CPT."""
    calibration: Calibration | None = None
    """For the share that was requested, if one was."""


class Preference(NamedTuple):
    """By how much an artifact prefers the strong model to the weak one for each query."""

    name: str
    scores: Vector
    """Difference of their scores, float64, shape (n_queries,)."""
    outcomes: Matrix | None
    """Difference of their predicted outcomes, float64, (n_queries, 3), NaN where not predicted; None without any."""


def preferences(
    artifacts: Sequence[str | Path], benchmark: Benchmark, weak: str, strong: str, *, predict_category: bool = False
) -> list[Preference]:
    """Compute both models' scores of each query by artifacts; raises the errors of `artifact_policies`."""
    found = []
    for artifact, label in labels(artifacts).items():
        with loaded_for(artifact, benchmark, predict_category=predict_category) as (selector, features):
            explained = [selector.explain(row, candidates=[weak, strong]) for row in features]
            scores = np.array([why["scores"][strong] - why["scores"][weak] for why in explained])
            outcomes = (
                np.array([_differences(why["outcomes"], weak, strong) for why in explained])
                if _predicts(selector)
                else None
            )
        found.append(Preference(label, scores, outcomes))
    return found


def _predicts(selector: Selector) -> bool:
    return OUTCOMES[QUALITY] in selector.metadata.outcomes


def _differences(outcomes: Mapping[str, Mapping[str, float]], weak: str, strong: str) -> list[float]:
    return [outcomes[strong].get(kind, np.nan) - outcomes[weak].get(kind, np.nan) for kind in OUTCOMES]


def recover(
    preferences: Sequence[Preference],
    benchmark: Benchmark,
    weak: str,
    strong: str,
    *,
    strong_share: float | None = None,
    seed: int = 0,
) -> list[Recovery]:
    """Measure how much of the gap between two models artifacts recover, and for how many calls to the strong one.

    Only queries on which both models have an outcome count; in a log, outcomes are estimated. The strong model is
    called where the preference exceeds a threshold. APGR is the average of the recovered share of the gap over all
    shares of calls to the strong model; CPT is the smallest share of calls that recovers a given share of the gap. An
    artifact that prefers the wrong model has an APGR below 0.5.

    Parameters
    ----------
    strong_share
        Share of the calls for the strong model: the objective that sends it this share is found.

    Raises
    ------
    DocumentError
        When a model has no records, or the strong one is not better where both have. In a log, shares of a gap that
        is not surely above 0 are unknown.
    ArtifactError
        When a share is requested of an artifact that predicts no quality, and so takes no objective.
    """
    for name in (weak, strong):
        if name not in benchmark.model_names:
            raise DocumentError(f"expected some of {', '.join(benchmark.model_names)}, got {name}")
    pair = [benchmark.model_names.index(name) for name in (weak, strong)]
    quality, no_gap = benchmark.quality, NO_GAP.format(strong, weak)
    if benchmark.is_log:
        estimation = estimated(benchmark, seed)
        always = [np.tile(np.arange(quality.shape[1]) == model, (len(quality), 1)).astype(np.float64) for model in pair]
        unknown = next(filter(None, (lacking(estimation, chances) for chances in always)), "")
        quality = np.zeros_like(quality) if unknown else estimation.benchmark.quality  # a gap of 0 has no shares
        no_gap = unknown or no_gap
    both = ~np.isnan(quality[:, pair]).any(axis=1)
    gap = quality[both, pair[1]] - quality[both, pair[0]]
    if not benchmark.is_log and not (gap.size and gap.mean() > 0):
        raise DocumentError(f"expected records on which {strong} is better than {weak}")
    recoveries = []
    for one in preferences:
        calibrated = None
        if strong_share is not None:
            if one.outcomes is None:
                raise ArtifactError(
                    f"{one.name}: expected an artifact that predicts quality, as kernel_ridge and KNN by queries do: "
                    "a share of calls to the strong model takes an objective"
                )
            calibrated = calibrate(one.outcomes[both], weak, strong, strong_share)
        samples = (np.ones((1, len(gap))), *drawn(len(gap), seed))
        curve = Curve(one.scores[both], gap, samples, None if calibrated is None else calibrated.calls)
        recovery = Recovery(
            one.name,
            estimate(curve.areas, len(gap), no_gap),
            estimate(curve.areas_of_bins, len(gap), no_gap),
            {f"{part:.0%}": estimate(found, len(gap), no_gap) for part, found in curve.call_shares.items()},
        )
        if calibrated is not None:
            recovered = estimate(curve.recovered, len(gap), no_gap)
            recovery.calibration = Calibration(
                calibrated.cost_weight, calibrated.costs, float(calibrated.calls.mean()), recovered
            )
        recoveries.append(recovery)
    return recoveries


class Calibrated(NamedTuple):
    """An objective, and the queries that it sends to the strong model."""

    cost_weight: float
    costs: dict[str, float]
    calls: Mask


def calibrate(outcomes: Matrix, weak: str, strong: str, wanted: float) -> Calibrated:
    """Find the objective that sends a share of the queries to the strong model.

    Where costs are predicted, the objective weighs them. Otherwise the strong model is given the cost 1, so that the
    weight is the threshold of the predicted difference of quality. A weight below 0 becomes a weight of a cost of the
    weak model.

    Parameters
    ----------
    outcomes
        By how much the outcomes of the strong model exceed the weak one's, (n, 3), see `Preference`.
    wanted
        Share of the queries, from 0 to 1.
    """
    quality, cost = outcomes[:, QUALITY], outcomes[:, COST]
    priced = not np.isnan(cost).any()
    costs: dict[str, float] = {}
    dearer = cost if priced else np.ones(len(quality))
    with np.errstate(divide="ignore", invalid="ignore"):
        turns = quality / dearer  # weights at which a query turns
    known = np.unique(turns[np.isfinite(turns)])
    weights = np.concatenate([[0.0], known[:1] - 1.0, (known[1:] + known[:-1]) / 2, known[-1:] + 1.0])
    if priced:
        weights = weights[weights >= 0]
    dear, cheap = np.sort(turns[dearer > 0]), np.sort(turns[dearer < 0])
    calls = len(dear) - np.searchsorted(dear, weights, "right") + np.searchsorted(cheap, weights, "left")
    calls += ((dearer == 0) & (quality > 0)).sum()
    nearest = np.abs(calls / len(quality) - wanted)
    weight = float(weights[int(nearest.argmin())])
    if not priced:
        costs = {weak: 0.0, strong: 1.0} if weight >= 0 else {weak: 1.0, strong: 0.0}
    return Calibrated(abs(weight), costs, quality > weight * dearer)


class Curve:
    """The recovered share of the gap over the share of calls to the strong model, for each sample of the queries.

    Parameters
    ----------
    scores, gap
        By how much the strong model is preferred, and how much better it is, for each query; (n_queries,).
    samples
        The number of times that each sample holds each query, blocks of shape (b, n_queries); the first sample holds
        all queries once.
    chosen
        Queries that an objective sends to the strong model.
    """

    def __init__(self, scores: Vector, gap: Vector, samples: Iterable[Matrix], chosen: Mask | None = None) -> None:
        order = np.argsort(-scores, kind="stable")
        ordered = scores[order]
        ends = np.append(np.flatnonzero(np.diff(ordered)), len(ordered) - 1)  # equal scores are called together
        edges = np.unique(np.quantile(scores, np.linspace(0, 1, BINS + 1)))[:-1]
        called = np.searchsorted(-ordered, -edges, "right")  # at or above each edge
        bins = np.unique(np.append(np.searchsorted(ends, called - 1), len(ends) - 1))
        whole, areas, of_bins, got = [], [], [], []
        shares: dict[float, list[Vector]] = {part: [] for part in CALL_THRESHOLDS}
        for counts in samples:
            gains = counts * gap
            total = gains.sum(axis=1)
            x = _from_0(counts[:, order].cumsum(axis=1)[:, ends] / counts.sum(axis=1, keepdims=True))
            y = _from_0(gains[:, order].cumsum(axis=1)[:, ends])
            whole.append(total)
            areas.append(area(x, y))
            of_bins.append(area(_from_0(x[:, 1 + bins]), _from_0(y[:, 1 + bins])))
            got.append(np.zeros(len(total)) if chosen is None else gains @ chosen.astype(np.float64))
            for part, found in shares.items():
                found.append(_first(x, y, part * total))
        gaps = np.concatenate(whole)
        self.areas, self.areas_of_bins, self.recovered = (
            share(np.concatenate(parts), gaps) for parts in (areas, of_bins, got)
        )
        undefined = np.isnan(share(gaps, gaps))
        self.call_shares = {part: np.where(undefined, np.nan, np.concatenate(found)) for part, found in shares.items()}


def _from_0(points: Matrix) -> Matrix:
    return np.concatenate([np.zeros((len(points), 1)), points], axis=1)


def _first(x: Matrix, y: Matrix, wanted: Vector) -> Vector:
    """Return the first x at which each curve, (b, k), reaches a wanted value, (b,), by linear interpolation."""
    rows, at = np.arange(len(x)), np.maximum((y >= wanted[:, None]).argmax(axis=1), 1)
    x0, x1, y0, y1 = x[rows, at - 1], x[rows, at], y[rows, at - 1], y[rows, at]
    rise = np.where(y1 > y0, y1 - y0, 1.0)
    return np.asarray(x0 + (x1 - x0) * np.clip((wanted - y0) / rise, 0.0, 1.0))
