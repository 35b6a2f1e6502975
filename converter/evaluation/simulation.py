"""Logs drawn from complete records by a chosen policy, to try out what a service's own log will tell."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from modelpick.runtime import DocumentError
from modelpick.runtime.decision.outcomes import KINDS

from ..formats.outcomes import Benchmark, Matrix
from .policies import artifact_policies

# Names of the policies that need no artifact.
UNIFORM, HARD = "uniform", "hard"


def is_artifact(policy: str) -> bool:
    """Whether the name of a policy is that of an artifact's file."""
    return policy.endswith(".onnx")


def chances_of(benchmark: Benchmark, policy: str, explore: float) -> Matrix:
    """Return the probability with which a policy picks each model for each question, (n_queries, n_models).

    Parameters
    ----------
    policy
        "uniform"; "hard", which sends questions of a mean quality below the median to the best model, and all other
        questions to the other models; the name of a model; or the path of an artifact, which ends in ".onnx".
    explore
        Total probability of the models that the policy does not pick, as in `modelpick.runtime.Selector`: another
        model is drawn, each with equal probability.

    Raises
    ------
    DocumentError
        When the policy is unknown.
    ArtifactError, FeatureError
        When an artifact is refused, or does not fit the records.
    """
    n, m = benchmark.quality.shape
    if policy == UNIFORM:
        return np.full((n, m), 1 / m)
    if is_artifact(policy):
        (found,) = artifact_policies(policy, benchmark, label=policy)
        picks = found.chances
    elif policy == HARD:
        best = int(np.nanmean(benchmark.quality, axis=0).argmax())
        means = benchmark.quality.mean(axis=1)
        hard = means < np.median(means)
        picks = np.where(hard[:, None], np.eye(m)[best], (1 - np.eye(m)[best]) / max(m - 1, 1))
    elif policy in benchmark.model_names:
        picks = np.tile(np.eye(m)[benchmark.model_names.index(policy)], (n, 1))
    else:
        known = ", ".join((UNIFORM, HARD, *benchmark.model_names))
        raise DocumentError(f"policy: expected an artifact or one of {known}, got {policy}")
    return explored(picks, explore)


def explored(picks: Matrix, explore: float) -> Matrix:
    """Return the chances of each model where, with the probability ``explore``, another one than the pick is drawn."""
    m = picks.shape[1]
    return picks if m == 1 else np.asarray((1 - explore) * picks + explore * (1 - picks) / (m - 1))


def simulated(benchmark: Benchmark, chances: Matrix, seed: int = 0) -> Benchmark:
    """Draw a log: for each question the answer of one model, with its propensity.

    Parameters
    ----------
    benchmark
        Records in which each model answered each question.
    chances
        See `chances_of`.

    Raises
    ------
    DocumentError
        When a model has no answer to a question.
    """
    lacking = np.argwhere(np.isnan(benchmark.quality))
    if len(lacking):
        query, model = lacking[0].tolist()
        raise DocumentError(
            f"{benchmark.places[query]}: expected records of every model for every question, got none of "
            f"{benchmark.model_names[model]}"
        )
    drawn = _drawn(chances, seed)
    only = np.arange(chances.shape[1]) == drawn[:, None]
    return benchmark._replace(
        recorded=np.where(only[:, None], benchmark.recorded, np.nan),
        failures=np.where(only, benchmark.failures, np.nan),
        propensities=np.where(only, chances, np.nan),
        times=None if benchmark.times is None else np.where(only, benchmark.times, np.nan),
    )


def _drawn(chances: Matrix, seed: int) -> npt.NDArray[np.int64]:
    uniform = np.random.default_rng(seed).random(len(chances))
    drawn = chances.cumsum(axis=1) > uniform[:, None] * chances.sum(axis=1, keepdims=True)
    return np.asarray(drawn.argmax(axis=1), dtype=np.int64)


def to_records(log: Benchmark, policy: str, *, propensities: bool = True) -> Iterator[dict[str, Any]]:
    """Yield the records of a log, as `read_records` reads them; with propensities unless ``propensities=False``."""
    fields = {next(iter(kind.fields)): log.recorded[:, place] for place, kind in enumerate(KINDS)}
    for query, model in np.argwhere(~np.isnan(log.quality)).tolist():
        record: dict[str, Any] = {"query": log.queries[query], "category": log.categories[query]}
        record["model_name"] = log.model_names[model]
        record |= {name: float(of[query, model]) for name, of in fields.items() if not np.isnan(of[query, model])}
        if log.failed[query, model]:
            record["success"] = False
        if log.embeddings is not None and not np.isnan(log.embeddings[query]).any():
            record["embedding"] = log.embeddings[query].tolist()
        if propensities:
            record["propensity"] = float(log.propensity[query, model])
        if log.times is not None and not np.isnan(log.times[query, model]):
            record["timestamp"] = float(log.times[query, model])
        yield record | {"decision_id": f"d{query}", "policy": policy}
