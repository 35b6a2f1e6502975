"""Measures whether selectors keep what they promise, trained again and again on complete records and on logs.

Each seed divides the questions anew. A selector is trained on 3,000 questions: on all answers to them, on the log of a
policy that picks at random, and on the log of one that mostly calls the best single model. It picks by ``keep=0.95``
for the other questions, and all answers to those say what it kept. Where no operating point promises that share,
``keep`` is refused, and the best single model is called instead.
"""

import argparse
import json
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from modelpick.converter import load_estimator, read_records, to_artifact, train, training_data
from modelpick.converter.evaluation.simulation import UNIFORM, chances_of, simulated
from modelpick.converter.formats.outcomes import Benchmark
from modelpick.converter.training.crossvalidation import best_single
from modelpick.runtime import FeatureError, Selector

Results = dict[str, Any]
LEARNED, SEEDS = 3_000, 10
KEEP, ENOUGH = 0.95, 0.93
# Share of the questions of which a log of mostly one model holds the answer of a model that was drawn.
EXPLORED = 0.3
FILES = ("llmrouter_train3000.jsonl.gz", "llmrouter_test500.jsonl.gz")


def pooled(folder: Path) -> Benchmark:
    """Return the questions of all files."""
    parts = [read_records(folder / name, embeddings=folder / "embeddings.npz") for name in FILES]
    models = parts[0].model_names
    if any(part.model_names != models for part in parts):
        raise ValueError("expected the same models in the same order in all files")
    merged: Results = {
        name: [each for part in parts for each in getattr(part, name)] for name in ("queries", "categories", "places")
    }
    merged |= {
        name: np.concatenate([getattr(part, name) for part in parts]) for name in ("recorded", "failures", "embeddings")
    }
    return parts[0]._replace(**merged)


def learned_from(records: Benchmark, seed: int) -> dict[str, Benchmark]:
    """Return the training records by their description: all answers, and two logs of one answer a question."""
    best = records.model_names[best_single(records.quality)]
    policies = {"uniform log": (UNIFORM, 0.0), f"log of the best single model in {1 - EXPLORED:.0%}": (best, EXPLORED)}
    logs = {
        name: simulated(records, chances_of(records, policy, explored), seed)
        for name, (policy, explored) in policies.items()
    }
    return {"all answers": records, **logs}


def delivered(learned: Benchmark, held_out: Benchmark, single: int) -> Results:
    """Train, and compare the picks by `KEEP` with a single model on held-out questions."""
    document = train(training_data(learned), "kernel_ridge")
    with Selector.load(to_artifact(load_estimator(msgspec.json.encode(document)))) as selector:
        found: Results = {"most_promised": round(max(point.promised for point in selector.points), 4)}
        try:
            picked = selector.select_batch(training_data(held_out).features, keep=KEEP)
        except FeatureError:
            assert selector.metadata.best_single is not None
            picked = [selector.metadata.best_single.model] * len(held_out.queries)
            found["refused"] = True
    models = np.array([held_out.model_names.index(model) for model in picked])
    rows = np.arange(len(models))
    kept = held_out.quality[rows, models].mean() / held_out.quality[:, single].mean()
    saved = 1 - held_out.cost[rows, models].mean() / held_out.cost[:, single].mean()
    return found | {"kept": round(float(kept), 4), "saved": round(float(saved), 4)}


def summary(runs: list[Results]) -> Results:
    """Count the seeds that kept enough, and average what was kept and saved."""
    return {
        "seeds": len(runs),
        "kept_enough": sum(run["kept"] >= ENOUGH for run in runs),
        "refused": sum(run.get("refused", False) for run in runs),
        **{
            f"{name}_{of}": round(float(summed([run[name] for run in runs])), 4)
            for name in ("kept", "saved")
            for of, summed in (("least", min), ("mean", np.mean), ("most", max))
        },
    }


def measure(records: Benchmark, seeds: int) -> Results:
    """Train by each seed, and print each result."""
    runs: dict[str, list[Results]] = {}
    single = best_single(records.quality)
    for seed in range(seeds):
        order = np.random.default_rng(seed).permutation(len(records.queries))
        learned, held_out = (records.of(np.sort(part)) for part in (order[:LEARNED], order[LEARNED:]))
        for name, part in learned_from(learned, seed).items():
            runs.setdefault(name, []).append(delivered(part, held_out, single))
            print(f"seed {seed}, {name}: {runs[name][-1]}", flush=True)
    return {name: {"summary": summary(found), "runs": found} for name, found in runs.items()}


def main() -> None:
    """Measure, print, and write promise.json."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, help=f"folder of {', '.join(FILES)} and embeddings.npz")
    parser.add_argument("--seeds", type=int, default=SEEDS)
    parser.add_argument("--output", type=Path, help="folder for promise.json")
    arguments = parser.parse_args()
    if not arguments.folder.exists():
        print(f"nothing is measured: there is no {arguments.folder}")
        return
    records = pooled(arguments.folder)
    plan = {"learned": LEARNED, "held_out": len(records.queries) - LEARNED, "keep": KEEP, "enough": ENOUGH}
    results = {"plan": plan, "learned_from": measure(records, arguments.seeds)}
    for name, found in results["learned_from"].items():
        print(name, found["summary"])
    if arguments.output is not None:
        arguments.output.mkdir(parents=True, exist_ok=True)
        (arguments.output / "promise.json").write_text(json.dumps(results, indent=1) + "\n")


if __name__ == "__main__":
    main()
