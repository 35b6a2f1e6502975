"""Measures what evaluation says of a selector from logs, beside what complete records of the same questions say.

A selector is trained on some questions. The answers to the others become logs of one answer a question, drawn by three
policies. From each log the selector's gain and savings are estimated, and compared with what all answers say.
"""

import argparse
import json
import time
from collections.abc import Iterator
from itertools import product
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import msgspec
import numpy as np

from modelpick.converter import convert, read_records, train, training_data
from modelpick.converter.evaluation.evaluate import Evaluation, evaluate_policies
from modelpick.converter.evaluation.policies import Policy, artifact_policies
from modelpick.converter.evaluation.simulation import HARD, UNIFORM, chances_of, simulated
from modelpick.converter.evaluation.verdict import verdicts
from modelpick.converter.formats.outcomes import Benchmark, Matrix
from modelpick.converter.statistics.bootstrap import Estimate

Results = dict[str, Any]
# Questions whose answers become logs; the selector is trained on the others.
HELD_OUT, SPLIT = 2_489, 0
SEEDS = 20
KEEP = 0.95
# Probability with which logs of one pick a question hold another model's answer.
EXPLORED = 0.3
JUDGED = ("gain", "saved")
WITHOUT = ", without propensities"


def logs_of(records: Benchmark, best: str) -> dict[str, Matrix]:
    """Return the chances of each logging policy, by its description."""
    return {
        "uniform": chances_of(records, UNIFORM, 0.0),
        f"best single model in {1 - EXPLORED:.0%}": chances_of(records, best, EXPLORED),
        "hard questions to the best single model": chances_of(records, HARD, EXPLORED),
    }


def told(found: Evaluation) -> Results:
    """Return what an evaluation says of the selector, unasked and at `KEEP`."""
    policies = {
        one.name: {kind: estimated(one.estimate(kind)) for kind in JUDGED}
        | {
            "effective_sample": one.effective_sample and round(one.effective_sample),
            "largest_weight": one.largest_weight and round(one.largest_weight, 2),
            "verdict": verdict.text,
        }
        for one, verdict in zip(found.of("artifact"), verdicts(found), strict=True)
    }
    (single,) = (one for one in found.of("single") if one.name == found.baseline)
    return {
        "estimator": found.estimator,
        "best_single": estimated(single.quality),
        "policies": policies,
    }


def estimated(found: Estimate) -> list[float]:
    """Return the digits of an estimate and of its interval that are worth a line in logs.json."""
    return [round(value, 6) for value in (found.value, found.low, found.high)]


def plain(log: Benchmark, picks: Matrix, single: str) -> dict[str, float]:
    """Return plain means of a log's answers: of the best single model, and by how much the selector's exceed them."""
    best, picked = log.quality[:, log.model_names.index(single)], log.quality[picks > 0]
    return {
        "best_single": round(float(np.nanmean(best)), 6),
        "gain": round(float(np.nanmean(picked) - np.nanmean(best)), 6),
    }


def drawn(
    policies: list[Policy], records: Benchmark, chances: Matrix, seed: int, *, with_propensities: bool
) -> Results:
    """Draw a log, and evaluate the selector's picks on it."""
    log = simulated(records, chances, seed)
    log = log if with_propensities else log._replace(propensities=None)
    found = evaluate_policies(policies, log, seed=seed)
    return told(found) | {"plain": plain(log, policies[0].chances, found.baseline)}


def summary(runs: list[Results], truth: Results) -> Results:
    """Count the intervals of each policy that hold the truth, and average their half-widths."""
    found: Results = {}
    for name, true in truth["policies"].items():
        for kind in JUDGED:
            values, lows, highs = np.array([run["policies"][name][kind] for run in runs]).T
            found.setdefault(name, {})[kind] = {
                "held": int(((lows <= true[kind][0]) & (true[kind][0] <= highs)).sum()),
                "of": len(runs),
                "mean": round(float(values.mean()), 4),
                "half_width": round(float((highs - lows).mean() / 2), 4),
            }
    return found


def by_log(
    policies: list[Policy], records: Benchmark, truth: Results, best: str, seeds: int
) -> Iterator[tuple[str, Results]]:
    """Yield what is said from each kind of log, and then from the same logs without propensities."""
    chances = logs_of(records, best)
    for (suffix, given), (kind, policy) in product((("", True), (WITHOUT, False)), chances.items()):
        name = kind + suffix
        runs = [drawn(policies, records, policy, seed, with_propensities=given) for seed in range(seeds)]
        found = summary(runs, truth)
        print(f"{name}: {found}; {runs[0]}", flush=True)
        yield name, {"summary": found, "runs": runs}


def measure(folder: Path, seeds: int) -> Results:
    """Train, draw logs, evaluate."""
    data, embeddings = folder / "llmrouter_train3000.jsonl.gz", folder / "embeddings.npz"
    records = read_records(data, embeddings=embeddings)
    order = np.random.default_rng(SPLIT).permutation(len(records.queries))
    learned, held_out = (records.of(np.sort(part)) for part in (order[HELD_OUT:], order[:HELD_OUT]))
    with TemporaryDirectory() as temporary:
        artifact = Path(temporary) / "selector.onnx"
        convert(msgspec.json.encode(train(training_data(learned), "kernel_ridge")), artifact)
        policies = artifact_policies(artifact, held_out, label="selector", keeps=[KEEP])
        complete = evaluate_policies(policies, held_out)
        truth, best = told(complete), complete.baseline
        print(f"truth: {truth}", flush=True)
        return {
            "questions": {"learned": len(learned.queries), "held_out": len(held_out.queries)},
            "best_single_model": best,
            "truth": truth,
            "logs": dict(by_log(policies, held_out, truth, best, seeds)),
        }


def main() -> None:
    """Measure, print, and write logs.json; without the records, nothing is measured."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path, help="folder of the records with costs, and of their embeddings")
    parser.add_argument("--seeds", type=int, default=SEEDS, help="logs of each kind")
    parser.add_argument("--output", type=Path, help="folder for logs.json")
    arguments = parser.parse_args()
    if not arguments.data.exists():
        print(f"nothing is measured: there is no {arguments.data}")
        return
    start = time.perf_counter()
    results = measure(arguments.data.resolve(), arguments.seeds)
    print(f"{time.perf_counter() - start:.0f} seconds")
    if arguments.output is not None:
        arguments.output.mkdir(parents=True, exist_ok=True)
        (arguments.output / "logs.json").write_text(json.dumps(results, indent=1) + "\n")


if __name__ == "__main__":
    main()
