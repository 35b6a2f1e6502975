"""Timing side by side: the calls of all peers take turns, and the best turn of each counts."""

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

SECONDS_PER_TURN, BLOCK = 0.1, 100


def interleaved(calls: Mapping[str, Callable[[], Any]], turns: int) -> dict[str, float]:
    """Time calls: name -> microseconds per call, the mean of the best of ``turns`` turns."""
    repeats = {name: max(1, int(SECONDS_PER_TURN / _once(call))) for name, call in calls.items()}
    best = dict.fromkeys(calls, float("inf"))
    for _ in range(turns):
        for name, call in calls.items():
            start = time.perf_counter()
            for _ in range(repeats[name]):
                call()
            best[name] = min(best[name], (time.perf_counter() - start) / repeats[name] * 1e6)
    return best


def quick(calls: Mapping[str, Callable[[], Any]], turns: int) -> dict[str, float]:
    """Time single calls, `BLOCK` of each in turn: name -> microseconds that nine of ten exceed, whatever else runs."""
    taken: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(turns):
        for name, call in calls.items():
            for _ in range(BLOCK):
                start = time.perf_counter()
                call()
                taken[name].append((time.perf_counter() - start) * 1e6)
    return {name: _at(10, found) for name, found in taken.items()}


def _once(call: Callable[[], Any]) -> float:
    call()
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def percentiles(call: Callable[[int], Any], inputs: int, calls: int) -> dict[str, float]:
    """Time single calls, each told the number of its input, in turns: microseconds at the median, 99 % and 99.9 %.

    Also the same of the fastest call of each input, "quiet": what inputs need, without what else runs on the machine.
    """
    taken, fastest = [], [float("inf")] * inputs
    for turn in range(calls):
        number = turn % inputs
        start = time.perf_counter()
        call(number)
        taken.append((time.perf_counter() - start) * 1e6)
        fastest[number] = min(fastest[number], taken[-1])
    shares = (50, 99, 99.9)
    return {
        **{f"p{share}": _at(share, taken) for share in shares},
        **{f"quiet p{share}": _at(share, fastest[:calls]) for share in shares},
    }


def _at(share: float, taken: Sequence[float]) -> float:
    return sorted(taken)[min(len(taken) - 1, int(len(taken) * share / 100))]
