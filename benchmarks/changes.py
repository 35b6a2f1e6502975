"""Makes reports of a harmless, a good and a bad change, to judge what a report says first, and a frontier's picture.

All is done by the command, as a user would. Harmless: the records of thirty more questions. Good: kernel ridge, trained
on all questions, replaces KNN, which was trained on a hundred. Bad: in the records, the names of the best and of the
worst model were swapped.
"""

import argparse
import gzip
import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

LATER, FEW = 30, 100


def modelpick(*arguments: str | Path) -> None:
    """Run the command."""
    subprocess.run([sys.executable, "-m", "modelpick", *map(str, arguments)], check=True, stdout=subprocess.DEVNULL)


def swapped(records: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Swap the names of the models of the highest and the lowest mean quality."""
    names = {one["model_name"] for one in records}
    means = {name: fmean(one["performance"] for one in records if one["model_name"] == name) for name in names}
    best, worst = max(names, key=means.__getitem__), min(names, key=means.__getitem__)
    other = {best: worst, worst: best}
    return [one | {"model_name": other.get(one["model_name"], one["model_name"])} for one in records]


def trained(records: Sequence[dict[str, Any]], algorithm: str, embeddings: Path, folder: Path) -> Path:
    """Train and convert: the artifact."""
    folder.mkdir(parents=True, exist_ok=True)
    data = folder / "records.jsonl"
    data.write_text("".join(json.dumps(one) + "\n" for one in records))
    modelpick("train", "--data", data, "--embeddings", embeddings, "--algorithm", algorithm, "-o", folder)
    modelpick("convert", folder / f"{algorithm}_model.json", "-o", folder / "router.onnx")
    return folder / "router.onnx"


def main() -> None:
    """Make the reports."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="benchmark records with costs, gzipped JSON lines")
    parser.add_argument("--held-out", type=Path, required=True, help="other records, to evaluate on")
    parser.add_argument("--embeddings", type=Path, required=True)
    parser.add_argument("--output", type=Path, required=True, help="folder for the reports")
    given = parser.parse_args()
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    records = [json.loads(line) for line in gzip.decompress(given.data.read_bytes()).split(b"\n") if line]
    questions = list(dict.fromkeys(one["query"] for one in records))
    later, few = set(questions[-LATER:]), set(questions[:FEW])
    made = {
        name: trained(some, algorithm, given.embeddings, given.output / "artifacts" / name)
        for name, algorithm, some in (
            ("all", "kernel_ridge", records),
            ("earlier", "kernel_ridge", [one for one in records if one["query"] not in later]),
            ("few", "knn", [one for one in records if one["query"] in few]),
            ("swapped", "kernel_ridge", swapped(records)),
        )
    }
    shared = ("--data", given.held_out, "--embeddings", given.embeddings)
    for name, before, after in (
        ("harmless", "earlier", "all"),
        ("good", "few", "all"),
        ("bad", "all", "swapped"),
    ):
        written = ("-o", given.output / f"{name}.html", "--summary", given.output / f"{name}.md")
        modelpick("report", made[after], "--against", made[before], *shared, *written)
    modelpick("evaluate", made["all"], *shared, "--plot", given.output / "frontier.svg")


if __name__ == "__main__":
    main()
