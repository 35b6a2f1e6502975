"""The command that makes an artifact of records, and says whether it is worth calling: fit."""

from pathlib import Path
from typing import Annotated

import msgspec
import typer

from modelpick.runtime import Objective

from ..evaluation.evaluate import to_fields
from ..evaluation.verdict import UNSURE, WORTH, WORTHLESS, Answer
from ..files.io import check_distinct
from ..fitting import HELD_OUT, SUITS_MOST, Fitted
from ..fitting import fit as fit_records
from .console import emit, progress, say
from .evaluated import show_judgement
from .names import to_read, to_write
from .options import WEIGHTS, AsJson, Reading, RecordOptions, Seed, expanded
from .records import load_records
from .train import Algorithm

DEFAULT = Algorithm(SUITS_MOST)
# What to do about each answer, where {} is the best single model.
NEXT: dict[Answer, str] = {
    WORTH: "Next: try it, look at its picks, and serve it with `modelpick serve`, or from Python.",
    UNSURE: "Next: call {}, record more questions, and run this again; or try it, and look at its picks.",
    WORTHLESS: "Next: call {}; or let --algorithm auto try all algorithms. To try it, and look at its picks:",
}


@expanded
def fit(
    records: Annotated[
        Path,
        typer.Argument(
            metavar="RECORDS",
            help="Records, complete or a log: JSON lines or an array, CSV or Parquet; or a folder of such files.",
            parser=to_read,
        ),
    ],
    output: Annotated[
        Path,
        typer.Option(
            "--output", "-o", help="The artifact; its JSON model is written next to it.", parser=to_write(".onnx")
        ),
    ],
    *,
    reading: RecordOptions,
    algorithm: Annotated[
        Algorithm,
        typer.Option(help="What to train; auto compares all, which may take an hour.", case_sensitive=False),
    ] = DEFAULT,
    tune: Annotated[
        bool, typer.Option("--tune", help="Choose the settings by cross-validation, which takes minutes.")
    ] = False,
    held_out: Annotated[
        float, typer.Option(min=0, max=1, help="Share of the questions that are held out to judge the artifact by.")
    ] = HELD_OUT,
    objective: Annotated[Objective, WEIGHTS],
    as_json: AsJson = False,
    seed: Seed = 0,
) -> None:
    """Make an artifact of records, and judge it.

    Its verdict says whether it is worth calling. Four of five questions train a selector, unless --held-out says
    otherwise. It is converted, verified, and evaluated on the others. Records have query, model_name and performance,
    and may have cost, response_time, category and embedding; texts need --encoder, as `modelpick encoder` writes it, or
    --embeddings.
    """
    check_distinct(output, [records, *reading.files])
    check_distinct(output.with_suffix(".json"), [records, *reading.files])
    benchmark = load_records(records, reading)
    with progress("Training", "steps") as done:
        found = fit_records(
            benchmark,
            output,
            algorithm=str(algorithm),
            tuned=tune,
            held_out=held_out,
            objective=objective,
            seed=seed,
            done=done,
        )
    if as_json:
        fields = {"artifact": str(found.artifact), "model": str(found.model), "verdict": found.verdict}
        emit(msgspec.json.encode(fields | {"evaluation": to_fields(found.judgement.evaluation)}).decode())
    else:
        _show(found, records, reading)


def _show(found: Fitted, records: Path, reading: Reading) -> None:
    """Print what was made, the verdict, and what to run next."""
    report, evaluation = found.report, found.judgement.evaluation
    features = "their embeddings and categories" if found.needs_category else "their embeddings"
    held_out = f"{evaluation.queries:,} others were held out"
    say(f"Trained {found.row.algorithm} on {features}, {found.trained:,} questions; {held_out}.")
    say(f"✓ Verified: onnxruntime picks as scikit-learn on {report.agreed:,} of {report.queries:,} queries.")
    show_judgement(found.judgement)
    for path, what in ((found.artifact, "the artifact"), (found.model, "its JSON model")):
        say(f"Wrote {path}, {what} ({path.stat().st_size / 1e6:,.2f} MB).")
    given = "".join(f" --{name} {path}" for name, path in reading._asdict().items() if path is not None)
    say(NEXT[found.verdict.answer].format(evaluation.baseline))
    asked = "QUERIES.jsonl" if reading.encoder is None else f"--encoder {reading.encoder} 'What is a monad?'"
    emit(f"  modelpick select {found.artifact} {asked}")
    emit(f"  modelpick report {found.artifact} --data {records}{given}")
