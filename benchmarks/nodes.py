"""Shows where the search for one query spends its time: the nodes of its session, by onnxruntime's own profiler."""

import json
import tempfile
from collections import defaultdict
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from data import WIDTH, distinct
from documents import documents, mlp_layers
from peers import bare_call, estimator, session
from rich.console import Console
from rich.table import Table
from script import Plan, Results, benchmark
from timing import interleaved

from modelpick.converter import load_estimator, to_artifact
from modelpick.runtime.artifact.pruning import pruned
from modelpick.runtime.loading import read_contents
from modelpick.runtime.schema import Input
from modelpick.runtime.search.best_choice import SUBGRAPHS
from modelpick.runtime.search.exact import SUBGRAPHS as KNN_SUBGRAPHS
from modelpick.runtime.session import Subgraph

FULL: Plan = {"rows": [200, 1_000, 5_000], "runs": 5_000, "turns": 5}
SMOKE: Plan = {"rows": [1_000], "runs": 200, "turns": 1}
# Nodes that a table names.
SLOWEST = 4
console = Console(width=160)


def measure(artifact: bytes, subgraphs: Sequence[Subgraph], plan: Plan) -> dict[str, Any]:
    """Profile the last subgraph that an artifact has: microseconds of a run, of a bare call, and of each node."""
    _, _, tables, whole = read_contents("benchmark", artifact)
    subgraph = [subgraph for subgraph in subgraphs if subgraph.is_in(tables)][-1]
    single = subgraph.is_single(tables)
    model = pruned(whole, subgraph.outputs, split=False, enables=subgraph.enables, single=single).model
    query = np.random.default_rng(0).normal(size=(1, WIDTH)) / WIDTH**0.5
    feeds = {Input.FEATURES: query.astype(np.float32) if single else query}
    run = partial(session(model).run, list(subgraph.outputs), feeds)
    taken = interleaved({"run": run, "bare call": bare_call(query)}, plan["turns"])
    nodes = defaultdict(list)
    with tempfile.TemporaryDirectory() as folder:
        profiled = session(model, profile=f"{folder}/profile")
        for _ in range(plan["runs"]):
            profiled.run(list(subgraph.outputs), feeds)
        for event in json.loads(Path(profiled.end_profiling()).read_text()):
            if event["cat"] == "Node" and event["name"].endswith("_kernel_time"):
                nodes[event["name"], event["args"]["op_name"]].append(event["dur"])
    medians = sorted(((median(times), kind) for (_, kind), times in nodes.items()), reverse=True)
    return {**taken, "nodes": [{"kind": kind, "microseconds": time} for time, kind in medians]}


def measure_all(plan: Plan) -> Results:
    """Profile KNN on distinct rows, and the models that estimate."""
    measured = {}
    for rows in plan["rows"]:
        artifact = to_artifact(estimator(distinct(rows, 1)))
        measured[f"KNN, {rows:,} distinct rows"] = measure(artifact, KNN_SUBGRAPHS, plan)
    for name, document in documents(mlp_layers()).items():
        if "rbf_classifiers" in document:  # these settle in the graph
            continue
        artifact = to_artifact(load_estimator(json.dumps({"trained": True, **document}).encode()))
        measured[name] = measure(artifact, SUBGRAPHS, plan)
    return {"searches": measured}


def show(results: Results) -> None:
    """Print the table."""
    table = Table("search", "run, us", "bare call, us", "nodes", f"slowest {SLOWEST}, us with the profiler")
    for name, found in results["searches"].items():
        slowest = ", ".join(f"{node['kind']} {node['microseconds']:.0f}" for node in found["nodes"][:SLOWEST])
        cells = (f"{found['run']:.1f}", f"{found['bare call']:.1f}", str(len(found["nodes"])))
        table.add_row(name, *cells, slowest)
    console.print(table)


if __name__ == "__main__":
    benchmark(__doc__, "nodes.json", (FULL, SMOKE), measure_all, show)
