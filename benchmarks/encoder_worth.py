"""Measures what picks are worth by an encoder's static vectors, its 8-bit weights, and itself; see README.md.

For each, kernel ridge is trained on embeddings alone by its default settings, as the commands do it, converted, and
picks for questions that it was not trained on: in 5 folds, and for records that were held out.
"""

import argparse
import json
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import numpy as np
import numpy.typing as npt
from evidence import KEEPS, joined, part_of, rounded

from modelpick.converter import convert
from modelpick.converter.encoders.distil import Distillation
from modelpick.converter.encoders.make import Quantisation, make_encoder
from modelpick.converter.evaluation.evaluate import evaluate_policies
from modelpick.converter.evaluation.policies import Policy, artifact_policies
from modelpick.converter.files.rows import read_rows
from modelpick.converter.formats.outcomes import Benchmark, Training
from modelpick.converter.statistics.bootstrap import Estimate, estimate, mean_of, resampled, with_known
from modelpick.converter.statistics.folds import splits
from modelpick.converter.training.crossvalidation import best_single
from modelpick.converter.training.encoding import encode
from modelpick.converter.training.records import read_records
from modelpick.converter.training.train import train, training_data
from modelpick.runtime import DocumentError
from modelpick.runtime.text import Encoder

ALGORITHM, SEED = "kernel_ridge", 0
WHOLE = "float32"
ENCODERS: dict[str, dict[str, Any]] = {
    WHOLE: {},
    "int8": {"quantise": Quantisation.int8},
    "static": {"distil": Distillation()},
}
Values = npt.NDArray[np.float64]
Benchmarks = dict[str, Benchmark]


class Records(NamedTuple):
    """Files of records: to train on, and held out."""

    train: str
    held_out: str
    group: str | None = None
    """Field of a row that names its set of questions; the means of sets count alike."""
    folds: bool = False
    """Whether the records to train on are cross-validated, too."""


RECORDS = {
    "LLMRouter": Records("llmrouter_train3000.jsonl.gz", "llmrouter_test500.jsonl.gz", folds=True),
    "RouterDC": Records("routerdc_train.jsonl.gz", "routerdc_test.jsonl.gz", group="set"),
}


def encoders(folder: Path, work: Path) -> dict[str, Encoder]:
    """Make each of `ENCODERS`, unless it is there already."""
    made = {}
    for name, how in ENCODERS.items():
        file = work / f"{name}.onnx"
        if not file.exists():
            make_encoder(folder, file, **how)
        made[name] = Encoder.load(file)
    return made


def embedded(file: Path, by: Mapping[str, Encoder], work: Path) -> Benchmarks:
    """Read records, and embed their questions by each encoder; embeddings are kept in the folder for work."""
    link = work / file.name
    link.unlink(missing_ok=True)
    link.symlink_to(file.absolute())
    records = read_records(link)
    return {name: encode(records, encoder, link) for name, encoder in by.items()}


def groups(file: Path, field: str | None, benchmark: Benchmark) -> npt.NDArray[np.int64]:
    """Return the number of each question's set, (n,)."""
    if field is None:
        return np.zeros(len(benchmark.queries), np.int64)
    rows = (row.fields for row in read_rows(file, DocumentError).rows)
    of = {row["query"]: row[field] for row in rows}
    return np.unique([of[query] for query in benchmark.queries], return_inverse=True)[1]


def estimated(values: Values, group: npt.NDArray[np.int64]) -> Estimate:
    """Estimate the mean over sets of the mean of each set: values, (n,)."""
    columns = {str(number): np.where(group == number, values, np.nan) for number in np.unique(group)}
    (sums,) = resampled([with_known(columns)], SEED)
    return estimate(np.mean([mean_of(sums, name) for name in columns], axis=0), len(values))


def report(
    policies: Mapping[str, list[Policy]], benchmark: Benchmark, learned: Benchmark, group: npt.NDArray[np.int64]
) -> dict[str, Any]:
    """Return what the picks by each encoder are worth, with paired intervals."""
    single = benchmark.model_names.index(learned.model_names[best_single(learned.quality)])
    quality = {name: (of[0].chances * np.nan_to_num(benchmark.quality)).sum(axis=1) for name, of in policies.items()}
    of_single = np.nan_to_num(benchmark.quality[:, single])
    evaluation = evaluate_policies([policy for of in policies.values() for policy in of], benchmark, learned=learned)
    judged = {one.name: one for one in evaluation.of("artifact")}
    found = {
        name: {
            "quality": rounded(estimated(values, group)),
            "over single": rounded(estimated(values - of_single, group)),
            "over whole": rounded(estimated(values - quality[WHOLE], group)),
            **{
                f"saved at {policy.keep:g}": rounded(judged[policy.label].estimate("saved"))
                for policy in policies[name]
                if policy.keep is not None
            },
        }
        for name, values in quality.items()
    }
    return {"queries": len(of_single), "single": rounded(estimated(of_single, group)), "encoders": found}


def picked(name: str, training: Training, data: Benchmark) -> list[Policy]:
    """Train on some questions, convert, and let the artifact pick for others: unasked, and at each of `KEEPS`."""
    with tempfile.TemporaryDirectory() as folder:
        artifact = Path(folder) / "selector.onnx"
        convert(msgspec.json.encode(train(training, ALGORITHM)), artifact, samples=0)
        keeps = () if np.isnan(data.cost).all() else KEEPS
        return artifact_policies(artifact, data, label=name, keeps=keeps)


def crossvalidated(benchmarks: Benchmarks) -> dict[str, list[Policy]]:
    """Pick for each fold by artifacts that were trained on the others."""
    policies = {}
    for name, benchmark in benchmarks.items():
        training = training_data(benchmark, one_hot=False)
        parts: list[list[tuple[npt.NDArray[np.int64], Policy]]] = []
        for learned, left in splits(training.features, SEED):
            found = picked(name, training.of(learned), part_of(benchmark, training, left))
            parts.append([(left, policy) for policy in found])
        policies[name] = [joined(of_point, len(training.features)) for of_point in zip(*parts, strict=True)]
    return policies


def held_out(benchmarks: Benchmarks, data: Benchmarks) -> dict[str, list[Policy]]:
    """Train on all records, and pick for others."""
    return {
        name: picked(name, training_data(benchmark, one_hot=False), data[name])
        for name, benchmark in benchmarks.items()
    }


def measure(records: Records, folder: Path, by: Mapping[str, Encoder], work: Path) -> dict[str, Any]:
    """Measure by some records what picks by each encoder are worth."""
    found = {}
    train, test = (embedded(folder / file, by, work) for file in (records.train, records.held_out))
    if records.folds:
        whole = train[WHOLE]
        group = groups(folder / records.train, records.group, whole)
        found["5-fold"] = report(crossvalidated(train), whole, whole, group)
    group = groups(folder / records.held_out, records.group, test[WHOLE])
    found["held out"] = report(held_out(train, test), test[WHOLE], train[WHOLE], group)
    return found


def main() -> None:
    """Measure, print, and write encoder_worth.json."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, help="folder of the encoder")
    parser.add_argument("records", type=Path, help=f"folder of {', '.join(RECORDS)}: see RECORDS")
    parser.add_argument("--work", type=Path, required=True, help="folder that encoders and embeddings are kept in")
    parser.add_argument("--output", type=Path, help="folder for encoder_worth.json")
    arguments = parser.parse_args()
    arguments.work.mkdir(parents=True, exist_ok=True)
    by = encoders(arguments.folder, arguments.work)
    results: dict[str, Any] = {"encoder": arguments.folder.name, "records": {}}
    for name, records in RECORDS.items():
        results["records"][name] = measure(records, arguments.records, by, arguments.work)
        print(json.dumps(results, indent=1))
    if arguments.output is not None:
        arguments.output.mkdir(parents=True, exist_ok=True)
        (arguments.output / "encoder_worth.json").write_text(json.dumps(results, indent=1) + "\n")


if __name__ == "__main__":
    main()
