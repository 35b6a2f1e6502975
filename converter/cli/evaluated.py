"""What `evaluate` prints of an evaluation: a row for each policy of the artifacts, or all tables; and verdicts."""

from collections.abc import Sequence
from math import isnan

from rich.table import Table

from modelpick.runtime import Objective
from modelpick.runtime.decision.outcomes import KINDS, OUTCOMES, PRICES

from ..evaluation.evaluate import MANY, MEANS, ROLES_FROM, ROLES_MEAN, SELDOM, Evaluation, Result
from ..evaluation.judge import Judgement
from ..evaluation.recovery import Calibration
from ..evaluation.verdict import Verdict, gained
from ..formats.words import listed
from ..statistics.bootstrap import UNKNOWN, in_percent, percent, signed, whole, written
from .console import emit, plain, say, show
from .reliability import reliability_tables

_SELDOM = f"{100 * SELDOM:g} %"
# Most models that a line names.
NAMED = 4
ROLES = "strongest: of the highest mean quality; cheapest: of the lowest mean cost; best: of the highest mean utility"


def show_judgement(found: Judgement, *, full: bool = False) -> None:
    """Print what was compared, a row for each policy of the artifacts, or all tables, and the verdicts."""
    evaluation = found.evaluation
    (single,) = (one for one in evaluation.of("single") if one.name == evaluation.baseline)
    achieved = ", ".join(
        f"{kind.name} {one.value:{kind.style}}"
        for kind in KINDS
        if not isnan((one := single.outcomes[kind.name]).value)
    )
    achieved = f" ({achieved})" if achieved else ""
    role, means = ROLES_FROM[evaluation.roles_from], ROLES_MEAN[evaluation.roles_from]
    say(
        f"{evaluation.queries:,} questions, compared with always calling {evaluation.baseline}{achieved}, the best "
        f"single model {role}: {means}."
    )
    _estimator(evaluation)
    if full:
        _all(evaluation)
    else:
        _brief(evaluation, found.verdicts)
    for line in evaluation.alike():
        say(f"{line}.")
    _pair(evaluation)
    _verdicts(found.verdicts if found.requested else found.headlines)


def _estimator(evaluation: Evaluation) -> None:
    """Print how outcomes of a log are estimated, and from how many answers."""
    if evaluation.estimator == MEANS:
        return
    say(f"The records are a log: estimates are {evaluation.estimator}.")
    for result in evaluation.of("artifact"):
        rests = f"rests on about {result.effective_sample:,.0f} answers"
        say(f"{result.name}: {rests}, of which the weightiest stands for {result.largest_weight:,.1f}")
    for offer in evaluation.offers:
        say(str(offer))


def _brief(evaluation: Evaluation, verdicts: Sequence[Verdict]) -> None:
    """Print a row for each policy of the artifacts, with what it changes."""
    marks = {verdict.policy: verdict.mark for verdict in verdicts}
    policies = evaluation.of("artifact")
    prices = [kind for kind in PRICES if any(not isnan(one.changes[kind.name].value) for one in policies)]
    gain = "quality" if evaluation.objective == Objective() else "utility"
    table = plain("", gain, *(kind.name for kind in prices))
    for one in policies:
        name = one.artifact if one.keep is None else f"  keep={one.keep:g}"
        changes = (whole(one.changes[kind.name], "+") for kind in prices)
        table.add_row(f"{marks[one.name]} {name}", gained(one.gain, evaluation, "points"), *changes)
    show(table)
    if len(evaluation.models) > MANY:
        for one in policies:
            if one.keep is None:
                say(_picked(one))


def _picked(result: Result) -> str:
    """Name the models that are picked most."""
    shares = sorted(result.selections.items(), key=lambda of_model: -of_model[1])
    picked = [f"{name} ({in_percent(share)})" for name, share in shares if share]
    return f"{result.name} picks {len(picked)} of {len(shares)} models: {listed(picked, NAMED)}."


def _verdicts(verdicts: Sequence[Verdict]) -> None:
    """Print verdicts, then what makes them less sure than they seem, each warning once."""
    warned: dict[str, list[str]] = {}
    for verdict in verdicts:
        say(f"{verdict.mark} {verdict.policy}: {verdict.text}")
        for line in verdict.beware:
            warned.setdefault(line, []).append(verdict.policy)
    for line, policies in warned.items():
        say(f"! {line}" if len(policies) == len(verdicts) else f"! {', '.join(policies)}: {line}")


def _all(evaluation: Evaluation) -> None:
    """Print every policy and measure."""
    title = "means and 95 % intervals"
    shown = ("coverage", *OUTCOMES, "success", "regret", "best picks")
    table, results = Table("policy", *shown, title=title), evaluation.shown_results()
    for result in results:
        outcomes = (written(result.outcomes[kind.name], kind.style) for kind in KINDS)
        coverage = in_percent(result.coverage)
        if result.coverage < 1 and not isnan(result.best.value):
            coverage += f", where the best is {result.best.value:.4f}"
        regret, success, best = written(result.regret, "z.4f"), percent(result.success), percent(result.best_share)
        table.add_row(_name(result), coverage, *outcomes, success, regret, best)
    show(table)
    if left_out := len(evaluation.results) - len(results):
        say(f"{left_out} single models that artifacts call for less than {_SELDOM} of the questions are in --json.")
    say(f"{ROLES} {ROLES_FROM[evaluation.roles_from]}")

    title = f"compared with always calling {evaluation.baseline}"
    saved = f"{evaluation.axis} saved"
    table = Table("policy", "gain", "quality kept", saved, "gap closed", "over static mix", title=title)
    for result in results:
        shares = (percent(estimate) for estimate in (result.kept, result.saved, result.gap_closed))
        table.add_row(_name(result), signed(result.gain), *shares, signed(result.over_mix))
    show(table)
    for reason in evaluation.reasons():
        emit(f"{UNKNOWN} {reason}")

    counted = [f"{name} ({count:,})" for name, count in evaluation.of_categories().items()]
    table = Table("policy", *counted, title="quality by category")
    for result in results:
        slices = result.categories.values()
        table.add_row(_name(result), *(UNKNOWN if one.quality is None else f"{one.quality:.4f}" for one in slices))
    show(table)

    choosing = [one for one in evaluation.results if one.kind in ("artifact", "oracle")]
    table, models = Table("model", *map(_name, choosing), title="share of selections"), evaluation.shown_models()
    for model in models:
        table.add_row(model, *(in_percent(one.selections[model]) for one in choosing))
    show(table)
    if left_out := len(evaluation.models) - len(models):
        say(f"Artifacts call {left_out} other models for less than {_SELDOM} of the questions each.")

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


def _pair(evaluation: Evaluation) -> None:
    """Print how artifacts choose between two models, if that was asked."""
    if not evaluation.recoveries:
        return
    thresholds = evaluation.recoveries[0].call_shares
    columns = ("APGR", "of 10 quantiles", *(f"CPT({part})" for part in thresholds))
    table = Table("artifact", *columns, title="between the two models")
    for recovery in evaluation.recoveries:
        areas = (written(area, ".4f") for area in (recovery.apgr, recovery.apgr_of_bins))
        table.add_row(recovery.name, *areas, *(percent(share) for share in recovery.call_shares.values()))
    show(table)
    for reason in dict.fromkeys(one.apgr.reason for one in evaluation.recoveries if one.apgr.reason):
        emit(f"{UNKNOWN} {reason}")
    for recovery in evaluation.recoveries:
        if recovery.calibration is not None:
            emit(f"{recovery.name}: {_calibrated(recovery.calibration)}")


def _calibrated(found: Calibration) -> str:
    given = f" with costs={found.costs}" if found.costs else ""
    sent = f"sends {in_percent(found.share)} of the calls to the strong model"
    return f"cost_weight={found.cost_weight:.6g}{given} {sent}, and recovers {percent(found.recovered)} of the gap"


def _name(result: Result) -> str:
    return f"{result.name} ({', '.join(result.roles)})" if result.roles else result.name
