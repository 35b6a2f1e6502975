"""Measures rules of choosing settings by nested cross-validation: ``python -m benchmarks.public.tuning FOLDER``.

Each rule chooses from the same cross-validation of the same training questions of a fold, and its choice picks for the
questions that the fold holds out. The rule of the product is that of `modelpick.converter.training.tune`.
"""

import argparse
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from modelpick.converter import Settings, best_settings, read_records, training_data, tune
from modelpick.converter.formats.outcomes import Benchmark, Training
from modelpick.converter.statistics.folds import splits
from modelpick.converter.training.crossvalidation import judged, objectives_of
from modelpick.converter.training.train import trainer
from modelpick.converter.training.tune import Tried

from .protocol import interval

SEEDS = (0, 1)
FILES = {
    "RouterDC": ("routerdc_train.jsonl.gz", "embeddings_public.npz"),
    "LLMRouter": ("llmrouter_train3000.jsonl.gz", "embeddings.npz"),
}
# Support vectors are drawn, so that rules choose from the grid alone.
LANDMARKS = 1_000
Vector = npt.NDArray[np.float64]
Rule = Callable[[Sequence[Tried]], Settings]


def highest(tried: Sequence[Tried]) -> Settings:
    """Take the highest score."""
    return max(tried, key=lambda one: one.score).settings


def least_error(tried: Sequence[Tried]) -> Settings:
    """Take the least error of differences, whatever the picks are worth."""
    return min(tried, key=lambda one: one.error).settings


RULES: dict[str, Rule] = {
    "the highest score": highest,
    "the least error of differences": least_error,
    "the least error near the highest score: the product": best_settings,
}


def measure(benchmark: Benchmark) -> dict[str, Any]:
    """Measure the rules on records."""
    row = trainer("kernel_ridge")
    values: dict[str, list[Vector]] = {rule: [] for rule in RULES}
    chosen: dict[str, list[list[float]]] = {rule: [] for rule in RULES}
    for seed in SEEDS:
        training = training_data(benchmark, Settings(seed=seed, landmarks=LANDMARKS))
        found = {rule: np.empty(len(benchmark.queries)) for rule in RULES}
        for learned, held_out in splits(training.features, seed):
            part = training.of(learned)
            tried = tune(part, row)
            for rule, choose in RULES.items():
                settings = choose(tried)
                chosen[rule].append([settings.gamma, settings.ridge])
                found[rule][held_out] = _utility(part, settings, training, held_out)
        for rule, of_seed in found.items():
            values[rule].append(of_seed)
    everything = [np.arange(len(benchmark.queries))]
    means = {rule: np.mean(of_seeds, axis=0) for rule, of_seeds in values.items()}
    first = means[next(iter(RULES))]
    return {
        rule: {
            "utility": interval(100 * mean, everything),
            "over the first": interval(100 * (mean - first), everything),
            "settings": chosen[rule],
        }
        for rule, mean in means.items()
    }


def _utility(part: Training, settings: Settings, training: Training, held_out: npt.NDArray[np.int64]) -> Vector:
    """Return the mean utility over the objectives that tuning judges by, of picks for held-out queries."""
    row, asked = trainer("kernel_ridge"), training.benchmark.of(held_out)
    objectives = objectives_of(part, row, judged(part))
    (trial,) = row.trials(part, training.features[held_out], [settings])
    places = np.arange(len(held_out))
    found: Vector = np.mean([asked.utilities(each)[places, trial.pick(each)] for each in objectives], axis=0)
    return found


def main() -> None:
    """Measure the rules on both records, print, and write tuning.json."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.public.tuning", description=__doc__)
    parser.add_argument("data", type=Path, help="folder of the records, see benchmarks/README.md")
    parser.add_argument("--output", type=Path, help="folder for tuning.json")
    arguments = parser.parse_args()
    results = {
        name: measure(read_records(arguments.data / file, embeddings=arguments.data / embeddings))
        for name, (file, embeddings) in FILES.items()
    }
    print(json.dumps(results, indent=1))
    if arguments.output is not None:
        arguments.output.mkdir(parents=True, exist_ok=True)
        (arguments.output / "tuning.json").write_text(json.dumps(results, indent=1) + "\n")


if __name__ == "__main__":
    main()
