"""What changes from one artifact to another: picks, reasons, and outcomes on records."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from modelpick.runtime import Selector
from modelpick.runtime.decision.outcomes import OUTCOMES

from ..evaluation.evaluate import difference, difference_columns
from ..evaluation.policies import Policy, chosen
from ..files.queries import Query, ask
from ..formats.outcomes import Benchmark
from ..statistics.bootstrap import Estimate, Vector, resampled
from ..statistics.estimation import Estimation, effective_sample, estimated, lacking_answers
from ..verification.diff import Change, changes
from .facts import CategoryChange, Flow, Picks, Score, Telling, Why

# Number of changes that are shown with both explanations, and number of changes that they are chosen from.
TELLING, EXPLAINED = 20, 400
SCORES, NEIGHBOURS = 3, 3
LONGEST_QUERY = 240
Explanation = Mapping[str, Any]


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
    effects: dict[str, Estimate] = {}
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
    return Picks(
        of="made queries" if records is None else "queries of the records",
        queries=len(queries),
        changed=len(found),
        flows=[Flow(*names, count) for names, count in Counter(zip(before, after, strict=True)).most_common()],
        kinds={str(kind): count for kind, count in Counter(change.why for change in found).most_common()},
        telling=_telling(old, new, queries, found, records, quality),
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
) -> tuple[dict[str, Estimate], dict[str, Estimate]]:
    """Return the change of the mean of each recorded outcome, and of the mean quality within each category."""
    answered = (records if estimation is None else estimation.benchmark).answered
    outcomes = dict(zip(OUTCOMES, np.moveaxis(answered, 1, 0), strict=True))
    tables = {
        kind: difference_columns(after, before, values)
        for kind, values in outcomes.items()
        if not np.isnan(values).all()
    }
    names, categories = sorted(set(records.categories)), np.array(records.categories)
    within = [
        {name: column * (categories == category) for name, column in tables["quality"].items()} for category in names
    ]
    sums = resampled([*tables.values(), *within], seed)
    masks = [*[np.ones(len(categories), np.bool_)] * len(tables), *(categories == category for category in names)]
    lacking = [_lacking(before, after, estimation, mask) for mask in masks]
    found = [
        Estimate(np.nan, np.nan, np.nan, reason) if reason else difference(one)
        for one, reason in zip(sums, lacking, strict=True)
    ]
    return dict(zip(tables, found, strict=False)), dict(zip(names, found[len(tables) :], strict=True))


def _lacking(before: Policy, after: Policy, estimation: Estimation | None, mask: npt.NDArray[np.bool_]) -> str:
    """Return why a log does not tell what changes on some of the queries; empty where it does, or nothing changes."""
    changed = mask & (before.chances != after.chances).any(axis=1)
    if estimation is None or not changed.any():
        return ""
    effective = (effective_sample(one.chances[changed], estimation.weights[changed])[0] for one in (before, after))
    return lacking_answers(min(effective), int((estimation.weights > 0).sum()))


def _telling(
    old: Selector,
    new: Selector,
    queries: Sequence[Query],
    found: Sequence[Change],
    records: Benchmark | None,
    quality: npt.NDArray[np.float64],
) -> list[Telling]:
    rise = np.abs(np.nan_to_num(quality[1] - quality[0]))
    explained = [
        (change, ask(old.explain, queries[change.query]), ask(new.explain, queries[change.query]))
        for change in sorted(found, key=lambda change: -rise[change.query])[:EXPLAINED]
    ]
    explained.sort(key=lambda one: (-rise[one[0].query], -_decision(*one)))
    distinct: dict[str, Telling] = {}  # made queries repeat themselves: equal explanations are given once
    for change, *sides in explained:
        before, after = map(_why, sides)
        text = f"made query {change.query}" if records is None else records.queries[change.query][:LONGEST_QUERY]
        one = Telling(
            query=text,
            category=None if records is None else records.categories[change.query],
            kind=str(change.why),
            before=before,
            after=after,
            quality_before=_known(quality[0, change.query]),
            quality_after=_known(quality[1, change.query]),
        )
        distinct.setdefault(f"{before} {after}" if records is None else f"{change.query}", one)
    return list(distinct.values())[:TELLING]


def _known(value: float) -> float | None:
    return None if np.isnan(value) else float(value)


def _decision(change: Change, before: Explanation, after: Explanation) -> float:
    """Return by how much both sides prefer their own pick to the other's, as a share of the range of scores."""
    margins = []
    for explanation, pick, other in ((before, change.old, change.new), (after, change.new, change.old)):
        scores = explanation["scores"]
        spread = max(scores.values()) - min(scores.values())
        margins.append((scores[pick] - scores[other]) / spread if spread and {pick, other} <= set(scores) else 0.0)
    return min(margins)


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
