"""Measures what selectors do with unseen tasks, new models, other words and many models, and whether predictions hold.

``python -m benchmarks.public.unseen DATA --output benchmarks/results`` writes unseen.json; DATA is the folder of the
public records, see benchmarks/README.md. All is as ``modelpick evaluate`` measures it.
"""

import argparse
import json
import random
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from modelpick.converter import Settings, make_encoder, read_records, to_artifact
from modelpick.converter.evaluation.calibration import calibration
from modelpick.converter.evaluation.few import few_answers
from modelpick.converter.evaluation.leave_out import leave_out
from modelpick.converter.evaluation.policies import quality_of
from modelpick.converter.evaluation.retraining import Recipe
from modelpick.converter.evaluation.rewording import Flips, Pairs, flips
from modelpick.converter.formats.outcomes import Benchmark
from modelpick.converter.statistics.bootstrap import estimated_mean, resampled, with_known
from modelpick.converter.statistics.folds import splits
from modelpick.converter.training.records import required_embeddings, values_of
from modelpick.converter.training.train import trainer, training_data
from modelpick.runtime import Selector
from modelpick.runtime.decision.outcomes import COST, QUALITY
from modelpick.runtime.text import Encoder

from .predictions import corrected, reached

# The settings are not tuned, so that no question that is picked for has a part in them.
RECIPES = {
    "kernel_ridge": Recipe(trainer("kernel_ridge"), Settings(), one_hot=True),
    "knn, queries": Recipe(trainer("knn", semantics="queries"), Settings(k=50), one_hot=True),
}
ANSWERS = (10, 50, 200)
# Qualities to ask for.
ENOUGH = (0.5, 0.6, 0.7, 0.8, 0.9)
# Questions that are reworded by rules; files of RouterDC's records.
REWORDED, PARTS_OF_SETS = 200, ("train", "test")
# Limits of tokens; queries that are timed one by one, and turns.
LIMITS, TIMED, TURNS = (100, 400, 1_600, 6_400), 200, 7


def routing(data: Path, name: str = "llmrouter_train3000") -> Benchmark:
    """Read the records of nine models."""
    return read_records(data / f"{name}.jsonl.gz", embeddings=data / "embeddings.npz")


def measure_calibration(data: Path) -> dict[str, Any]:
    """Predict for questions that training did not see: in five folds, and for a shifted set."""
    records, shifted = routing(data), routing(data, "llmrouter_test500")
    order = [shifted.model_names.index(name) for name in records.model_names]
    found: dict[str, Any] = {}
    for name, recipe in RECIPES.items():
        predicted = np.full(records.quality.shape, np.nan)
        for learned, held_out in splits(required_embeddings(records), 0):
            predicted[held_out] = _predicted(recipe, records.of(learned), records.of(held_out))
        of_shifted = np.full(shifted.quality.shape, np.nan)
        of_shifted[:, order] = _predicted(recipe, records, shifted)
        found[name] = {
            "five folds": calibration(name, predicted, records.quality, records.categories),
            "shifted": calibration(name, of_shifted, shifted.quality, shifted.categories),
            "corrected": corrected(predicted, records, of_shifted, shifted),
            "at_least": {str(enough): reached(enough, predicted, records) for enough in ENOUGH},
            "at_least, shifted": {str(enough): reached(enough, of_shifted, shifted) for enough in ENOUGH},
        }
    return found


def _predicted(recipe: Recipe, learned: Benchmark, asked: Benchmark) -> Any:
    """Return the predicted quality of the learned models, (n_queries, n_models)."""
    with recipe.trained(learned) as selector:
        features = selector.features.build_batch(required_embeddings(asked), asked.categories)
        order = [selector.model_names.index(name) for name in learned.model_names]
        return selector.predict_outcomes(features)[:, QUALITY, order]


def measure_tasks(data: Path) -> dict[str, Any]:
    """Leave out each set of RouterDC's records, and each category of the others."""
    file = data / "routerdc_train.jsonl.gz"
    sets = read_records(file, embeddings=data / "embeddings_public.npz")
    groups = {"routerdc": (sets, values_of(file, "set", sets))}
    nine = routing(data)
    groups["routing"] = nine, nine.categories
    return {
        name: {of: leave_out(recipe, records, names) for of, (records, names) in groups.items()}
        for name, recipe in RECIPES.items()
    }


def measure_models(data: Path) -> dict[str, Any]:
    """Hold a third of nine models out, and add them by a few answers each."""
    records = routing(data)
    return {name: few_answers(recipe, records, ANSWERS) for name, recipe in RECIPES.items()}


def measure_words(data: Path) -> dict[str, list[Any]]:
    """Reword questions of nine models by rules; for questions of GSM8K, take the words of a language model."""
    with tempfile.TemporaryDirectory() as folder:
        make_encoder(data.parent / "encoder/minilm-l6-v2", Path(folder) / "encoder.onnx")
        encoder = Encoder.load(Path(folder) / "encoder.onnx")
        ways = {"LLMRouter, by rules": _by_rules, "GSM8K, by a language model": _by_a_model}
        found = {name: list(way(data, encoder, Path(folder))) for name, way in ways.items()}
        encoder.close()
    return {name: measured for name, measured in found.items() if measured}


def _by_rules(data: Path, encoder: Encoder, folder: Path) -> Sequence[Flips]:
    """Put a polite sentence before questions, write them in lower case, and make two typing errors."""
    records, asked = routing(data), routing(data, "llmrouter_test500")
    drawn, some = random.Random(0), np.random.default_rng(0).permutation(len(asked.queries))[:REWORDED]
    texts = [asked.queries[place] for place in some]
    ways = {
        "politely": [f"Could you help me with this? {text}" for text in texts],
        "in lower case": [text.lower() for text in texts],
        "mistyped": [_mistyped(text, drawn) for text in texts],
    }
    first = encoder.embed(texts).astype(np.float64)
    second = np.concatenate([encoder.embed(reworded).astype(np.float64) for reworded in ways.values()])
    categories = [asked.categories[place] for place in some] * len(ways)
    return flips(_artifacts(records, folder), Pairs(np.tile(first, (len(ways), 1)), second, categories), asked)


def _by_a_model(data: Path, encoder: Encoder, folder: Path) -> Sequence[Flips]:
    """Pair RouterDC's test questions of GSM8K, which stand in its order, with their rewordings, if they are there."""
    file = data / "rephrase_gsm8k.jsonl"
    if not file.exists():
        print(f"{file}: left out, as it is not there: see benchmarks/README.md", file=sys.stderr)
        return []
    embeddings = data / "embeddings_public.npz"
    learned, test = (read_records(data / f"routerdc_{part}.jsonl.gz", embeddings=embeddings) for part in PARTS_OF_SETS)
    of_set = np.array(values_of(data / "routerdc_test.jsonl.gz", "set", test)) == "gsm8k"
    asked = test.of(np.flatnonzero(of_set))
    lines = [json.loads(line)["text"] for line in file.read_text().splitlines()]
    reworded = [text.removeprefix("Question: ").partition("\nAnswer:")[0] for text in lines]
    first, second = (encoder.embed(texts).astype(np.float64) for texts in (asked.queries, reworded))
    return flips(_artifacts(learned, folder), Pairs(first, second, asked.categories), asked)


def _artifacts(records: Benchmark, folder: Path) -> dict[str, Path]:
    artifacts = {}
    for name, recipe in RECIPES.items():
        assert recipe.row.fit is not None
        training = training_data(records, recipe.settings, one_hot=recipe.one_hot)
        artifacts[name] = folder / f"{name}.onnx"
        artifacts[name].write_bytes(to_artifact(recipe.row.fit(training)))
    return artifacts


def measure_many(data: Path) -> dict[str, Any]:
    """Pick among few models, and among many that differ little: at limits of tokens, and equal ones.

    An answer takes tokens that are drawn, as many by each model; one that a limit cuts is worth nothing. Times are CPU
    time of a pick.
    """
    learned, asked = routing(data), routing(data, "llmrouter_test500")
    best = learned.model_names[int(learned.quality.mean(axis=0).argmax())]
    found: dict[str, dict[str, Any]] = {}
    for name, limits, twins in (("9", (), 0), ("9 and an equal one", (), 1), ("36 and 4 equal ones", LIMITS, 4)):
        records, held_out = (_many(each, limits, twins, best) for each in (learned, asked))
        single = held_out.quality[:, held_out.model_names.index(f"{best}@{limits[-1]}" if limits else best)]
        for algorithm, recipe in RECIPES.items():
            with recipe.trained(records) as selector:
                features = selector.features.build_batch(required_embeddings(asked), asked.categories)
                gained = quality_of(selector.select_batch(features), held_out) - single
                (sums,) = resampled([with_known({"gain": gained})], 0)
                found.setdefault(name, {})[algorithm] = {
                    "gain": estimated_mean(sums, "gain"),
                    "microseconds": {
                        "one": _microseconds(partial(_one_by_one, selector, features[:TIMED]), TIMED),
                        "of 500": _microseconds(partial(selector.select_batch, features), len(features)),
                    },
                }
    return found


def _many(records: Benchmark, limits: Sequence[int], twins: int, best: str) -> Benchmark:
    """Return records of each model at each limit, and of models equal to the best one."""
    needed = np.random.default_rng(1).lognormal(np.log(300.0), 0.7, len(records.queries))
    names, columns = [], []
    for place, name in enumerate(records.model_names):
        for limit in limits or (None,):
            column = records.recorded[:, :, place].copy()
            if limit is not None:
                column[:, QUALITY] = np.where(needed <= limit, column[:, QUALITY], 0.0)
                column[:, COST] *= np.minimum(needed, limit) / needed.mean()
            names.append(name if limit is None else f"{name}@{limit}")
            columns.append(column)
    of_best = columns[names.index(best if not limits else f"{best}@{limits[-1]}")]
    names, columns = [*names, *(f"equal-{number}" for number in range(twins))], [*columns, *[of_best] * twins]
    recorded = np.stack(columns, axis=2)
    failures = np.zeros((len(recorded), len(names)))
    return records._replace(model_names=names, recorded=recorded, failures=failures)


def _one_by_one(selector: Selector, features: Any) -> None:
    for query in features:
        selector.select(query)


def _microseconds(act: Callable[[], object], queries: int) -> float:
    """Return the CPU time of a query, the best of some turns."""
    best = np.inf
    for _ in range(TURNS):
        start = time.process_time()
        act()
        best = min(best, time.process_time() - start)
    return round(best / queries * 1e6, 1)


def _mistyped(text: str, drawn: random.Random) -> str:
    """Swap two letters within two of the longer words."""
    words = text.split(" ")
    long = [place for place, word in enumerate(words) if len(word) > 3]
    for place in drawn.sample(long, min(2, len(long))):
        word = words[place]
        at = drawn.randrange(1, len(word) - 2)
        words[place] = word[:at] + word[at + 1] + word[at] + word[at + 2 :]
    return " ".join(words)


PARTS: dict[str, Callable[[Path], Any]] = {
    "calibration": measure_calibration,
    "tasks": measure_tasks,
    "models": measure_models,
    "words": measure_words,
    "many": measure_many,
}


def main() -> None:
    """Measure the parts, print them, and replace them in unseen.json."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.public.unseen", description=__doc__)
    parser.add_argument("data", type=Path, help="folder of the records")
    parser.add_argument("--part", choices=PARTS, action="append", help="what to measure; all by default")
    parser.add_argument("--output", type=Path, help="folder for unseen.json")
    arguments = parser.parse_args()
    for name in arguments.part or PARTS:
        results = {name: msgspec.to_builtins(PARTS[name](arguments.data))}
        print(json.dumps(results, indent=1))
        if arguments.output is not None:
            arguments.output.mkdir(parents=True, exist_ok=True)
            target = arguments.output / "unseen.json"
            known = json.loads(target.read_text()) if target.exists() else {}
            target.write_text(json.dumps(known | results, indent=1) + "\n")


if __name__ == "__main__":
    main()
