"""The section on what changes from the replaced artifacts."""

from collections.abc import Mapping, Sequence

from ..statistics.bootstrap import UNKNOWN
from .facts import Comparison, Facts, Picks, Reason, Telling, Why
from .layout import Section
from .pictures import flow_picture, isolated
from .tables import Cell, Table, change, count, number, share

LONGEST_EXAMPLE = 120


def what_changes(facts: Facts, colors: Mapping[str, int]) -> Section | None:
    """Write the section, with a part for each pair of artifacts of which picks differ; None where there are none."""
    changed = [one for one in facts.comparisons if not one.is_unchanged]
    if not changed:
        return None
    if len(facts.artifacts) == 1:
        return Section("What changes", words=_omitted(changed[0]), parts=_parts(changed[0], colors))
    return Section("What changes", parts=[_comparison(one, colors) for one in changed])


def _comparison(found: Comparison, colors: Mapping[str, int]) -> Section:
    words = [f"{isolated(found.name)} replaces {isolated(found.old.path)}.", *_omitted(found)]
    return Section(found.name, words=words, parts=_parts(found, colors))


def _omitted(found: Comparison) -> list[str]:
    return [f"No made queries: {found.omitted}."] if found.omitted else []


def _parts(found: Comparison, colors: Mapping[str, int]) -> list[Section]:
    parts = [_picks(picks, colors) for picks in found.picks]
    return [*parts[:1], *(one._replace(is_folded=True) for one in parts[1:])]


def _picks(picks: Picks, colors: Mapping[str, int]) -> Section:
    title = f"On {picks.of}"
    part_of = share(picks.changed, picks.queries).text
    words = [f"{picks.changed:,} of {picks.queries:,} {picks.of} ({part_of}) are answered by another model."]
    if picks.changed and picks.estimator:
        words.append(f"A log: {picks.estimator}. It does not tell on which of these queries the quality rises.")
        estimates = (*(one.change for one in picks.effects.values()), *(one.quality for one in picks.categories))
        words += [f"{UNKNOWN} {reason}." for reason in dict.fromkeys(one.reason for one in estimates) if reason]
    elif picks.changed and picks.effects:
        same = picks.changed - picks.better - picks.worse
        words.append(
            f"Among these the recorded quality rises on {picks.better:,}, falls on {picks.worse:,}, and is the same or "
            f"unknown on {same:,}."
        )
    if not picks.changed:
        return Section(title, words=words)
    flows = Table(
        "By the model that answered before, and the one that answers now",
        ("before", "now", "queries", "share"),
        [[flow.before, flow.after, count(flow.queries), share(flow.queries, picks.queries)] for flow in picks.flows],
    )
    tables = [_reasons(picks.reasons, picks.changed)]
    if picks.categories:
        columns = ("category", "queries", "changed", "change of quality")
        rows: list[list[Cell]] = [
            [one.category, count(one.queries), count(one.changed), change(one.quality)] for one in picks.categories
        ]
        tables.append(Table("Changes by category, with 95 % intervals, paired by question", columns, rows))
    tables.append(_telling(picks.telling, picks.changed))
    return Section(title, words=words, pictures=[flow_picture(picks.flows, colors, flows)], tables=tables)


def _reasons(reasons: Sequence[Reason], changed: int) -> Table:
    rows: list[list[Cell]] = [
        [f"{one.queries:,} of {changed:,}", one.words, "\n".join(map(_quoted, one.examples))] for one in reasons
    ]
    return Table("Why picks change", ("queries", "why", "such as"), rows)


def _quoted(text: str) -> str:
    line = " ".join(text.split())
    return f"“{line if len(line) <= LONGEST_EXAMPLE else f'{line[: LONGEST_EXAMPLE - 1]}…'}”"


def _telling(found: Sequence[Telling], changed: int) -> Table:
    rows: list[list[Cell]] = [
        [
            one.query,
            one.category or UNKNOWN,
            one.before.model,
            number(one.quality_before),
            one.after.model,
            number(one.quality_after),
            f"{one.reason}.\nBefore: {_explained(one.before)}.\nNow: {_explained(one.after)}.",
        ]
        for one in found
    ]
    columns = ("query", "category", "before", "quality", "now", "quality now", "why")
    caption = f"The most telling {len(found):,} of {changed:,} changes, with both explanations"
    return Table(caption, columns, rows, is_long=True)


def _explained(why: Why) -> str:
    scores = ", ".join(f"{isolated(one.model)} {one.score:.4g}" for one in why.scores)
    return f"scores {scores}; {why.because}" if why.because else f"scores {scores}"
