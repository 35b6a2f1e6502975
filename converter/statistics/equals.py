"""Models that their records do not tell apart: one under two names, or at limits that its answers never reach."""

from collections.abc import Hashable, Mapping

import numpy as np

from ..formats.decoding import Vector
from ..formats.outcomes import Benchmark
from ..formats.words import MOST_MODELS, listed
from .bootstrap import WANTED

# Share of a mean that its roundings are below.
ROUNDING = 1e-12


def equals(records: Mapping[str, Hashable]) -> dict[str, list[str]]:
    """Return models of equal records: the first of them, and the others."""
    found: dict[Hashable, list[str]] = {}
    for model, of_model in records.items():
        found.setdefault(of_model, []).append(model)
    return {first: others for first, *others in found.values() if others}


def equal_models(benchmark: Benchmark) -> dict[str, list[str]]:
    """Return models whose outcomes are the same on all questions, of which a model answered `WANTED` or more."""
    answered = (~np.isnan(benchmark.quality)).sum(axis=0)
    return equals(
        {
            name: benchmark.recorded[:, :, model].tobytes()
            for model, name in enumerate(benchmark.model_names)
            if answered[model] >= WANTED
        }
    )


def first_highest(means: Vector) -> int:
    """Return the first model of the highest mean, (n_models,): among equal models, roundings do not choose."""
    highest = float(np.nanmax(means))
    return int(np.flatnonzero(means >= highest - ROUNDING * abs(highest))[0])


def alike(first: str, others: list[str], and_nobody: str = "") -> str:
    """Say that models have equal records; ", and nobody calls" is continued by "it" or "them"."""
    have, them = ("have", "them") if len(others) > 1 else ("has", "it")
    nobody = f"{and_nobody} {them}" if and_nobody else ""
    return f"{listed(others, MOST_MODELS)} {have} the same records as {first}{nobody}"
