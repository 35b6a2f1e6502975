"""The command that judges artifacts: evaluate."""

import sys
from pathlib import Path
from typing import Annotated

import msgspec
import numpy as np
import typer
from rich.table import Table

from modelpick.runtime import Objective
from modelpick.runtime.decision.outcomes import KINDS, OUTCOMES

from ..evaluation.evaluate import MEANS, ROLES_FROM, Result, to_fields
from ..evaluation.judge import Judgement
from ..evaluation.judge import evaluate as evaluate_artifacts
from ..evaluation.plot import plot
from ..evaluation.policies import Request
from ..evaluation.recovery import Calibration
from ..evaluation.slices import evaluate_slices
from ..files.io import check_distinct
from ..files.rows import write_rows
from ..statistics.bootstrap import UNKNOWN, percent, signed, written
from .console import emit, show, warn
from .names import artifacts_in, to_read, to_write
from .options import WEIGHTS, AsJson, Data, RecordOptions, Seed, expanded
from .records import load_records
from .reliability import reliability_tables
from .slices import number_or_unit, show_slices


@expanded
def evaluate(
    artifacts: Annotated[list[Path], typer.Argument(help="Artifacts, or folders of them.", parser=to_read)],
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
    predict_category: Annotated[
        bool, typer.Option("--predict-category", help="Let artifacts predict categories, instead of the records'.")
    ] = False,
    keep: Annotated[
        list[float] | None,
        typer.Option(
            min=0, help="Evaluate this operating point too: the share of the best single model's quality to keep."
        ),
    ] = None,
    objective: Annotated[Objective, WEIGHTS],
    pair: Annotated[
        tuple[str, str] | None,
        typer.Option(metavar="WEAK STRONG", help="Measure the choice between two models too, by APGR and CPT."),
    ] = None,
    candidates: Annotated[
        list[str] | None,
        typer.Option(
            help="A model that may be picked; repeatable. By default the models that a question has records of."
        ),
    ] = None,
    strong_share: Annotated[
        float | None,
        typer.Option(min=0, max=1, help="With --pair: find the objective that sends this share of calls to STRONG."),
    ] = None,
    as_json: AsJson = False,
    plot_file: Annotated[
        Path | None,
        typer.Option(
            "--plot", help="Plot quality against cost here, as .svg or .png.", parser=to_write(".svg", ".png")
        ),
    ] = None,
    picks: Annotated[
        Path | None,
        typer.Option(help="Write every pick here as JSON lines, the worst first.", parser=to_write(".jsonl")),
    ] = None,
    slices: Annotated[
        str | None,
        typer.Option(
            metavar="NUMBER|day|week|month",
            help="Measure quality and gain by time too: in this number of slices, or by this unit.",
        ),
    ] = None,
    fail_unless_pays: Annotated[
        bool, typer.Option("--fail-unless-pays", help="Exit with 1 unless each artifact is worth calling.")
    ] = False,
    seed: Seed = 0,
) -> None:
    """Measure artifacts on benchmark records that they were not trained on, and say whether they pay.

    Artifacts that predict the weighted outcomes pick by the weights; all artifacts are judged by them, or by quality
    alone. They are compared with the best choice in hindsight (oracle), every single model, chance, and the best mix of
    two models at the same mean cost. With --fail-unless-pays, each --keep of each artifact must pay; without --keep,
    its default picks must.
    """
    artifacts = artifacts_in(artifacts)
    read = [*artifacts, *reading.files, *filter(None, (data, train_data))]
    for target in filter(None, (plot_file, picks)):
        check_distinct(target, read)
    benchmark = load_records(data, reading)
    learned = None if train_data is None else load_records(train_data, reading.without_embeddings())
    request = Request(objective=objective, keeps=keep or [], candidates=candidates, predict_category=predict_category)
    found = evaluate_artifacts(
        artifacts, benchmark, learned=learned, pair=pair, strong_share=strong_share, seed=seed, **request
    )
    by_time = (
        None
        if slices is None
        else evaluate_slices(artifacts, benchmark, by=number_or_unit(slices), seed=seed, **request)
    )
    for one in found.evaluation.seen:
        warn(one)
    if plot_file is not None:
        plot(found.evaluation, plot_file)
    if picks is not None:
        write_rows(picks, found.picks())
    if as_json:
        fields = to_fields(found.evaluation) | {"verdicts": found.verdicts}
        fields |= {} if by_time is None else {"slices": by_time}
        emit(msgspec.json.encode(fields).decode())
    else:
        _show(found)
        if by_time is not None:
            show_slices(by_time)
    if fail_unless_pays and not found.all_pay:
        sys.exit(1)


def _show(found: Judgement) -> None:
    evaluation = found.evaluation
    learned = ROLES_FROM[evaluation.roles_from]
    if evaluation.estimator != MEANS:
        emit(f"a log: {evaluation.estimator}")
        for result in evaluation.of("artifact"):
            rests = f"rests on about {result.effective_sample:,.0f} answers"
            emit(f"{result.name}: {rests}, of which the weightiest stands for {result.largest_weight:,.1f}")
        for offer in evaluation.offers:
            emit(str(offer))
    title = f"{evaluation.queries:,} queries, means and 95 % intervals"
    shown = ("coverage", *OUTCOMES, "success", "regret", "best picks")
    table = Table("policy", *shown, title=title)
    for result in evaluation.results:
        outcomes = (written(result.outcomes[kind.name], kind.style) for kind in KINDS)
        coverage = f"{result.coverage:.1%}"
        if result.coverage < 1 and not np.isnan(result.best.value):
            coverage += f", where the best is {result.best.value:.4f}"
        regret, success, best = written(result.regret, "z.4f"), percent(result.success), percent(result.best_share)
        table.add_row(_name(result), coverage, *outcomes, success, regret, best)
    show(table)

    title = f"compared with always calling {evaluation.baseline}, the best single model {learned}"
    saved = f"{evaluation.axis} saved"
    table = Table("policy", "gain", "quality kept", saved, "gap closed", "over static mix", title=title)
    for result in evaluation.results:
        shares = (percent(estimate) for estimate in (result.kept, result.saved, result.gap_closed))
        table.add_row(_name(result), signed(result.gain), *shares, signed(result.over_mix))
    show(table)
    for reason in evaluation.reasons():
        emit(f"{UNKNOWN} {reason}")

    counted = [f"{name} ({count:,})" for name, count in evaluation.of_categories().items()]
    table = Table("policy", *counted, title="quality by category")
    for result in evaluation.results:
        slices = result.categories.values()
        table.add_row(_name(result), *(UNKNOWN if one.quality is None else f"{one.quality:.4f}" for one in slices))
    show(table)

    table = Table("policy", *evaluation.results[0].selections, title="share of selections")
    for result in (one for one in evaluation.results if one.kind != "single"):
        table.add_row(_name(result), *(f"{share:.1%}" for share in result.selections.values()))
    show(table)

    if evaluation.differences:
        table = Table("artifact", "is better than", "by", title="paired differences of quality")
        for pair in evaluation.differences:
            table.add_row(pair.better, pair.than, signed(pair.quality))
        show(table)
    if evaluation.frontiers:
        table = Table("frontier", "AIQ", "over single models", title=f"mean quality over {evaluation.axis}")
        for frontier in evaluation.frontiers:
            table.add_row(frontier.name, written(frontier.aiq, ".4f"), signed(frontier.over_singles))
        show(table)
    for table in reliability_tables(evaluation.calibrations):
        show(table)
    if evaluation.recoveries:
        thresholds = evaluation.recoveries[0].call_shares
        columns = ("APGR", "of 10 quantiles", *(f"CPT({part})" for part in thresholds))
        table = Table("artifact", *columns, title="between the two models")
        for recovery in evaluation.recoveries:
            areas = (written(area, ".4f") for area in (recovery.apgr, recovery.apgr_of_bins))
            table.add_row(recovery.name, *areas, *(percent(share) for share in recovery.call_shares.values()))
        show(table)
        for recovery in evaluation.recoveries:
            if recovery.calibration is not None:
                emit(f"{recovery.name}: {_calibrated(recovery.calibration)}")
    for verdict in found.verdicts:
        emit(f"{verdict.policy}: {verdict.text}")


def _calibrated(found: Calibration) -> str:
    given = f" with costs={found.costs}" if found.costs else ""
    sent = f"sends {found.share:.1%} of the calls to the strong model"
    return f"cost_weight={found.cost_weight:.6g}{given} {sent}, and recovers {percent(found.recovered)} of the gap"


def _name(result: Result) -> str:
    return f"{result.name} ({', '.join(result.roles)})" if result.roles else result.name
