"""Measures what a decision, and ``far``, take more than a pick, on KNN and on kernel ridge; see README.md."""

import json
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
from data import clustered
from rich.console import Console
from rich.table import Table
from script import Plan, Results, benchmark
from threadpoolctl import threadpool_limits
from timing import quick

from modelpick.converter import load_estimator, to_artifact
from modelpick.converter.algorithms.base import Estimator
from modelpick.converter.algorithms.knn.estimators import KNNModelSelector, OutcomeModelSelector
from modelpick.runtime import Decision, Selector

FULL, SMOKE = {"turns": 200}, {"turns": 5}
ROWS, K, SUPPORT, WIDTH, MODELS, FAR = 5_000, 5, 500, 398, 9, 0.99


def kernel_ridge() -> tuple[bytes, Any]:
    """Make an artifact of random coefficients, and a query."""
    rng = np.random.default_rng(0)
    vectors = rng.normal(size=(SUPPORT, WIDTH))
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    outcomes = {}
    for kind in ("quality", "cost", "seconds"):
        coefficients = 0.05 * rng.normal(size=(SUPPORT, MODELS))
        coefficients -= coefficients.mean(axis=0)
        outcomes[kind] = {"dual_coef": coefficients.tolist(), "intercept": [0.5] * MODELS}
    names = [f"model-{number}" for number in range(MODELS)]
    model = {"algorithm": "kernel_ridge", "trained": True, "model_names": names, "default": names[0], "gamma": 4.0}
    model |= {"format_version": 2, "support_vectors": vectors.tolist(), "outcomes": outcomes}
    return to_artifact(load_estimator(json.dumps(model).encode())), rng.normal(size=WIDTH)


def knn(by_queries: bool = False) -> tuple[bytes, Any]:
    """Make an artifact of clustered rows, which vote or predict outcomes, and a query."""
    data = clustered(ROWS, 64)
    rows, labels = data.rows.astype(np.float64), [f"model-{model}" for model in data.models]
    fitted: Estimator
    if by_queries:
        outcomes = np.column_stack([data.qualities, data.latencies, data.latencies])
        fitted = OutcomeModelSelector(K).fit(rows, labels, outcomes)
    else:
        fitted = KNNModelSelector(K).fit(rows, labels, data.qualities, data.latencies)
    return to_artifact(fitted), data.queries[0].astype(np.float64)


ARTIFACTS: dict[str, Callable[[], tuple[bytes, Any]]] = {
    f"KNN, {ROWS:,} rows": knn,
    f"KNN by queries, {ROWS:,} rows": partial(knn, by_queries=True),
    f"kernel ridge, {SUPPORT} rows": kernel_ridge,
}


def outcomes_of(decide: Callable[[], Decision]) -> Any:
    """Decide, and ask for the predictions."""
    return decide().outcomes


def measure(plan: Plan) -> Results:
    """Measure by a plan: microseconds of each call, by artifact."""
    results: Results = {"deciding": {}}
    with threadpool_limits(1):
        for name, make in ARTIFACTS.items():
            artifact, query = make()
            selector = Selector.load(artifact)
            decide = partial(selector.decide, query, key="a conversation")
            calls = {
                "select": partial(selector.select, query),
                "decide": decide,
                "decide, explore=0.05": partial(decide, explore=0.05),
                "the same, where it explores": partial(decide, explore=1.0),
                "decide, and its outcomes": partial(outcomes_of, decide),
            }
            if selector.metadata.outcomes:
                calls["select, far=0.99"] = partial(Selector.load(artifact, far=FAR).select, query)
            results["deciding"][name] = quick(calls, plan["turns"])
    return results


def show(results: Results) -> None:
    """Print the table."""
    table = Table("microseconds", *results["deciding"])
    for name in max(results["deciding"].values(), key=len):
        measured = (of_artifact.get(name) for of_artifact in results["deciding"].values())
        table.add_row(name, *("-" if took is None else f"{took:.1f}" for took in measured))
    Console(width=120).print(table)


if __name__ == "__main__":
    benchmark(__doc__, "deciding.json", (FULL, SMOKE), measure, show)
