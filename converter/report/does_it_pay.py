"""The section on what artifacts are worth: verdicts, the frontier, categories, operating points."""

from collections.abc import Iterator

from modelpick.runtime.decision.operating_points import Estimate as Recorded
from modelpick.runtime.decision.outcomes import OUTCOMES, PRICES

from ..evaluation.evaluate import ROLES_FROM, Result
from ..statistics.bootstrap import UNKNOWN, Estimate
from .facts import Facts, Worth
from .layout import Section
from .pictures import frontier_plot, isolated
from .tables import Cell, Table, change, count, interval, number, part, share


def does_it_pay(facts: Facts) -> Section | None:
    """Write the section; None where there are neither records nor operating points."""
    recorded = [(name, point) for name, one in facts.named() for point in one.points]
    points = Table(
        "Operating points, as training recorded them in cross-validation",
        (
            "artifact",
            *(kind.weight.replace("_", " ") for kind in PRICES),
            *OUTCOMES,
            "quality kept",
            "promised",
            "cost saved",
        ),
        [
            [
                name,
                *map(number, point.objective.keywords().values()),
                *(interval(_known(point.outcomes.get(kind))) for kind in OUTCOMES),
                part(_known(point.kept)),
                share(point.promised),
                part(_known(point.saved)),
            ]
            for name, point in recorded
        ],
        is_long=True,
    )
    tables = [points] if recorded else []
    if facts.worth is None:
        return Section("Is it worth calling", tables=tables) if tables else None
    evaluation = facts.worth.evaluation
    words = [
        f"{evaluation.queries:,} queries; means with 95 % intervals. The best single model is "
        f"{isolated(evaluation.baseline)}, {ROLES_FROM[evaluation.roles_from]}.",
        *(isolated(str(one)) for one in (*evaluation.offers, *evaluation.seen)),
        *(isolated(f"{one}.") for one in evaluation.alike()),
        *(isolated(f"{UNKNOWN} {reason}") for reason in evaluation.reasons()),
    ]
    policies = _policies(facts.worth)
    plot = frontier_plot(evaluation, policies)
    tables = [_verdicts(facts.worth), *([policies] if plot is None else []), _slices(facts.worth)]
    tables += [*_calibrated(facts.worth), *([points] if recorded else [])]
    return Section("Is it worth calling", words=words, pictures=[] if plot is None else [plot], tables=tables)


def _known(recorded: Recorded | None) -> Estimate | None:
    return None if recorded is None else Estimate(*recorded)


def _verdicts(worth: Worth) -> Table:
    rows: list[list[Cell]] = [[one.policy, one.mark, one.text] for one in worth.verdicts]
    return Table("Verdicts", ("policy", "", "verdict"), rows)


def _named(result: Result) -> str:
    return f"{result.name} ({', '.join(result.roles)})" if result.roles else result.name


def _policies(worth: Worth) -> Table:
    saved = f"{worth.evaluation.axis} saved"
    rows: list[list[Cell]] = [
        [
            _named(one),
            one.kind,
            *map(interval, one.outcomes.values()),
            part(one.success),
            change(one.gain),
            part(one.kept),
            part(one.saved),
            change(one.over_mix),
        ]
        for one in worth.evaluation.results
    ]
    columns = ("policy", "kind", *OUTCOMES, "success", "gain", "quality kept", saved, "over static mix")
    return Table("Every policy, compared with always calling the best single model", columns, rows)


def _slices(worth: Worth) -> Table:
    shown = [one for one in worth.evaluation.results if one.kind in ("artifact", "oracle") or "best" in one.roles]
    rows: list[list[Cell]] = [
        [category, count(questions), *(number(one.categories[category].quality, ".4f") for one in shown)]
        for category, questions in worth.evaluation.of_categories().items()
    ]
    return Table("Quality by category", ("category", "queries", *map(_named, shown)), rows, is_long=True)


def _calibrated(worth: Worth) -> Iterator[Table]:
    """Make the tables of predicted and of recorded quality."""
    found = worth.evaluation.calibrations
    if not found:
        return
    rows: list[list[Cell]] = [
        [
            one.name,
            of.of,
            count(of.answers),
            change(of.excess),
            number(of.error, ".3f"),
            number(of.by_chance, ".3f"),
            interval(of.brier, ".3f"),
        ]
        for one in found
        for of in (one.all, one.highest, *one.categories)
    ]
    columns = (
        "artifact",
        "answers of",
        "answers",
        "predicted - recorded",
        "calibration error",
        "by chance",
        "Brier score",
    )
    yield Table("Predicted quality, compared with the recorded one", columns, rows)
    rows = [
        [one.name, number(part.predicted, ".3f"), interval(part.recorded, ".3f"), count(part.answers)]
        for one in found
        for part in one.all.bins
    ]
    yield Table("Reliability", ("artifact", "predicted quality", "recorded quality", "answers"), rows, is_long=True)
