"""What the scripts of this folder share: their options, and the results that they write."""

import argparse
import json
import os
import platform
from collections.abc import Callable, Iterator
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

PACKAGES = ("modelpick", "numpy", "onnxruntime", "scikit-learn", "skl2onnx", "faiss-cpu", "hnswlib")
Plan = dict[str, Any]
Results = dict[str, Any]


def machine() -> dict[str, Any]:
    """Describe the machine and the versions."""
    lines = Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else []
    names = [line.split(":")[1].strip() for line in lines if line.startswith("model name")]
    return {
        "processor": names[0] if names else platform.processor(),
        "cores": os.cpu_count(),
        "python": platform.python_version(),
        **dict(_installed()),
    }


def _installed() -> Iterator[tuple[str, str]]:
    """Yield each package that is installed, and its version."""
    for package in PACKAGES:
        with suppress(PackageNotFoundError):
            yield package, version(package)


def benchmark(
    says: str | None,
    name: str,
    plans: tuple[Plan, Plan],
    measure: Callable[[Plan], Results],
    show: Callable[[Results], None],
    draw: Callable[[Results, Path], None] | None = None,
) -> None:
    """Measure by a plan, print, and write the results to the folder that the command line names, if it names one.

    Parameters
    ----------
    says
        What the script measures.
    name
        Name of the file that is written.
    plans
        The whole plan, and that of ``--smoke``.
    measure, show, draw
        Measures by a plan; prints the results; writes more of them to the folder.
    """
    parser = argparse.ArgumentParser(description=says)
    parser.add_argument("--smoke", action="store_true", help="a short form, which only shows that it works")
    parser.add_argument("--output", type=Path, help=f"folder for {name}")
    arguments = parser.parse_args()
    plan = plans[arguments.smoke]
    results = {"machine": machine(), "plan": plan, **measure(plan)}
    show(results)
    if arguments.output is not None:
        arguments.output.mkdir(parents=True, exist_ok=True)
        (arguments.output / name).write_text(json.dumps(results, indent=1) + "\n")
        if draw is not None:
            draw(results, arguments.output)
