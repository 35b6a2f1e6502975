"""The command that judges artifacts: evaluate."""

import sys
from pathlib import Path
from typing import Annotated, NamedTuple, get_type_hints

import msgspec
import typer

from modelpick.runtime import Objective

from ..evaluation.evaluate import to_fields
from ..evaluation.judge import evaluate as evaluate_artifacts
from ..evaluation.plot import plot
from ..evaluation.policies import Request, labels
from ..evaluation.slices import evaluate_slices
from ..files.io import check_distinct
from ..files.rows import write_rows
from .console import emit, wrote
from .evaluated import show_judgement
from .names import artifacts_in, to_read, to_write
from .options import WEIGHTS, Artifacts, AsJson, Data, RecordOptions, Seed, expanded
from .records import load_records
from .rewording import Reworded, show_flips
from .slices import number_or_unit, show_slices
from .unseen import Unseen, show_unseen


class Picking(NamedTuple):
    """What artifacts pick by, in addition to the objective."""

    predict_category: Annotated[
        bool, typer.Option("--predict-category", help="Let artifacts predict categories, instead of the records'.")
    ] = False
    keep: Annotated[
        list[float] | None,
        typer.Option(
            min=0,
            help="Evaluate this operating point: the share of the best single model's quality to keep. By default 0.9, "
            "0.95 and 1, as far as an artifact promises them.",
        ),
    ] = None
    candidates: Annotated[
        list[str] | None,
        typer.Option(
            help="A model that may be picked; repeatable. By default the models that a question has records of."
        ),
    ] = None


class Pair(NamedTuple):
    """A choice between two models."""

    pair: Annotated[
        tuple[str, str] | None,
        typer.Option(metavar="WEAK STRONG", help="Measure the choice between two models too, by APGR and CPT."),
    ] = None
    strong_share: Annotated[
        float | None,
        typer.Option(min=0, max=1, help="With --pair: find the objective that sends this share of calls to STRONG."),
    ] = None


class Output(NamedTuple):
    """What is printed and written."""

    slices: Annotated[
        str | None,
        typer.Option(
            metavar="NUMBER|day|week|month",
            help="Measure quality and gain by time too: in this number of slices, or by this unit.",
        ),
    ] = None
    full: Annotated[
        bool, typer.Option("--full", help="Print all tables: every policy and measure, by category and by model.")
    ] = False
    as_json: AsJson = False
    plot: Annotated[
        Path | None,
        typer.Option(help="Plot quality against cost here, as .svg or .png.", parser=to_write(".svg", ".png")),
    ] = None
    picks: Annotated[
        Path | None,
        typer.Option(help="Write every pick here as JSON lines, the worst first.", parser=to_write(".jsonl")),
    ] = None


@expanded
def evaluate(
    artifacts: Artifacts,
    data: Data,
    *,
    train_data: Annotated[
        Path | None,
        typer.Option(
            help="Records that the artifacts were trained on, which determine the best single model; by default "
            "the artifacts' metadata do.",
            parser=to_read,
        ),
    ] = None,
    reading: RecordOptions,
    picking: Annotated[Picking, get_type_hints(Picking, include_extras=True)],
    objective: Annotated[Objective, WEIGHTS],
    unseen: Annotated[Unseen, get_type_hints(Unseen, include_extras=True)],
    reworded: Reworded = None,
    pair: Annotated[Pair, get_type_hints(Pair, include_extras=True)],
    output: Annotated[Output, get_type_hints(Output, include_extras=True)],
    fail_unless_pays: Annotated[
        bool, typer.Option("--fail-unless-pays", help="Exit with 1 unless each artifact is worth calling.")
    ] = False,
    seed: Seed = 0,
) -> None:
    """Say whether artifacts pay, on held-out records.

    Artifacts that predict the weighted outcomes pick by the weights; all artifacts are judged by them, or by
    quality alone. They are compared with always calling the best single model; --full adds the best choice in
    hindsight (oracle), every single model, chance, and the best mix of two models at the same mean cost. With
    --fail-unless-pays, each --keep of each artifact must be worth calling; without --keep, each artifact by one of
    its operating points.

    --leave-out and --few measure something else: how selectors that are trained as the artifacts were pick for
    tasks, or among models, that their training did not see. The data are the training records then. --reworded
    counts how often picks change where a question only says the same in other words.
    """
    unseen.check()
    artifacts = artifacts_in(artifacts)
    read = [*artifacts, *reading.files, *filter(None, (data, train_data))]
    for target in filter(None, (output.plot, output.picks)):
        check_distinct(target, read)
    benchmark = load_records(data, reading)
    if unseen.is_asked:
        show_unseen(artifacts, data, benchmark, unseen, seed, as_json=output.as_json)
        return
    if reworded is not None:
        named = {str(name): Path(path) for path, name in labels(artifacts).items()}
        show_flips(named, reworded, reading.encoder, benchmark, seed, as_json=output.as_json)
        return
    learned = None if train_data is None else load_records(train_data, reading.without_embeddings())
    request: Request = {
        "objective": objective,
        "keeps": picking.keep,
        "candidates": picking.candidates,
        "predict_category": picking.predict_category,
    }
    two, share = pair
    found = evaluate_artifacts(
        artifacts, benchmark, learned=learned, pair=two, strong_share=share, seed=seed, **request
    )
    by_time = None
    if output.slices is not None:
        request["keeps"] = picking.keep or []
        by_time = evaluate_slices(artifacts, benchmark, by=number_or_unit(output.slices), seed=seed, **request)
    if output.plot is not None:
        plot(found.evaluation, output.plot)
    if output.picks is not None:
        write_rows(output.picks, found.picks())
    if output.as_json:
        fields = to_fields(found.evaluation) | {"verdicts": found.verdicts, "headlines": found.headlines}
        fields |= {} if by_time is None else {"slices": by_time}
        emit(msgspec.json.encode(fields).decode())
    else:
        show_judgement(found, full=output.full)
        if by_time is not None:
            show_slices(by_time)
    wrote(output.plot, output.picks)
    if fail_unless_pays and not found.all_pay:
        sys.exit(1)
