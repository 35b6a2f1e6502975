"""Measures how modelpick grows with distinct rows, each size in processes of its own, with one thread and with two."""

import gc
import json
import os
import subprocess
import sys
import tempfile
import time
from functools import partial
from pathlib import Path
from typing import Any

import faiss
import numpy as np
import onnxruntime
from data import WIDTH, distinct
from peers import K, estimator
from rich.console import Console
from rich.table import Table
from script import Plan, Results, benchmark
from timing import interleaved, percentiles

from modelpick.converter import to_artifact
from modelpick.runtime import Selector

FULL = {"rows": [200, 1_000, 5_000, 20_000, 100_000, 150_000], "threads": [1, 2], "turns": 3, "calls": 20_000}
SMOKE = {"rows": [1_000], "threads": [1, 2], "turns": 1, "calls": 500}
BATCH = 64
# Asks the script to measure in its own process.
HERE = "--here"
# Of a turn of single calls, for how long at most.
SECONDS_OF_CALLS = 20
console = Console(width=160)


def resident() -> float:
    """Return the resident MB of this process."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6


def measure_here(folder: Path, threads: int, plan: Plan) -> dict[str, Any]:
    """Measure the artifact of a folder in this process: MB, seconds to load, and microseconds of a query."""
    options = None  # as most callers load
    if threads > 1:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads, options.log_severity_level = threads, 4
    start, before = time.perf_counter(), resident()
    selector = Selector.load(folder / "knn.onnx", sess_options=options)
    loading, loaded = time.perf_counter() - start, resident() - before
    faiss.omp_set_num_threads(threads)
    index = faiss.IndexFlatL2(WIDTH)
    rows, queries = np.load(folder / "rows.npy", mmap_mode="r"), np.load(folder / "queries.npy")
    index.add(np.ascontiguousarray(rows))
    times = {}
    for name, size in (("single", 1), ("batch", BATCH)):
        batch = queries[:size]
        pick = partial(selector.select, batch[0]) if size == 1 else partial(selector.select_batch, batch)
        taken = interleaved({"modelpick": pick, "FAISS flat": partial(index.search, batch, K)}, plan["turns"])
        times[name] = {peer: value / size for peer, value in taken.items()}
    calls = min(plan["calls"], int(SECONDS_OF_CALLS * 1e6 / times["single"]["modelpick"]))
    measured = partial(percentiles, lambda number: selector.select(queries[number]), len(queries), calls)
    tails = {"collected": measured()}
    gc.freeze()
    gc.disable()
    tails["frozen"] = measured()
    return {"loading": loading, "resident": loaded, "microseconds": times, "tails": tails}


def measure(rows: int, plan: Plan) -> dict[str, Any]:
    """Measure one size: the artifact's MB, and by number of threads what `measure_here` measures."""
    data = distinct(rows, 1_000)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        np.save(folder / "rows.npy", data.rows)
        np.save(folder / "queries.npy", data.queries)
        size = (folder / "knn.onnx").write_bytes(to_artifact(estimator(data)))
        del data
        by_threads = {}
        for threads in plan["threads"]:
            command = [sys.executable, __file__, HERE, name, str(threads), json.dumps(plan)]
            environment = os.environ | {"OMP_NUM_THREADS": str(threads), "OPENBLAS_NUM_THREADS": str(threads)}
            done = subprocess.run(command, env=environment, check=True, stdout=subprocess.PIPE, text=True)
            by_threads[threads] = json.loads(done.stdout)
        return {"rows": rows, "megabytes": size / 1e6, "threads": by_threads}


def measure_all(plan: Plan) -> Results:
    """Measure each size."""
    return {"sizes": [measure(rows, plan) for rows in plan["rows"]]}


def show(results: Results) -> None:
    """Print the table."""
    columns = ("file MB", "threads", "load s", "loaded MB", "single µs", "FAISS", "batch µs", "FAISS", "p50", "p99")
    table = Table("distinct rows", *columns, "frozen p99")
    for size in results["sizes"]:
        for threads, found in size["threads"].items():
            times = [value for each in found["microseconds"].values() for value in each.values()]
            tails = [found["tails"]["collected"][name] for name in ("p50", "p99")] + [found["tails"]["frozen"]["p99"]]
            numbers = [found["loading"], found["resident"], *times, *tails]
            cells = (
                f"{size['rows']:,}",
                f"{size['megabytes']:.1f}",
                str(threads),
                *(f"{each:,.1f}" for each in numbers),
            )
            table.add_row(*cells)
    console.print(table)


if __name__ == "__main__":
    if sys.argv[1:2] == [HERE]:
        folder, threads, plan = sys.argv[2:]
        sys.stdout.write(json.dumps(measure_here(Path(folder), int(threads), json.loads(plan))))
    else:
        benchmark(__doc__, "scale.json", (FULL, SMOKE), measure_all, show)
