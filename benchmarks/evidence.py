"""Measures whether trained selectors are worth calling, on real records that their training never saw; see README.md.

Everything is as the commands do it: settings are tuned on training queries alone, the JSON model is trained on them and
converted, and the artifact picks for the queries that were held out.
"""

import argparse
import json
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import numpy as np
import numpy.typing as npt

from modelpick.converter import convert
from modelpick.converter.algorithms.row import Semantics
from modelpick.converter.evaluation.evaluate import Evaluation, evaluate_policies
from modelpick.converter.evaluation.policies import Policy, artifact_policies
from modelpick.converter.evaluation.verdict import verdicts
from modelpick.converter.formats.outcomes import Benchmark, Settings, Training
from modelpick.converter.statistics.folds import splits
from modelpick.converter.training.crossvalidation import best_single
from modelpick.converter.training.records import read_records
from modelpick.converter.training.train import train, trainer, training_data
from modelpick.converter.training.tune import best_settings, tune

KEEPS = (1.0, 0.95)
SHOWN = ("quality", "cost", "gain", "kept", "saved", "over_mix")


class Contender(NamedTuple):
    """What is trained."""

    algorithm: str
    semantics: str
    tuned: tuple[str, ...]
    """Settings that tuning chooses."""


CONTENDERS = {
    "kernel_ridge": Contender("kernel_ridge", Semantics.native, ("gamma", "ridge", "landmarks")),
    "knn, queries": Contender("knn", Semantics.queries, ("k", "evidence")),
}


class Picked(NamedTuple):
    """How a contender picks, unasked and at each of `KEEPS`, and the settings that tuning chose."""

    policies: list[Policy]
    settings: Settings


def picked(label: str, training: Training, held_out: Benchmark) -> Picked:
    """Tune and train a contender, convert it, and let the artifact pick."""
    contender = CONTENDERS[label]
    rules = trainer(contender.algorithm, semantics=contender.semantics)
    settings = best_settings(tune(training, rules))
    document = msgspec.json.encode(train(training._replace(settings=settings), rules))
    with tempfile.TemporaryDirectory() as folder:
        artifact = Path(folder) / "selector.onnx"
        convert(document, artifact, semantics=contender.semantics)
        return Picked(artifact_policies(artifact, held_out, label=label, keeps=KEEPS), settings)


def part_of(benchmark: Benchmark, training: Training, queries: npt.NDArray[np.int64]) -> Benchmark:
    """Return the records of some of the queries, with their embeddings."""
    assert benchmark.embeddings is not None
    return training.of(queries).benchmark._replace(embeddings=benchmark.embeddings[queries])


def joined(parts: Sequence[tuple[npt.NDArray[np.int64], Policy]], n_queries: int) -> Policy:
    """Join the picks of one policy for the queries of each fold."""
    first = parts[0][1]
    chances, picks = np.zeros((n_queries, first.chances.shape[1])), np.zeros(n_queries, dtype=object)
    for queries, policy in parts:
        chances[queries], picks[queries] = policy.chances, policy.picks
    return first._replace(chances=chances, picks=picks.tolist())


def crossvalidated(benchmark: Benchmark) -> dict[str, Any]:
    """Hold out each fold once; the best single model is the best in hindsight, which no service could know."""
    training = training_data(benchmark)
    parts: dict[str, list[list[tuple[npt.NDArray[np.int64], Policy]]]] = {label: [] for label in CONTENDERS}
    settings: dict[str, list[Settings]] = {label: [] for label in CONTENDERS}
    learned_best = []
    for learned, held_out in splits(training.features, training.settings.seed):
        learned_best.append(benchmark.model_names[best_single(benchmark.quality[learned])])
        for label in CONTENDERS:
            found = picked(label, training.of(learned), part_of(benchmark, training, held_out))
            parts[label].append([(held_out, policy) for policy in found.policies])
            settings[label].append(found.settings)
    policies = [
        joined(of_point, len(training.features)) for label in CONTENDERS for of_point in zip(*parts[label], strict=True)
    ]
    return {"best_single_of_each_fold": learned_best} | report(evaluate_policies(policies, benchmark), settings)


def held_out(benchmark: Benchmark, data: Benchmark) -> dict[str, Any]:
    """Train on all records, and look once at others; the best single model is the one of the training records."""
    training = training_data(benchmark)
    found = {label: picked(label, training, data) for label in CONTENDERS}
    policies = [policy for one in found.values() for policy in one.policies]
    evaluation = evaluate_policies(policies, data, learned=benchmark)
    return report(evaluation, {label: [one.settings] for label, one in found.items()})


def report(evaluation: Evaluation, settings: dict[str, list[Settings]]) -> dict[str, Any]:
    """Return what is shown of an evaluation, and what was tuned on each fold's training queries."""
    judged = {verdict.policy: verdict for verdict in verdicts(evaluation)}
    singles = [one for one in evaluation.of("single") if one.name == evaluation.baseline]
    return {
        "queries": evaluation.queries,
        "best_single": evaluation.baseline,
        "tuned": {
            label: [{name: getattr(chosen, name) for name in CONTENDERS[label].tuned} for chosen in of_folds]
            for label, of_folds in settings.items()
        },
        "policies": [
            {"name": one.name, "kind": one.kind}
            | {name: rounded(one.estimate(name)) for name in SHOWN}
            | ({"pays": judged[one.name].pays, "verdict": judged[one.name].text} if one.name in judged else {})
            for one in (*singles, *evaluation.of("artifact"))
        ],
    }


def rounded(estimate: Any) -> list[float]:
    """Return an estimate and the ends of its interval."""
    return [float(f"{value:.6g}") for value in (estimate.value, estimate.low, estimate.high)]


def main() -> None:
    """Measure, print, and write evidence.json."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="benchmark records with costs")
    parser.add_argument("--embeddings", type=Path, help="their embeddings, .npz")
    parser.add_argument("--held-out", type=Path, help="look at these records too, after training on all of --data")
    parser.add_argument("--output", type=Path, help="folder for evidence.json")
    arguments = parser.parse_args()
    benchmark = read_records(arguments.data, embeddings=arguments.embeddings)
    results = {"crossvalidated": crossvalidated(benchmark)}
    if arguments.held_out is not None:
        results["held_out"] = held_out(benchmark, read_records(arguments.held_out, embeddings=arguments.embeddings))
    text = json.dumps(results, indent=1)
    print(text)
    if arguments.output is not None:
        arguments.output.mkdir(parents=True, exist_ok=True)
        (arguments.output / "evidence.json").write_text(text + "\n")


if __name__ == "__main__":
    main()
