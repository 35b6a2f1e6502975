"""Measures modelpick and other libraries, one thread each, and writes tables, JSON and a plot; see README.md."""

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from copy import copy
from functools import partial
from itertools import cycle
from pathlib import Path
from typing import Any
from unittest.mock import patch

import faiss
import numpy as np
from data import KINDS, WIDTH, Data, Matrix
from documents import documents, mlp_layers
from peers import (
    KNN_PEERS,
    OTHER_PEERS,
    Call,
    K,
    bare_call,
    estimator,
    plain_layers,
    select,
    session,
    size_on_disk,
    stock_kmeans,
    stock_machines,
)
from plot import plot_knn
from reference import selections
from rich.console import Console
from rich.table import Table
from script import Plan, Results, benchmark
from sklearn.cluster import KMeans
from threadpoolctl import threadpool_limits
from timing import interleaved, percentiles

from modelpick.converter import load_estimator, to_artifact
from modelpick.runtime import Selector
from modelpick.runtime.session import Run, open_subgraphs

FULL = {
    "rows": [200, 1_000, 5_000, 20_000, 100_000],
    "batches": [1, 64, 1_024],
    "queries": 20_000,
    "calls": 20_000,
    "turns": 5,
}
SMOKE = {"rows": [200, 1_000], "batches": [1, 64], "queries": 500, "calls": 1_000, "turns": 1}
# Above, checking every query against the reference takes longer than all else.
MOST_ROWS_OF_ALL_QUERIES, FEW_QUERIES = 20_000, 2_000
QUERIES_OF_CALLS = 1_000
console = Console(width=200)


def measure_knn(kind: str, n_rows: int, plan: dict[str, Any]) -> dict[str, Any]:
    """Measure one data set: seconds, ratios, exactness, certificate, percentiles, sizes."""
    n_queries = plan["queries"] if n_rows <= MOST_ROWS_OF_ALL_QUERIES else min(plan["queries"], FEW_QUERIES)
    data = KINDS[kind](n_rows, n_queries)
    calls = {name: peer.make(data) for name, peer in KNN_PEERS.items() if n_rows <= peer.most_rows}
    times = {}
    for batch in plan["batches"]:
        chunks = cycle([data.queries[i : i + batch] for i in range(0, min(n_queries, 64 * batch) - batch + 1, batch)])
        taken = interleaved({name: partial(_next, call, chunks) for name, call in calls.items()}, plan["turns"])
        times[batch] = {name: taken[name] / batch if name in taken else None for name in KNN_PEERS}
    selector = Selector.load(to_artifact(estimator(data)))
    return {
        "kind": kind,
        "rows": n_rows,
        "microseconds": times,
        "recall": _recall(calls, data),
        "queries": n_queries,
        "different": int((np.array(selector.select_batch(data.queries)) != _names(data)).sum()),
        "certified": _certified(data),
        **_overhead(selector, data, plan),
        "bytes": size_on_disk(data),
    }


def _next(call: Call, chunks: Iterator[Matrix]) -> Any:
    return call(next(chunks))


def _names(data: Data) -> Any:
    return np.array([f"model-{model}" for model in selections(data, K)])


def _recall(calls: dict[str, Any], data: Data) -> float | None:
    """Share of FAISS's neighbours, by distance, that hnswlib finds too."""
    if "~hnswlib" not in calls:
        return None
    queries = data.queries[:200]
    exact, _ = calls["FAISS flat"](queries)
    _, found = calls["~hnswlib"](queries)
    return float((found <= exact[:, -1:] * (1 + 1e-5)).mean())


def _certified(data: Data) -> float:
    queries = data.queries[:1_000].astype(np.float64)
    certified: Any = session(to_artifact(estimator(data))).run(["certified"], {"features": queries})[0]
    return float(certified.mean())


def _overhead(selector: Selector, data: Data, plan: dict[str, Any]) -> dict[str, Any]:
    """Microseconds of ``select`` without the runs of its session, and the percentiles of ``select``."""
    queries = data.queries[:QUERIES_OF_CALLS].astype(np.float64)
    answers: list[Any] = []
    replays: list[Iterator[Any]] = []

    def open_replayed(*arguments: Any) -> Run:
        run = open_subgraphs(*arguments)

        def replayed_run(*asked: Any) -> Any:
            if replays:
                return next(replays[0])
            answers.append(run(*asked))
            return answers[-1]

        return replayed_run

    with patch("modelpick.runtime.loading.open_subgraphs", open_replayed):
        replayed = copy(selector)
    answers.clear()
    replayed.select(queries[0])
    replays.append(cycle(answers))
    taken = interleaved({"select": partial(replayed.select, queries[0])}, plan["turns"])
    return {
        "overhead": taken["select"],
        **percentiles(lambda number: selector.select(queries[number]), len(queries), plan["calls"]),
    }


def measure_others(plan: dict[str, Any]) -> list[dict[str, Any]]:
    """Measure SVM, KMeans and MLP, scikit-learn, skl2onnx's own graphs, plain layers and bare session calls."""
    vectors = KINDS["clustered"](9 * 500, 64)
    layers = mlp_layers()
    measured = []
    for name, document in documents(layers).items():
        built = load_estimator(json.dumps({"trained": True, **document}).encode())
        calls = {"modelpick": select(Selector.load(to_artifact(built))), "scikit-learn": built.predict}
        if classifiers := getattr(built, "machines_", None):
            calls |= stock_machines(classifiers)
        elif hasattr(built, "cluster_centers_"):
            calls["skl2onnx"] = stock_kmeans(_stock(built.cluster_centers_))
        elif document["algorithm"] == "mlp":
            calls["plain float32"] = plain_layers(layers)
        times = {}
        for batch in plan["batches"][:2]:
            queries = vectors.queries[:batch]
            taken = interleaved(
                {
                    **{peer: partial(call, queries) for peer, call in calls.items()},
                    "bare call": bare_call(queries.astype(np.float64)),
                },
                plan["turns"],
            )
            times[batch] = {peer: value / batch for peer, value in taken.items()}
        measured.append({"model": name, "microseconds": times})
    return measured


def _stock(centres: Any) -> KMeans:
    """Fit a KMeans that has these centroids."""
    return KMeans(len(centres), init=centres.astype(np.float32), n_init=1, max_iter=1).fit(centres.astype(np.float32))


def measure_memory(n_rows: int) -> dict[str, float]:
    """Resident MB that loading an artifact, or a FAISS index, adds to a fresh process."""
    data = KINDS["clustered"](n_rows, 1)
    index = faiss.IndexFlatL2(WIDTH)
    index.add(data.rows)
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "artifact").write_bytes(to_artifact(estimator(data)))
        faiss.write_index(index, str(Path(folder, "index")))
        loads = {
            "modelpick": ("from modelpick.runtime import Selector", "Selector.load(path)"),
            "FAISS flat": ("import faiss", "faiss.read_index(path)"),
        }
        return {
            name: _resident(imports, load, Path(folder, "artifact" if name == "modelpick" else "index"))
            for name, (imports, load) in loads.items()
        }


def _resident(imports: str, load: str, path: Path) -> float:
    code = f"""
import os
{imports}
path = {str(path)!r}
def resident():
    return int(open("/proc/self/statm").read().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6
before = resident()
kept = {load}
print(resident() - before)
"""
    return float(subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout)


def measure_conversion(n_rows: int) -> dict[str, float]:
    """Seconds and peak MB to convert a JSON model in a fresh process, its size in MB, and seconds to load."""
    data = KINDS["clustered"](n_rows * 9, 1)
    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder, "knn.json"), Path(folder, "knn.onnx")
        with source.open("w") as file:
            file.write('{"algorithm": "knn", "trained": true, "k": 5, "embeddings": [')
            for index, row in enumerate(data.rows[::9]):
                file.write(("," if index else "") + json.dumps(row.astype(np.float64).tolist()))
            labels = [f"m{index % 9}" for index in range(n_rows)]
            file.write(f'], "labels": {json.dumps(labels)}}}')
        code = f"""
from modelpick.converter import convert
convert({str(source)!r}, {str(target)!r}, samples=0)
status = dict(line.split(":", 1) for line in open("/proc/self/status"))
print(float(status["VmHWM"].split()[0]) / 1e3)
"""
        start = time.perf_counter()
        done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
        seconds, peak = time.perf_counter() - start, float(done.stdout)
        start = time.perf_counter()
        Selector.load(target)
        load = time.perf_counter() - start
        return {"json": source.stat().st_size / 1e6, "seconds": seconds, "peak": peak, "load": load}


def show(results: dict[str, Any]) -> None:
    """Print the tables."""
    for batch in results["plan"]["batches"]:
        table = Table("data", "rows", *KNN_PEERS, title=f"KNN, microseconds per query, batch {batch} (peer / ours)")
        for row in results["knn"]:
            times = row["microseconds"][batch]
            mine = times["modelpick"]
            cells = ["—" if t is None else f"{t:,.1f} ({t / mine:.1f})" for t in times.values()]
            table.add_row(row["kind"], f"{row['rows']:,}", *cells)
        console.print(table)
    shares = ("p50", "p99", "p99.9", "quiet p50", "quiet p99")
    table = Table("data", "rows", "different", "queries", "certified", "overhead", *shares, "MB", "FAISS MB")
    for row in results["knn"]:
        sizes = [f"{size / 1e6:.1f}" for size in row["bytes"].values()]
        values = [f"{row[name]:.1f}" for name in ("overhead", *shares)]
        counts = [f"{row['different']}", f"{row['queries']:,}", f"{row['certified']:.1%}"]
        table.add_row(row["kind"], f"{row['rows']:,}", *counts, *values, *sizes)
    console.print(table)
    table = Table("model", "batch", "modelpick", *OTHER_PEERS, title="microseconds per query (peer / ours)")
    for row in results["others"]:
        for batch, times in row["microseconds"].items():
            mine = times["modelpick"]
            cells = [f"{times[peer]:,.1f} ({times[peer] / mine:.1f})" if peer in times else "—" for peer in OTHER_PEERS]
            table.add_row(row["model"], str(batch), f"{mine:,.1f}", *cells)
    console.print(table)
    console.print("resident MB after loading:", results["memory"])
    console.print("conversion:", results["conversion"])


def measure(plan: Plan) -> Results:
    """Measure all by a plan, with one thread."""
    faiss.omp_set_num_threads(1)
    measured = []
    with threadpool_limits(1):
        for kind in KINDS:
            for n_rows in plan["rows"]:
                measured.append(measure_knn(kind, n_rows, plan))
                console.print(f"measured {n_rows:,} {kind} rows")
        return {
            "knn": measured,
            "others": measure_others(plan),
            "memory": measure_memory(plan["rows"][-2]),
            "conversion": measure_conversion(plan["rows"][-2]),
        }


def draw(results: Results, folder: Path) -> None:
    """Plot the times of KNN."""
    plot_knn(results, folder / "knn.svg")


if __name__ == "__main__":
    benchmark(__doc__, "results.json", (FULL, SMOKE), measure, show, draw)
