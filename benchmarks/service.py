"""Measures what a service pays around a selection: concurrent callers, watching, and imports; see README.md."""

import asyncio
import statistics
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable
from functools import partial
from itertools import cycle
from typing import Any

from data import EMBEDDING_WIDTH, clustered
from peers import estimator
from prometheus_client import CollectorRegistry
from rich.console import Console
from rich.table import Table
from script import Plan, Results, benchmark
from threadpoolctl import threadpool_limits
from timing import interleaved

from modelpick.converter import to_artifact
from modelpick.runtime import BatchingSelector, DriftMonitor, Selector
from modelpick.runtime.serving.prometheus import PrometheusObserver

CALLERS = (1, 8, 64)
FULL = {"rows": [200, 5_000, 100_000], "seconds": 2.0, "turns": 5, "imports": 15}
SMOKE = {"rows": [200], "seconds": 0.1, "turns": 1, "imports": 1}
IMPORTS = ("numpy", "onnxruntime", "modelpick.runtime")
console = Console(width=200)


def measure_callers(artifact: bytes, queries: Any, seconds: float) -> dict[str, dict[int, dict[str, float]]]:
    """Measure requests a second, and microseconds of one, where callers of an event loop ask again once answered."""
    measured: dict[str, dict[int, dict[str, float]]] = {}
    with Selector.load(artifact) as selector:

        async def plain(query: Any) -> str:
            await asyncio.sleep(0)
            return selector.select(query)

        async def run(callers: int) -> None:
            for name, ask in (("select", plain), ("aselect", selector.aselect)):
                measured.setdefault(name, {})[callers] = await _load(ask, callers, queries, seconds)
            async with BatchingSelector(selector) as batching:
                taken = await _load(batching.select, callers, queries, seconds)
                measured.setdefault("BatchingSelector", {})[callers] = taken

        for callers in CALLERS:
            asyncio.run(run(callers))
    return measured


async def _load(ask: Callable[[Any], Awaitable[str]], callers: int, queries: Any, seconds: float) -> dict[str, float]:
    taken: list[float] = []
    end = time.perf_counter() + seconds

    async def caller(first: int) -> None:
        for query in cycle([*queries[first:], *queries[:first]]):
            start = time.perf_counter()
            if start > end:
                return
            await ask(query)
            taken.append(time.perf_counter() - start)

    await asyncio.gather(*(caller(number % len(queries)) for number in range(callers)))
    taken.sort()
    return {
        "per_second": len(taken) / seconds,
        "p50": taken[len(taken) // 2] * 1e6,
        "p99": taken[len(taken) * 99 // 100] * 1e6,
    }


def measure_watching(artifact: bytes, queries: Any, turns: int) -> dict[str, float]:
    """Measure a request as it is, watched, and built from an embedding: microseconds."""
    query, embedding = queries[0], queries[0][:EMBEDDING_WIDTH]
    plain = Selector.load(artifact)
    told = Selector.load(artifact, observer=lambda event: None)
    counted = Selector.load(artifact, observer=PrometheusObserver(CollectorRegistry()))
    monitor = DriftMonitor()
    return interleaved(
        {
            "select": partial(plain.select, query),
            "select, embedding and category": partial(plain.select, embedding=embedding, category="math"),
            "select, observer": partial(told.select, query),
            "select, Prometheus": partial(counted.select, query),
            "drift and DriftMonitor": lambda: monitor.observe(plain.drift(query)),
            "Selector.load": partial(Selector.load, artifact),
        },
        turns,
    )


def measure_imports(times: int) -> dict[str, dict[str, float]]:
    """Measure imports in fresh processes: milliseconds, the median, and resident MB."""
    measured = {}
    for module in IMPORTS:
        code = f"""
import os, time
start = time.perf_counter()
import {module}
taken = time.perf_counter() - start
print(taken * 1e3, int(open("/proc/self/statm").read().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6)
"""
        runs = [
            [float(value) for value in subprocess.check_output([sys.executable, "-c", code]).split()]
            for _ in range(times)
        ]
        taken, resident = (statistics.median(values) for values in zip(*runs, strict=True))
        measured[module] = {"milliseconds": taken, "resident": resident}
    return measured


def show(results: dict[str, Any]) -> None:
    """Print the tables."""
    for rows, measured in results["callers"].items():
        columns = [f"{callers} callers" for callers in CALLERS]
        table = Table(f"{rows:,} rows", *columns, title="requests a second (microseconds of one: p50, p99)")
        for name, by_callers in measured.items():
            cells = [f"{m['per_second']:,.0f} ({m['p50']:,.0f}, {m['p99']:,.0f})" for m in by_callers.values()]
            table.add_row(name, *cells)
        console.print(table)
    table = Table("microseconds", *(f"{rows:,} rows" for rows in results["watching"]))
    for name in next(iter(results["watching"].values())):
        table.add_row(name, *(f"{measured[name]:,.1f}" for measured in results["watching"].values()))
    console.print(table)
    table = Table("import", "ms", "resident MB")
    for module, measured in results["imports"].items():
        table.add_row(module, f"{measured['milliseconds']:.0f}", f"{measured['resident']:.0f}")
    console.print(table)


def measure(plan: Plan) -> Results:
    """Measure all by a plan."""
    results: Results = {"callers": {}, "watching": {}, "imports": measure_imports(plan["imports"])}
    with threadpool_limits(1):
        for rows in plan["rows"]:
            data = clustered(rows, 64)
            artifact = to_artifact(estimator(data))
            results["callers"][rows] = measure_callers(artifact, data.queries, plan["seconds"])
            results["watching"][rows] = measure_watching(artifact, data.queries, plan["turns"])
    return results


if __name__ == "__main__":
    benchmark(__doc__, "service.json", (FULL, SMOKE), measure, show)
