"""The choice between a weak and a strong model: how much of their gap is recovered, for how many strong calls."""

from collections.abc import Sequence
from itertools import groupby

import numpy as np
from msgspec import Struct

from modelpick.runtime import DocumentError

from ..formats.outcomes import Benchmark
from ..statistics.bootstrap import Estimate, estimate, ratio, resampled
from ..statistics.frontier import aiq, call_share
from .policies import Policy

CALL_THRESHOLDS = (0.5, 0.8)


class Recovery(Struct):
    """How well an artifact chooses between a weak and a strong model, as RouteLLM measures it."""

    name: str
    apgr: Estimate
    """Average of the gap's recovered part over all shares of calls to the strong model; 0.5 by chance."""
    call_shares: dict[str, Estimate]
    """Recovered part of the gap -> smallest share of calls to the strong model; CPT."""


def recover(
    policies: Sequence[Policy], benchmark: Benchmark, weak: str, strong: str, *, seed: int = 0
) -> list[Recovery]:
    """Measure how much of the gap between two models policies recover, and for how many calls to the strong one.

    Only queries on which both models have an outcome count. APGR averages the recovered part over the share of calls to
    the strong model; CPT is the smallest share that recovers a part: I. Ong et al., RouteLLM: Learning to Route LLMs
    with Preference Data, 2024, section 3. What mixing the points of an artifact reaches counts.

    Parameters
    ----------
    policies
        Of artifacts that were asked to choose between the two.

    Raises
    ------
    DocumentError
        When the models have no common query, or the strong one is not better.
    """
    for name in (weak, strong):
        if name not in benchmark.model_names:
            raise DocumentError(f"expected some of {', '.join(benchmark.model_names)}, got {name}")
    pair = [benchmark.model_names.index(name) for name in (weak, strong)]
    outcomes = benchmark.quality[:, pair]
    both = ~np.isnan(outcomes).any(axis=1)
    outcomes = outcomes[both]
    if not both.any() or outcomes[:, 1].mean() <= outcomes[:, 0].mean():
        raise DocumentError(f"expected records on which {strong} is better than {weak}")
    gains = {"gap": outcomes[:, 1] - outcomes[:, 0], "all": np.ones(len(outcomes))}
    calls = [policy.chances[both, pair[1]] for policy in policies]
    tables = [{"calls": called, "gained": called * gains["gap"]} for called in calls]
    everything, *sums = resampled([gains, *tables], seed)
    # Calling the weak model alone, and the strong one alone.
    ends = np.tile([0.0, 1.0], (len(everything["all"]), 1))
    recoveries = []
    for name, group in groupby(zip(policies, sums, strict=True), key=lambda entry: entry[0].artifact):
        points = [found for _, found in group]
        share = np.column_stack([ends, *(found["calls"] / everything["all"] for found in points)])
        part = np.column_stack([ends, *(ratio(found["gained"], everything["gap"]) for found in points)])
        part[everything["gap"] <= 0] = np.nan
        rows = list(zip(share, part, strict=True))
        apgr = estimate(np.array([aiq(*row, 0.0, 1.0) for row in rows]), len(outcomes))
        shares = {
            f"{w:.0%}": estimate(np.array([call_share(*row, w) for row in rows]), len(outcomes))
            for w in CALL_THRESHOLDS
        }
        recoveries.append(Recovery(name, apgr, shares))
    return recoveries
