"""Measures how long each command takes to start: to import what it needs and to print its help, in a fresh process."""

import os
import statistics
import subprocess
import sys
import time
from typing import Any

from rich.console import Console
from script import Plan, Results, benchmark

from modelpick.converter.cli.app import COMMANDS

FULL: Plan = {"starts": 5}
SMOKE: Plan = {"starts": 1}
VERSION = "--version"


def measure(arguments: list[str], plan: Plan) -> dict[str, Any]:
    """Start a command some times: milliseconds at the median, also of the processor, and the most resident MB."""
    taken, busy, most = [], [], 0.0
    for _ in range(plan["starts"]):
        start = time.perf_counter()
        process = subprocess.Popen([sys.executable, "-m", "modelpick", *arguments], stdout=subprocess.DEVNULL)
        _, status, used = os.wait4(process.pid, 0)
        taken.append((time.perf_counter() - start) * 1e3)
        busy.append((used.ru_utime + used.ru_stime) * 1e3)
        if status:
            raise SystemExit(f"modelpick {' '.join(arguments)} failed: {status}")
        most = max(most, used.ru_maxrss / 1e3)
    medians = {"milliseconds": statistics.median(taken), "processor": statistics.median(busy)}
    return {**medians, "megabytes": most}


def measure_all(plan: Plan) -> Results:
    """Measure `--version`, and the help of each command."""
    asked = {VERSION: [VERSION], **{command: [command, "--help"] for command in COMMANDS}}
    return {"starts": {command: measure(arguments, plan) for command, arguments in asked.items()}}


def show(results: Results) -> None:
    """Print a line for each command."""
    for command, found in results["starts"].items():
        Console().print(f"{command}: {found['milliseconds']:,.0f} ms, {found['megabytes']:,.0f} MB")


if __name__ == "__main__":
    benchmark(__doc__, "starts.json", (FULL, SMOKE), measure_all, show)
