"""The section on what changes from the replaced artifacts."""

from collections.abc import Mapping, Sequence

from ..statistics.bootstrap import UNKNOWN
from .facts import Comparison, Facts, Picks, Telling, Why
from .layout import Section
from .pictures import flow_picture, isolated
from .tables import Cell, Table, change, count, number, share


def what_changes(facts: Facts, colors: Mapping[str, int]) -> Section | None:
    """Write the section, with a part for each pair of artifacts; None where there are none."""
    if not facts.comparisons:
        return None
    return Section("What changes", parts=[_comparison(one, colors) for one in facts.comparisons])


def _comparison(found: Comparison, colors: Mapping[str, int]) -> Section:
    words = [f"{isolated(found.name)} replaces {isolated(found.old.path)}."]
    words += [f"No made queries: {found.omitted}."] if found.omitted else []
    return Section(found.name, words, parts=[_picks(picks, colors) for picks in found.picks])


def _picks(picks: Picks, colors: Mapping[str, int]) -> Section:
    title = f"On {picks.of}"
    part_of = share(picks.changed, picks.queries).text
    words = [f"{picks.changed:,} of {picks.queries:,} queries ({part_of}) are answered by another model."]
    if picks.changed and picks.estimator:
        words.append(f"A log: {picks.estimator}. It does not tell on which of these queries the quality rises.")
        estimates = (*picks.effects.values(), *(one.quality for one in picks.categories))
        words += [f"{UNKNOWN} {reason}." for reason in dict.fromkeys(one.reason for one in estimates) if reason]
    elif picks.changed and picks.effects:
        same = picks.changed - picks.better - picks.worse
        words.append(
            f"Among these the recorded quality rises on {picks.better:,}, falls on {picks.worse:,}, and is the same or "
            f"unknown on {same:,}."
        )
    if not picks.changed:
        return Section(title, words)
    flows = Table(
        "Queries by the model that answered before, and the one that answers now",
        ("before", "now", "queries", "share"),
        [[flow.before, flow.after, count(flow.queries), share(flow.queries, picks.queries)] for flow in picks.flows],
    )
    tables = [Table("Why picks change", ("why", "queries"), [[why, count(n)] for why, n in picks.kinds.items()])]
    if picks.effects:
        rows: list[list[Cell]] = [[kind, change(estimate)] for kind, estimate in picks.effects.items()]
        caption = "Change of what an answer has on average, with 95 % intervals, paired by query"
        tables.append(Table(caption, ("outcome", "change"), rows))
        tables.append(
            Table(
                "Changes by category",
                ("category", "queries", "changed", "change of quality"),
                [
                    [one.category, count(one.queries), count(one.changed), change(one.quality)]
                    for one in picks.categories
                ],
            )
        )
    tables.append(_telling(picks.telling, picks.changed))
    return Section(title, words, [flow_picture(picks.flows, colors, flows)], tables)


def _telling(found: Sequence[Telling], changed: int) -> Table:
    rows: list[list[Cell]] = [
        [
            one.query,
            one.category or UNKNOWN,
            one.kind,
            _explained(one.before),
            number(one.quality_before),
            _explained(one.after),
            number(one.quality_after),
        ]
        for one in found
    ]
    columns = ("query", "category", "why", "before", "quality", "now", "quality now")
    caption = f"The most telling {len(found)} of {changed:,} changed queries, with both explanations"
    return Table(caption, columns, rows, is_long=True)


def _explained(why: Why) -> str:
    scores = ", ".join(f"{isolated(one.model)} {one.score:.4g}" for one in why.scores)
    because = f"; {why.because}" if why.because else ""
    return f"{isolated(why.model)}. Scores: {scores}{because}"
