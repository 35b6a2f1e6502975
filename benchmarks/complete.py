"""Compares training and evaluation on complete records with those of another commit: their seconds, and their numbers.

Both sides tune, train, convert and evaluate by the command, in turns. Times are CPU time of one thread.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

ROOT = Path(__file__).parents[1]
TURNS = 3
ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
Results = dict[str, Any]


def checked_out(commit: str, folder: Path) -> Path:
    """Write the files of a commit, and return the folder that holds its package."""
    source, package = folder / "source", folder / "package" / "modelpick"
    source.mkdir()
    package.mkdir(parents=True)
    archive = subprocess.run(["git", "archive", commit], cwd=ROOT, stdout=subprocess.PIPE, check=True).stdout
    subprocess.run(["tar", "-x", "-C", source], input=archive, check=True)
    for part in (*(source / "package").iterdir(), source / "converter", source / "runtime"):
        (package / part.name).symlink_to(part)
    return package.parent


def seconds(side: Path | None, *arguments: str | Path) -> tuple[str, float]:
    """Run the command of a commit, or of this checkout: what it prints, and its CPU seconds."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    environment = os.environ | ONE_THREAD | ({} if side is None else {"PYTHONPATH": str(side)})
    command = [sys.executable, "-m", "modelpick", *map(str, arguments)]
    done = subprocess.run(command, env=environment, cwd=side, stdout=subprocess.PIPE, text=True, check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return done.stdout, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def numbers(printed: str) -> Results:
    """Return the estimates of an evaluation by policy, except those at operating points, whose rule may differ."""
    shown = ("quality", "cost", "seconds", "success", "regret", "gain", "kept", "saved", "gap_closed", "over_mix")
    return {
        one["name"]: {name: [one[name][part] for part in ("value", "low", "high")] for name in shown}
        for one in json.loads(printed)["results"]
        if "keep=" not in one["name"]
    }


def measure(folder: Path, commit: str) -> Results:
    """Tune, train, convert and evaluate on both sides."""
    learned, held_out = folder / "llmrouter_test500.jsonl.gz", folder / "llmrouter_train3000.jsonl.gz"
    embeddings = ("--embeddings", folder / "embeddings.npz")
    with TemporaryDirectory() as temporary:
        sides = {"this": None, "other": checked_out(commit, Path(temporary))}
        least: dict[str, dict[str, float]] = {"tune": {}, "evaluate": {}}
        found: Results = {}
        for _ in range(TURNS):
            for name, side in sides.items():
                target = Path(temporary) / name
                training = ("train", "--data", learned, *embeddings, "--algorithm", "kernel_ridge", "-o", target)
                _, tuning = seconds(side, *training, "--tune")
                seconds(side, *training)
                artifact = target / "kernel_ridge_model.onnx"
                seconds(side, "convert", target, "-o", target)
                asked = ("evaluate", artifact, "--data", held_out, *embeddings, "--keep", "0.95", "--json")
                printed, evaluating = seconds(side, *asked)
                found[name] = numbers(printed)
                for what, taken in (("tune", tuning), ("evaluate", evaluating)):
                    least[what][name] = min(taken, least[what].get(name, taken))
        common = found["this"].keys() & found["other"].keys()
        return {
            "commit": commit,
            "seconds": {what: {side: round(taken, 2) for side, taken in of.items()} for what, of in least.items()},
            "ratio": {what: round(of["this"] / of["other"], 2) for what, of in least.items()},
            "policies": len(common),
            "same_numbers": all(found["this"][name] == found["other"][name] for name in common),
        }


def main() -> None:
    """Measure, print, and write complete.json; without the records, nothing is measured."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path, help="folder of the records with costs, and of their embeddings")
    parser.add_argument("--commit", required=True, help="the commit to compare with")
    parser.add_argument("--output", type=Path, help="folder for complete.json")
    arguments = parser.parse_args()
    if not arguments.data.exists():
        print(f"nothing is measured: there is no {arguments.data}")
        return
    text = json.dumps(measure(arguments.data.resolve(), arguments.commit), indent=1)
    print(text)
    if arguments.output is not None:
        arguments.output.mkdir(parents=True, exist_ok=True)
        (arguments.output / "complete.json").write_text(text + "\n")


if __name__ == "__main__":
    main()
