"""Measures how often a log without propensities is said to depend on its questions, by logs of known policies.

Complete records become logs of one answer a question, drawn by policies that look at the question and by policies that
do not. The first should be found out, the others at most at the level of the test.
"""

import argparse
import json
import time
from pathlib import Path
from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits

from modelpick.converter import read_records
from modelpick.converter.evaluation.simulation import HARD, UNIFORM, chances_of, simulated
from modelpick.converter.formats.outcomes import Benchmark
from modelpick.converter.statistics.estimation import ASSUMED, estimated

ANSWERS = (100, 500, 2_000)
SEEDS = 100
# Description of a policy -> its name, where None is the best single model, the share of questions that it explores, and
# whether it looks at the question.
POLICIES = {
    "uniform": (UNIFORM, 0.0, False),
    "best single model in 70 %": (None, 0.3, False),
    "best single model in 95 %": (None, 0.05, False),
    "hard questions to the best single model, 30 % explored": (HARD, 0.3, True),
    "hard questions to the best single model, 60 % explored": (HARD, 0.6, True),
}


def found_out(records: Benchmark, answers: int, policy: str | None, explored: float, seeds: int) -> int:
    """Count the logs of a policy, each of other questions, that are said to depend on them."""
    best = records.model_names[int(records.quality.mean(axis=0).argmax())]
    found = 0
    for seed in range(seeds):
        questions = np.random.default_rng(seed).permutation(len(records.queries))[:answers]
        some = records.of(np.sort(questions))
        log = simulated(some, chances_of(some, policy or best, explored), seed)
        found += estimated(log._replace(propensities=None), seed).estimator == ASSUMED
    return found


def measure(folder: Path, seeds: int) -> dict[str, Any]:
    """Count, for each policy and number of answers."""
    records = read_records(folder / "llmrouter_train3000.jsonl.gz", embeddings=folder / "embeddings.npz")
    policies = {}
    for name, (policy, explored, looks) in POLICIES.items():
        found = {str(answers): found_out(records, answers, policy, explored, seeds) for answers in ANSWERS}
        print(f"{name}: {found} of {seeds}", flush=True)
        policies[name] = {"looks": looks, "found": found}
    return {"logs": seeds, "policies": policies}


def main() -> None:
    """Measure, print, and write confounded.json; without the records, nothing is measured."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path, help="folder of the records, and of their embeddings")
    parser.add_argument("--seeds", type=int, default=SEEDS, help="logs of each kind")
    parser.add_argument("--output", type=Path, help="folder for confounded.json")
    arguments = parser.parse_args()
    if not arguments.data.exists():
        print(f"nothing is measured: there is no {arguments.data}")
        return
    start = time.process_time()
    with threadpool_limits(1):
        results = measure(arguments.data.resolve(), arguments.seeds)
    print(f"{time.process_time() - start:.0f} seconds of CPU time")
    if arguments.output is not None:
        arguments.output.mkdir(parents=True, exist_ok=True)
        (arguments.output / "confounded.json").write_text(json.dumps(results, indent=1) + "\n")


if __name__ == "__main__":
    main()
