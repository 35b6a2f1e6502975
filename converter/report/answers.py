"""What a reader is told first about each artifact: in one sentence what its change does, and what to look at."""

from collections import Counter
from collections.abc import Iterator
from math import isnan
from typing import NamedTuple

from modelpick.runtime.decision.outcomes import KINDS, PRICES

from ..evaluation.verdict import MATTERS, QUALITY, Verdict, gained
from ..statistics.bootstrap import Estimate, signed
from .facts import Artifact, Comparison, Effect, Facts, Picks
from .pictures import isolated
from .tables import Cell, Table, figure, relative, share

MOST_REASONS, MOST_CATEGORIES = 2, 2
"""Most reasons, and most categories, that are named first; a single further reason takes the line of the rest."""
MANY = 0.2
"""Share of the changed picks that a model must win or lose to be named."""


class Lead(NamedTuple):
    """A sentence that answers."""

    mark: str
    """The mark of the artifact, in front of its first sentence; empty in front of the others."""
    text: str

    @property
    def marked(self) -> str:
        """The sentence behind its mark."""
        return f"{self.mark} {self.text}".lstrip()


class Answer(NamedTuple):
    """What is said of an artifact first."""

    name: str
    leads: list[Lead]
    """Sentences that answer: what its change does, if it replaces another, and whether it is worth calling."""
    nature: list[str]
    """What kind of change it is."""
    numbers: Table | None
    look: list[str]
    """What to look at, the most urgent first."""
    is_unchanged: bool
    """Whether it answers all queries by the same models as before, so that there is nothing to look at."""


def answers(facts: Facts) -> list[Answer]:
    """Say what matters of each artifact."""
    compared = {one.name: one for one in facts.comparisons}
    verdicts = {one.policy: one for one in facts.worth.headlines} if facts.worth else {}
    return [_answer(one, compared.get(one.name), verdicts.get(one.name), facts) for one in facts.artifacts]


def _answer(artifact: Artifact, comparison: Comparison | None, verdict: Verdict | None, facts: Facts) -> Answer:
    picks = comparison.picks[0] if comparison is not None and comparison.picks else None
    is_broken = artifact.verification is not None and not artifact.verification.passed
    leads = [
        *([Lead("✗", _broken(artifact))] if is_broken else []),
        *([_changed(picks, facts)] if picks is not None else []),
        *([Lead(verdict.mark, verdict.compared if picks is not None else verdict.text)] if verdict is not None else []),
    ]
    first, *others = leads or [Lead("?", _unmeasured(artifact, comparison))]
    return Answer(
        name=artifact.name,
        leads=[first, *(one._replace(mark="") for one in others)],
        nature=[] if comparison is None else comparison.nature,
        numbers=_outcomes(artifact.name, facts) if picks is None else _effects(picks),
        look=[*(verdict.beware if verdict else []), *([] if picks is None else _look(picks, facts))],
        is_unchanged=comparison is not None and comparison.is_unchanged and not is_broken,
    )


def _broken(artifact: Artifact) -> str:
    found = artifact.verification
    assert found is not None
    wrong = found.queries - found.agreed
    return f"Broken: it picks otherwise than its JSON model on {wrong:,} of {found.queries:,} made queries."


def _unmeasured(artifact: Artifact, comparison: Comparison | None) -> str:
    lacking = "No records were given, which would tell whether it is worth calling."
    return lacking if comparison is None else f"Its picks were not compared: {comparison.omitted}. {lacking}"


def _changed(picks: Picks, facts: Facts) -> Lead:
    """Say what the change does."""
    if not picks.changed:
        return Lead("=", f"Unchanged: all {picks.queries:,} {picks.of} are answered by the same model.")
    quality = picks.effects.get("quality")
    if quality is None:
        moved = f"{picks.changed:,} of {picks.queries:,} {picks.of} are answered by another model"
        return Lead("?", f"Cannot tell: {moved}, and no records say whether its answers are better.")
    if isnan(quality.change.low):
        return Lead("?", f"Cannot tell whether it is better: {quality.change.reason}.")
    prices = {kind.name: picks.effects[kind.name] for kind in PRICES if kind.name in picks.effects}
    rises = {name: one for name, one in prices.items() if one.change.low > 0}
    falls = {name: one for name, one in prices.items() if one.change.high < 0}
    gain, change = _points(quality.change, facts), quality.change
    if facts.worth is not None and any(not one.measured for one in facts.worth.evaluation.seen):
        shown = _joined([gain], falls, rises)
        return Lead("?", f"Cannot tell whether it is better: on questions that were trained on, it shows {shown}.")
    if change.low > 0:
        return Lead("✓", f"Better than before: {_joined([gain], falls, rises)}.")
    if change.high < 0:
        return Lead("✗", f"Worse than before: {_joined([gain], rises, falls)}.")
    is_same = max(-change.low, change.high) <= MATTERS * abs(quality.before)
    known = " for the same quality" if is_same else ", and no difference of quality can be told"
    if rises:
        return Lead("✗", f"Dearer than before{known}: {_joined([gain], rises, falls)}.")
    if falls:
        return Lead("✓", f"Cheaper than before{known}: {_joined([gain], falls, {})}.")
    return Lead("✓", f"Harmless: {gain}.") if is_same else Lead("=", f"No difference can be told: {gain}.")


def _joined(first: list[str], alike: dict[str, Effect], unlike: dict[str, Effect]) -> str:
    """Name changes: those in the sense of the first one, then, after a but, those that are not."""
    but = [f"{name} {relative(one)}" for name, one in unlike.items()]
    with_it = ", ".join([*first, *(f"{name} {relative(one)}" for name, one in alike.items())])
    return f"{with_it}, but {', '.join(but)}" if but else with_it


def _points(change: Estimate, facts: Facts) -> str:
    """Write a change of quality as verdicts do."""
    return signed(change) if facts.worth is None else gained(change, facts.worth.evaluation, QUALITY)


def _effects(picks: Picks) -> Table:
    changed = f"{picks.changed:,} of {picks.queries:,}, {share(picks.changed, picks.queries).text}"
    rows: list[list[Cell]] = [["picks", "", "", changed]]
    for kind in KINDS:
        if kind.name in picks.effects:
            one = picks.effects[kind.name]
            change = signed(one.change) if kind.sign > 0 else relative(one)
            rows.append([kind.name, figure(one.before, kind), figure(one.after, kind), change])
    return Table("What changes by default, on average over the questions", ("", "before", "now", "change, 95 %"), rows)


def _outcomes(name: str, facts: Facts) -> Table | None:
    """Compare an artifact's policies with always calling the best single model."""
    if facts.worth is None:
        return None
    evaluation = facts.worth.evaluation
    shown = [one for one in evaluation.results if one.artifact == name or "best" in one.roles]
    known = [kind for kind in KINDS if any(not isnan(one.outcomes[kind.name].value) for one in shown)]
    rows: list[list[Cell]] = [
        [
            f"always {isolated(one.name)}" if one.kind == "single" else one.name,
            *(figure(one.outcomes[kind.name].value, kind) for kind in known),
        ]
        for one in sorted(shown, key=lambda one: one.kind != "single")
    ]
    return Table("What answers have on average", ("", *(kind.name for kind in known)), rows)


def _look(picks: Picks, facts: Facts) -> Iterator[str]:
    if not picks.changed:
        return
    for category in sorted(
        (one for one in picks.categories if one.quality.high < 0), key=lambda one: one.quality.value
    )[:MOST_CATEGORIES]:
        yield (
            f'Questions of the category "{isolated(category.category)}" get worse: {_points(category.quality, facts)}; '
            f"{category.changed:,} of {category.queries:,} picks change."
        )
    yield from _moved(picks)
    most = MOST_REASONS if len(picks.reasons) > MOST_REASONS + 1 else len(picks.reasons)
    for one in picks.reasons[:most]:
        yield f"{one.queries:,} of {picks.changed:,} changed picks: {one.words}."
    if others := picks.reasons[most:]:
        rest = sum(one.queries for one in others)
        yield f"{rest:,} of {picks.changed:,} changed picks: {len(others):,} other reasons."


def _moved(picks: Picks) -> Iterator[str]:
    """Name the models that answer many more or fewer queries than before."""
    before, after = Counter[str](), Counter[str]()
    for flow in picks.flows:
        before[flow.before] += flow.queries
        after[flow.after] += flow.queries
    many = MANY * picks.changed
    named: set[str] = set()
    for flow in picks.flows:
        if flow.before != flow.after and before[flow.before] == flow.queries >= many:
            named |= {flow.before, flow.after}
            yield f"All {flow.queries:,} questions of {isolated(flow.before)} go to {isolated(flow.after)} now."
    for words, net in (("More", after - before), ("Fewer", before - after)):
        for name, queries in net.most_common(1):
            if queries >= many and name not in named:
                named.add(name)
                yield f"{words} questions go to {isolated(name)}: {after[name]:,}, before {before[name]:,}."
    if not named:
        yield "Changed picks go both ways: no model answers many more or fewer questions than before."
