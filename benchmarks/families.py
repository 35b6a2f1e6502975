"""Measures the six families of algorithms on the same real records, for the chooser of docs/training.md; see README.md.

Everything is done by the command, as a user would: trained, converted, evaluated on records that training never saw.
Times are CPU time of one thread, so that what else runs on the machine counts little.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

from modelpick.converter import read_records
from modelpick.runtime import FeatureBuilder, Selector

TURNS, QUERIES = 20, 200
ONE_THREAD = os.environ | dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")


class Family(NamedTuple):
    """An algorithm, and how the command is told to train it."""

    algorithm: str
    semantics: tuple[str, ...] = ()
    tuned: bool = True
    """Whether settings are tuned: an SVM would take hours, and HierShrink has nothing to tune."""
    predicts: bool = False
    """Whether it predicts outcomes, so that it can keep the quality for less."""


FAMILIES = {
    "knn": Family("knn"),
    "knn, queries": Family("knn", ("--semantics", "queries"), predicts=True),
    "kmeans": Family("kmeans"),
    "svm": Family("svm", tuned=False),
    "mlp": Family("mlp"),
    "hiershrink": Family("hiershrink", tuned=False),
    "kernel_ridge": Family("kernel_ridge", predicts=True),
}


def modelpick(*arguments: str | Path) -> tuple[str, float]:
    """Run the command: what it prints, and its CPU seconds."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    command = [sys.executable, "-m", "modelpick", *map(str, arguments)]
    done = subprocess.run(command, env=ONE_THREAD, stdout=subprocess.PIPE, text=True, check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return done.stdout, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def made(family: Family, data: Path, embeddings: Path, folder: Path) -> tuple[Path, float]:
    """Train and convert: the artifact, and the CPU seconds that training takes once the settings are known."""
    options: list[str | Path] = [
        "--data",
        data,
        "--embeddings",
        embeddings,
        "--algorithm",
        family.algorithm,
        *family.semantics,
    ]
    _, seconds = modelpick("train", *options, "--output", folder)
    if family.tuned:
        modelpick("train", *options, "--output", folder, "--tune")
    modelpick("convert", folder, "--output", folder, *family.semantics)
    return folder / f"{family.algorithm}_model.onnx", seconds


def worth(artifact: Path, data: Path, embeddings: Path, keep: float | None = None) -> Mapping[str, Any]:
    """Evaluate an artifact: its picks by quality alone, or at an operating point."""
    options = [] if keep is None else ["--keep", str(keep)]
    printed, _ = modelpick("evaluate", artifact, "--data", data, "--embeddings", embeddings, "--json", *options)
    results = json.loads(printed)["results"]
    (found,) = (one for one in results if one["kind"] == "artifact" and one["keep"] == keep)
    return {
        name: [rounded(found[name][part]) for part in ("value", "low", "high")] for name in ("gain", "kept", "saved")
    }


def rounded(value: float) -> float:
    """Return the digits that are worth a line in families.json."""
    return float(f"{value:.6g}")


def microseconds(artifacts: Mapping[str, Path], data: Path, embeddings: Path) -> dict[str, float]:
    """Time picks of one query in turns: CPU time of a call, the best turn of each."""
    records = read_records(data, embeddings=embeddings)
    assert records.embeddings is not None
    best = dict.fromkeys(artifacts, float("inf"))
    selectors = {name: Selector.load(artifact) for name, artifact in artifacts.items()}
    width = next(iter(selectors.values())).metadata.n_features_in
    queries = [*FeatureBuilder(width).build_batch(records.embeddings[:QUERIES], records.categories[:QUERIES])]
    for _ in range(TURNS):
        for name, selector in selectors.items():
            start = time.process_time()
            for query in queries:
                selector.select(query)
            best[name] = min(best[name], (time.process_time() - start) / len(queries) * 1e6)
    return best


def measure(data: Path, held_out: Path, embeddings: Path) -> dict[str, Any]:
    """Measure all families."""
    with TemporaryDirectory() as folder:
        found: dict[str, Any] = {}
        artifacts = {}
        for number, (name, family) in enumerate(FAMILIES.items()):
            artifact, seconds = made(family, data, embeddings, Path(folder) / str(number))
            artifacts[name] = artifact
            found[name] = {
                "train": rounded(seconds),
                "bytes": artifact.stat().st_size,
                **worth(artifact, held_out, embeddings),
                "keep": worth(artifact, held_out, embeddings, 1.0) if family.predicts else None,
            }
            print(f"{name}: {found[name]}", flush=True)
        for name, taken in microseconds(artifacts, held_out, embeddings).items():
            found[name]["microseconds"] = rounded(taken)
    return found


def main() -> None:
    """Measure, print, and write families.json; without the records, nothing is measured."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="benchmark records with costs")
    parser.add_argument("--held-out", type=Path, required=True, help="records to evaluate on")
    parser.add_argument("--embeddings", type=Path, required=True, help="their embeddings, .npz")
    parser.add_argument("--output", type=Path, help="folder for families.json")
    arguments = parser.parse_args()
    files = (arguments.data, arguments.held_out, arguments.embeddings)
    if absent := [str(file) for file in files if not file.exists()]:
        print(f"nothing is measured: there is no {', no '.join(absent)}")
        return
    text = json.dumps(measure(*files), indent=1)
    print(text)
    if arguments.output is not None:
        arguments.output.mkdir(parents=True, exist_ok=True)
        (arguments.output / "families.json").write_text(text + "\n")


if __name__ == "__main__":
    main()
