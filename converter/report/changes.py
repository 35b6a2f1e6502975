"""What changes from one artifact to another: picks, reasons, and outcomes on records."""

from collections import Counter
from collections.abc import Sequence
from operator import itemgetter

import numpy as np
import numpy.typing as npt

from modelpick.runtime import Selector
from modelpick.runtime.decision.outcomes import OUTCOMES

from ..evaluation.evaluate import difference, difference_columns
from ..evaluation.policies import Policy, chosen
from ..files.queries import Query, ask
from ..formats.outcomes import Benchmark
from ..statistics.bootstrap import Estimate, Sums, Vector, estimate, ratio, resampled, share
from ..statistics.estimation import Estimation, estimated, lacking
from ..verification.diff import Change, are_of_one_model, changes
from .facts import CategoryChange, Effect, Flow, Picks, Reason, Score, Telling, Why
from .reasons import Explanation, margins, reason

# Number of changes that are shown with both explanations, and number of queries that are shown of a reason.
TELLING, EXAMPLES = 20, 3
SCORES, NEIGHBOURS = 3, 3
LONGEST_QUERY = 240


def compared_picks(
    old: Selector, new: Selector, queries: Sequence[Query], records: Benchmark | None = None, seed: int = 0
) -> Picks:
    """Compare the picks of two selectors.

    Parameters
    ----------
    queries
        At least one; the queries of the records, in their order, where there are records.
    seed
        Seed of the bootstrap.

    Raises
    ------
    FeatureError
        When one of the selectors refuses a query.
    """
    found = changes(old, new, queries)
    before = [ask(old.select, query) for query in queries]
    after = before.copy()
    for change in found:
        after[change.query] = change.new
    quality = np.full((2, len(queries)), np.nan)
    effects: dict[str, Effect] = {}
    categories: list[CategoryChange] = []
    estimation = None
    if records is not None:
        estimation = estimated(records, seed) if records.is_log else None
        old_policy, new_policy = _policy(before, records), _policy(after, records)
        quality = np.array([_qualities(policy, records) for policy in (old_policy, new_policy)])
        effects, by_category = _effects(old_policy, new_policy, records, estimation, seed)
        counts = Counter(records.categories), Counter(records.categories[change.query] for change in found)
        categories = [CategoryChange(name, counts[0][name], counts[1][name], by_category[name]) for name in by_category]
    rise = quality[1] - quality[0]
    telling = _told(old, new, queries, found, records, quality)
    return Picks(
        of="made queries" if records is None else "questions of the records",
        queries=len(queries),
        changed=len(found),
        flows=[Flow(*names, count) for names, count in Counter(zip(before, after, strict=True)).most_common()],
        reasons=_reasons(telling),
        telling=_distinct(telling)[:TELLING],
        better=int((rise > 0).sum()),
        worse=int((rise < 0).sum()),
        effects=effects,
        categories=categories,
        estimator="" if estimation is None else estimation.estimator,
    )


def _policy(picks: Sequence[str], records: Benchmark) -> Policy:
    columns = {name: column for column, name in enumerate(records.model_names)}
    models = np.array([columns.get(pick, -1) for pick in picks], dtype=np.int64)
    return Policy("", chosen(models, len(columns)), picks)


def _qualities(policy: Policy, records: Benchmark) -> Vector:
    """Return the recorded quality of each pick, (n_queries,); NaN where it was not recorded."""
    values = np.where(policy.chances > 0, records.quality, 0.0).sum(axis=1)
    return np.where(policy.chances.any(axis=1), values, np.nan)


def _effects(
    before: Policy, after: Policy, records: Benchmark, estimation: Estimation | None, seed: int
) -> tuple[dict[str, Effect], dict[str, Estimate]]:
    """Return what changes of each recorded outcome, and the change of the mean quality within each category."""
    answered = (records if estimation is None else estimation.benchmark).answered
    outcomes = dict(zip(OUTCOMES, np.moveaxis(answered, 1, 0), strict=True))
    tables = {kind: _columns(before, after, values) for kind, values in outcomes.items() if not np.isnan(values).all()}
    names, categories = sorted(set(records.categories)), np.array(records.categories)
    within = [
        {name: column * (categories == category) for name, column in tables["quality"].items()} for category in names
    ]
    sums = resampled([*tables.values(), *within], seed)
    everywhere = _lacking(before, after, estimation, np.ones(len(categories), np.bool_))
    effects = {kind: _effect(found, everywhere) for kind, found in zip(tables, sums, strict=False)}
    reasons = [_lacking(before, after, estimation, categories == name) for name in names]
    within_each = [
        Estimate(np.nan, np.nan, np.nan, reason) if reason else difference(found)
        for found, reason in zip(sums[len(tables) :], reasons, strict=True)
    ]
    return effects, dict(zip(names, within_each, strict=True))


def _lacking(before: Policy, after: Policy, estimation: Estimation | None, mask: npt.NDArray[np.bool_]) -> str:
    """Return why a log does not tell what changes on some of the queries; empty where it does, or nothing changes."""
    changed = mask & (before.chances != after.chances).any(axis=1)
    if estimation is None or not changed.any():
        return ""
    reasons = (lacking(estimation, one.chances, changed) for one in (before, after))
    return next(filter(None, reasons), "")


def _columns(before: Policy, after: Policy, values: npt.NDArray[np.float64]) -> dict[str, Vector]:
    """Return columns of the difference, and of the outcome of the former picks where that of both is known."""
    known, filled = ~np.isnan(values), np.nan_to_num(values)
    base = (before.chances * filled).sum(axis=1) * (after.chances * known).sum(axis=1)
    return difference_columns(after, before, values) | {"base": base}


def _effect(found: Sums, reason: str) -> Effect:
    if reason:
        unknown = Estimate(np.nan, np.nan, np.nan, reason)
        return Effect(np.nan, np.nan, unknown, unknown)
    change, base = difference(found), float(ratio(found["base"], found["weight"])[0])
    of_base = estimate(share(found["difference"], found["base"]), found.counts["weight"])
    return Effect(base, base + change.value, change, of_base)


def _told(
    old: Selector,
    new: Selector,
    queries: Sequence[Query],
    found: Sequence[Change],
    records: Benchmark | None,
    quality: npt.NDArray[np.float64],
) -> list[Telling]:
    """Explain every change: the largest known changes of quality first, then the most clearly decided ones."""
    rise = np.abs(np.nan_to_num(quality[1] - quality[0]))
    rules = [(one.algorithm, one.metadata.semantics) for one in (old, new)]
    told = []
    for change in found:
        query = change.query
        sides = ask(old.explain, queries[query]), ask(new.explain, queries[query])
        telling = Telling(
            query=f"made query {query}" if records is None else records.queries[query][:LONGEST_QUERY],
            category=None if records is None else records.categories[query],
            reason=reason(*sides, is_one_model=are_of_one_model(old, new), is_one_rule=rules[0] == rules[1]),
            before=_why(sides[0]),
            after=_why(sides[1]),
            quality_before=_known(quality[0, query]),
            quality_after=_known(quality[1, query]),
        )
        told.append((-rise[query], -min(margins(*sides)), query, telling))
    return [telling for *_, telling in sorted(told, key=itemgetter(0, 1, 2))]


def _distinct(told: Sequence[Telling]) -> list[Telling]:
    """Leave out made queries with the explanations of an earlier one: made queries repeat themselves."""
    found: dict[str | int, Telling] = {}
    for place, one in enumerate(told):
        found.setdefault(f"{one.before} {one.after}" if one.category is None else place, one)
    return list(found.values())


def _reasons(told: Sequence[Telling]) -> list[Reason]:
    queries: dict[str, list[str]] = {}
    for one in told:
        queries.setdefault(one.reason, []).append(one.query)
    ordered = sorted(queries.items(), key=lambda pair: -len(pair[1]))
    return [Reason(words, len(some), some[:EXAMPLES]) for words, some in ordered]


def _known(value: float) -> float | None:
    return None if np.isnan(value) else float(value)


def _why(explanation: Explanation) -> Why:
    highest = sorted(explanation["scores"].items(), key=lambda pair: -pair[1])[:SCORES]
    return Why(explanation["model"], [Score(*pair) for pair in highest], _because(explanation))


def _because(explanation: Explanation) -> str:
    """Describe what decided the pick."""
    if "neighbours" in explanation:
        nearest = explanation["neighbours"]
        models = [f" ({one['model']})" if "model" in one else "" for one in nearest]
        named = [
            f"row {one['row']}{model} at {one['distance']:.4g}" for one, model in zip(nearest, models, strict=True)
        ]
        more = ["..."] if len(nearest) > NEIGHBOURS else []
        return f"{len(nearest)} neighbours: {', '.join(named[:NEIGHBOURS] + more)}"
    if "cluster" in explanation:
        return f"cluster {explanation['cluster']} at {explanation['distance']:.4g}"
    if "classifier" in explanation:
        return f"classifier {explanation['classifier']} scores the highest"
    return str(explanation.get("reason", ""))
