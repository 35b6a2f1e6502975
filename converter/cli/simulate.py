"""The command that draws logs from complete records: simulate."""

from pathlib import Path
from typing import Annotated

import typer

from ..evaluation.simulation import HARD, UNIFORM, chances_of, is_artifact, simulated, to_records
from ..files.io import check_distinct
from ..files.rows import write_rows
from .console import note, wrote
from .names import to_write
from .options import Data, RecordOptions, Seed, expanded
from .records import load_records


@expanded
def simulate(
    data: Data,
    output: Annotated[
        Path, typer.Option("--output", "-o", help="File for the log, JSON lines.", parser=to_write(".jsonl", ".json"))
    ],
    *,
    policy: Annotated[
        str,
        typer.Option(
            help=f"{UNIFORM}; {HARD}, which sends hard questions to the best model; a model's name; or an artifact, "
            "a file that ends in .onnx."
        ),
    ] = UNIFORM,
    explore: Annotated[
        float, typer.Option(min=0, max=1, help="Probability with which another model than the policy's pick is drawn.")
    ] = 0.1,
    propensities: Annotated[
        bool, typer.Option("--propensities/--no-propensities", help="Write the probability of each pick.")
    ] = True,
    reading: RecordOptions,
    seed: Seed = 0,
) -> None:
    """Draw a log from complete records.

    It has, for each question, the answer of the model that a policy picks. Evaluate or train on the log, and
    compare the figures with the complete records' figures.
    """
    check_distinct(output, [data, *reading.files, *([Path(policy)] if is_artifact(policy) else [])])
    benchmark = load_records(data, reading)
    log = simulated(benchmark, chances_of(benchmark, policy, explore), seed)
    records = list(to_records(log, policy, propensities=propensities))
    write_rows(output, records)
    note(f"{len(records):,} answers, one a question, by {policy}")
    wrote(output)
