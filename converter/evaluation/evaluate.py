"""Evaluation: policies on held-out records, compared with each single model, their mixes, chance and the oracle.

Records may be sparse. A policy's means run over the queries on which its pick has an outcome; the share of these
queries is its coverage. Two policies are compared on the queries where both have an outcome.
"""

from collections.abc import Mapping, Sequence
from itertools import chain, combinations
from typing import Any, Literal, NamedTuple

import numpy as np
import numpy.typing as npt
from msgspec import Struct
from msgspec.structs import asdict

from modelpick.runtime import DocumentError, Objective
from modelpick.runtime.decision.outcomes import OUTCOMES, PRICES, SECONDS

from ..formats.outcomes import Benchmark, Matrix
from ..statistics.bootstrap import WANTED, Estimate, Sums, Vector, estimate, ratio, resampled, share
from ..statistics.equals import alike, equal_models
from ..statistics.estimation import Estimation, carried, effective_sample, estimated, lacking
from ..statistics.frontier import Frontier, frontiers_of, heights, static_mix
from ..statistics.offers import Period, periods
from .calibration import Calibration
from .drift import Drift
from .policies import Policy, best_models, chosen, mixed, roles, single_models
from .recovery import Recovery
from .seen import Seen

Mask = npt.NDArray[np.bool_]
Kind = Literal["oracle", "artifact", "mix", "single", "random"]
Source = Literal["training records", "artifacts", "hindsight"]
ROLES_FROM: dict[Source, str] = {
    "training records": "by the training records",
    "artifacts": "as the artifacts record",
    "hindsight": "in hindsight",
}
"""In words."""
ROLES_MEAN: dict[Source, str] = {
    "training records": "its mean is the highest there",
    "artifacts": "its mean was the highest over their training questions",
    "hindsight": "its mean is the highest over these very questions, which no service could know",
}
"""What that means."""
MIX_OF = "mix at {}"
MEANS = "means of the records"
MANY = 12
"""Of more models, those that are seldom called are counted instead of shown."""
SELDOM = 0.01
"""Share of the questions from which on a model is called often enough to be shown."""
HINDSIGHT = ("best", "best_share", "regret", "gap_closed")
NO_HINDSIGHT = "a log does not tell the best model of a question"
ESTIMATES = ("success", "gain", "kept", "saved", *HINDSIGHT)
UNKNOWN_PICKS = "no {} of its picks is known"
NO_COMMON = f"no question has answers of its pick and of {{}}: about {WANTED} would tell them apart"


class Slice(Struct):
    """What a policy achieves on the queries of one category."""

    quality: float | None
    queries: int
    """Number of queries whose pick has an outcome."""


class Result(Struct):
    """What a policy achieves. An estimate that the records do not support is NaN, and gives the reason."""

    name: str
    kind: Kind
    artifact: str
    """For an artifact's policy, the artifact; its policies differ in their operating points."""
    keep: float | None
    """For an artifact's policy, its operating point; None is what the artifact does by the objective."""
    roles: list[str]
    """For a single model, which of these it is: the strongest, the cheapest, the best by the objective."""
    effective_sample: float | None
    """For a log, about how many answers the estimates rest on; None for other records."""
    largest_weight: float | None
    """For a log, the weight of the answer that counts most."""
    coverage: float
    """Share of the calls whose quality is known."""
    best: Estimate
    """Mean quality of the best model of each query, on the queries where the quality of the call is known."""
    outcomes: dict[str, Estimate]
    """Mean of each kind of outcome; the mean of seconds is over the answers that did not fail."""
    success: Estimate
    """Share of the answers that did not fail."""
    regret: Estimate
    """Mean utility lost compared with the best model of each query."""
    best_share: Estimate
    """Share of the queries on which no known model has a higher utility."""
    gain: Estimate
    """Mean utility minus that of the best single model."""
    kept: Estimate
    """Quality as a share of the best single model's, where the latter is surely above 0."""
    saved: Estimate
    """Share of the best single model's price that is saved."""
    changes: dict[str, Estimate]
    """Change of the mean of each price, as a share of the best single model's."""
    gap_closed: Estimate
    """Gain as a share of the oracle's gain."""
    over_mix: Estimate
    """Quality minus that of the best static mix of two models at the same mean price."""
    selections: dict[str, float]
    """Share of the queries for which each model is called."""
    categories: dict[str, Slice]

    @property
    def quality(self) -> Estimate:
        """Mean quality."""
        return self.outcomes["quality"]

    def estimate(self, name: str) -> Estimate:
        """Return an estimate by its name: a kind of outcome, or a field."""
        found: Estimate = self.outcomes[name] if name in self.outcomes else getattr(self, name)
        return found


class Difference(Struct):
    """The difference in quality between two artifacts on the same queries."""

    better: str
    than: str
    quality: Estimate


class Evaluation(Struct):
    """The outcome of an evaluation."""

    queries: int
    objective: Objective
    axis: str
    """The price: of the kinds of outcomes that an objective weighs, the first that is recorded."""
    baseline: str
    """The best single model, by the objective."""
    estimator: str
    """How outcomes were estimated, in words."""
    roles_from: Source
    """The source of the models' roles."""
    results: list[Result]
    """The oracle; artifacts; static mixes at their prices, in the same order; single models; random."""
    differences: list[Difference]
    frontiers: list[Frontier]
    """Frontiers of the single models and of each artifact."""
    recoveries: list[Recovery] = []
    calibrations: list[Calibration] = []
    """Of the artifacts that predict quality."""
    seen: list[Seen] = []
    """Artifacts that were trained on some of the records' questions."""
    drifts: dict[str, Drift] = {}
    """Artifacts that record distances -> how far the questions lie from their rows."""
    offers: list[Period] = []
    """For a log, models that were on offer for a part of its questions: they are judged on this part alone."""
    equal_models: dict[str, list[str]] = {}
    """Model -> other models of the same records."""

    @property
    def models(self) -> list[str]:
        """Names of the models."""
        return list(self.results[0].selections)

    def shown_models(self) -> list[str]:
        """List the models; of more than `MANY`, those that an artifact calls for `SELDOM` of the questions or more."""
        few, policies = len(self.models) <= MANY, self.of("artifact")
        return [name for name in self.models if few or any(one.selections[name] >= SELDOM for one in policies)]

    def shown_results(self) -> list[Result]:
        """List all results except single models without a role that are seldom called, see `shown_models`."""
        shown = self.shown_models()
        return [one for one in self.results if one.kind != "single" or one.roles or one.name in shown]

    def alike(self) -> list[str]:
        """Say which models have equal records."""
        called = {name for one in self.of("artifact") for name, share in one.selections.items() if share}
        return [
            alike(first, others, "" if called & {*others} else ", and no artifact calls")
            for first, others in self.equal_models.items()
        ]

    def of(self, kind: Kind) -> list[Result]:
        """Return the results of one kind."""
        return [result for result in self.results if result.kind == kind]

    def of_categories(self) -> dict[str, int]:
        """Return the number of questions of each category with an outcome."""
        return {name: max(one.categories[name].queries for one in self.results) for name in self.results[0].categories}

    def reasons(self) -> list[str]:
        """List the reasons for dashes, each reason once, with the estimates that are unknown for it."""
        kinds = {name: name for name in (*OUTCOMES, "regret", "gain")}
        kinds |= {"kept": "quality kept", "saved": f"{self.axis} saved"}
        kinds |= {"gap_closed": "gap closed", "over_mix": "over static mix"}
        found: dict[str, dict[str, None]] = {}
        for name, title in kinds.items():
            for one in self.results:
                found.setdefault(one.estimate(name).reason, {})[title] = None
        return [f"{', '.join(titles)}: {reason}" for reason, titles in found.items() if reason]


def to_fields(evaluation: Evaluation) -> dict[str, Any]:
    """Return the JSON of an evaluation; mean outcomes are among the other fields of a result."""
    results = []
    for result in evaluation.results:
        fields: dict[str, Any] = {}
        for name, value in asdict(result).items():
            fields |= value if name == "outcomes" else {name: value}
        results.append(fields)
    return asdict(evaluation) | {"objective": evaluation.objective.keywords(), "results": results}


class _Scale(NamedTuple):
    """One outcome, shape (n_queries, n_models), and the best single model's column of it."""

    values: Matrix
    base: Vector

    def columns(self, name: str, chances: Matrix) -> dict[str, Vector]:
        """Sum the known outcomes over the models, and the chances that they are known; also for pairs with the base."""
        known, base_known = ~np.isnan(self.values), ~np.isnan(self.base)
        got = (chances * np.where(known, self.values, 0.0)).sum(axis=1)
        weight = (chances * known).sum(axis=1)
        return {
            name: got,
            f"{name} weight": weight,
            f"{name} paired": got * base_known,
            f"{name} base": weight * np.where(base_known, self.base, 0.0),
            f"{name} both": weight * base_known,
        }


def evaluate_policies(
    policies: Sequence[Policy],
    benchmark: Benchmark,
    *,
    objective: Objective = Objective(),  # noqa: B008 (immutable)
    learned: Benchmark | None = None,
    seed: int = 0,
) -> Evaluation:
    """Evaluate policies on benchmark records that they were not trained on.

    Parameters
    ----------
    policies
        Policies of artifacts, see `modelpick.converter.evaluation.policies.routed`.
    objective
        Defines regret, best picks, the oracle and the best single model.
    learned
        Records that determine the strongest, the cheapest and the best model. By default the artifacts' metadata do;
        where none has them, or they disagree, the evaluated records do, in hindsight, which no service could.
    seed
        Seed of the bootstrap.

    Raises
    ------
    DocumentError
        When no model of ``learned`` has records, or no utility is known.
    """
    names, (n, m) = benchmark.model_names, benchmark.quality.shape
    supported, equal = benchmark, equal_models(benchmark)
    estimation = estimated(benchmark, seed) if benchmark.is_log else None
    offers = [] if estimation is None else periods(benchmark)
    if estimation is not None:
        benchmark, supported = estimation.benchmark, carried(estimation)
    utility = benchmark.known_utilities(objective)
    roles_from, known = known_roles(policies, supported, objective, learned)
    base = names.index(known["best"])
    outcomes = dict(zip(OUTCOMES, np.moveaxis(benchmark.answered, 1, 0), strict=True))
    axis = next((kind.name for kind in PRICES if not np.isnan(outcomes[kind.name]).all()), OUTCOMES[SECONDS])
    outcomes |= {"success": 1.0 - benchmark.failures, "utility": utility}
    scales = {name: _Scale(values, values[:, base]) for name, values in outcomes.items()}

    singles = single_models(benchmark)
    nobody = np.full(n, -1)
    mixes = list(_mixes(policies, single_models(supported), outcomes[axis], benchmark.quality))
    kinds: dict[Kind, Sequence[Policy]] = {
        "oracle": [Policy("oracle", chosen(best_models(benchmark, utility) if estimation is None else nobody, m))],
        "artifact": policies,
        "mix": mixes,
        "single": singles,
        "random": [Policy("random", np.full((n, m), 1 / m))],
    }
    everything = [(kind, policy) for kind, of_kind in kinds.items() for policy in of_kind]
    best = np.where(np.isnan(utility), -np.inf, utility).max(axis=1)
    best = np.where(np.isfinite(best), best, 0.0)
    unasked = [policy for policy in policies if policy.keep is None]
    if estimation is not None:
        unasked = [policy for policy in unasked if not lacking(estimation, policy.chances)]
    pairs = list(combinations(unasked, 2))
    tables = (_columns(policy.chances, scales, best) for _, policy in everything)
    differing = (difference_columns(first, second, benchmark.quality) for first, second in pairs)
    sums = resampled(chain(tables, differing), seed)
    sums, differences = sums[: len(everything)], sums[len(everything) :]

    quality = np.column_stack([ratio(found["quality"], found["quality weight"]) for found in sums])
    price = np.column_stack([ratio(found[axis], found[f"{axis} weight"]) for found in sums])
    of_single = np.array([kind == "single" for kind, _ in everything])
    samples: list[tuple[float | None, float | None]] = [(None, None)] * len(everything)
    reasons = [""] * len(everything)
    if estimation is not None:
        samples = [effective_sample(policy.chances, estimation.weights) for _, policy in everything]
        reasons = [lacking(estimation, policy.chances) for _, policy in everything]
    of_base = next(
        reason
        for (kind, policy), reason in zip(everything, reasons, strict=True)
        if kind == "single" and policy.label == names[base]
    )
    without = np.array([bool(reason) for reason in reasons])
    quality[:, without], price[:, without] = np.nan, np.nan
    over = quality - heights(price[:, of_single], quality[:, of_single], price)
    categories = np.array(benchmark.categories)
    results = [
        Result(
            name=policy.label,
            kind=kind,
            artifact=policy.artifact,
            keep=policy.keep,
            roles=[role for role, name in known.items() if kind == "single" and name == policy.label],
            effective_sample=samples[place][0],
            largest_weight=samples[place][1],
            coverage=float(found["quality weight"][0] / n),
            **_estimates(found, axis, names[base], estimation is not None, reasons[place], of_base),
            over_mix=estimate(
                over[:, place], found.counts["quality weight"], reasons[place] or UNKNOWN_PICKS.format(axis)
            ),
            selections=dict(zip(names, policy.chances.mean(axis=0).tolist(), strict=True)),
            categories={
                name: _slice(policy.chances, benchmark.quality, categories == name, estimation)
                for name in sorted(set(benchmark.categories))
            },
        )
        for place, ((kind, policy), found) in enumerate(zip(everything, sums, strict=True))
    ]
    return Evaluation(
        queries=n,
        objective=objective,
        axis=axis,
        baseline=names[base],
        estimator=MEANS if estimation is None else estimation.estimator,
        roles_from=roles_from,
        results=results,
        differences=_differences(pairs, differences),
        frontiers=frontiers_of(price, quality, of_single, [policy.artifact for _, policy in everything], n),
        drifts={policy.artifact: policy.drift for policy in policies if policy.drift is not None},
        offers=offers,
        equal_models=equal,
    )


def known_roles(
    policies: Sequence[Policy], benchmark: Benchmark, objective: Objective, learned: Benchmark | None
) -> tuple[Source, dict[str, str]]:
    """Name the strongest, the cheapest and the best model, and the source of these roles."""
    if learned is not None:
        return "training records", roles(_only(learned, benchmark.model_names), objective)
    recorded = {tuple(policy.recorded.items()): policy.recorded for policy in policies if "best" in policy.recorded}
    known = {single.label for single in single_models(benchmark)}
    if len(recorded) == 1:
        (found,) = recorded.values()
        if set(found.values()) <= known:
            return "artifacts", dict(found)
    return "hindsight", roles(benchmark, objective)


def _only(learned: Benchmark, names: Sequence[str]) -> Benchmark:
    """Return training records of the evaluated models only."""
    columns = [column for column, name in enumerate(learned.model_names) if name in names]
    if not columns:
        raise DocumentError(
            f"expected training records of {', '.join(names)}, got them of {', '.join(learned.model_names)}"
        )
    return learned.of_models(columns)


def _mean(chances: Matrix, values: Matrix) -> float:
    known = ~np.isnan(values)
    weight = (chances * known).sum()
    return float((chances * np.where(known, values, 0.0)).sum() / weight) if weight else np.nan


def _mixes(policies: Sequence[Policy], singles: Sequence[Policy], price: Matrix, quality: Matrix) -> list[Policy]:
    """Mix two models to the mean price of each policy, where it is known."""
    at = [_mean(policy.chances, price) for policy in policies]
    prices = np.array([_mean(single.chances, price) for single in singles])
    qualities = np.array([_mean(single.chances, quality) for single in singles])
    models = np.array([single.chances[0] for single in singles])
    return [
        mixed(MIX_OF.format(policy.label), static_mix(prices, qualities, where) @ models, len(price))
        for policy, where in zip(policies, at, strict=True)
        if not np.isnan(where) and not np.isnan(prices).all()
    ]


def _columns(chances: Matrix, scales: Mapping[str, _Scale], best: Vector) -> dict[str, Vector]:
    table: dict[str, Vector] = {}
    for name, scale in scales.items():
        table |= scale.columns(name, chances)
    utility = scales["utility"]
    table["best"] = (chances * (utility.values == best[:, None])).sum(axis=1)
    known = ~np.isnan(scales["quality"].values)
    highest = np.where(known, scales["quality"].values, -np.inf).max(axis=1)
    table["highest"] = table["quality weight"] * np.where(known.any(axis=1), highest, 0.0)
    table["lost"] = table["utility weight"] * best - table["utility"]
    table["gap"] = table["utility both"] * best - table["utility base"]
    return table


def _estimates(found: Sums, axis: str, baseline: str, of_log: bool, lacking: str, base_lacking: str) -> dict[str, Any]:
    """Make the estimates of a policy from the sums of its `_columns`.

    Where the log lacks answers of the policy or of the best single model, estimates are unknown: ``lacking`` and
    ``base_lacking`` are the reasons.
    """
    gained = found["utility paired"] - found["utility base"]

    def mean(kind: str, of: Vector) -> Estimate:
        known = f"{kind} weight"
        return estimate(ratio(of, found[known]), found.counts[known], UNKNOWN_PICKS.format(kind))

    def compared(kind: str, samples: Vector, reason: str = "") -> Estimate:
        if base_lacking:
            return Estimate(np.nan, np.nan, np.nan, f"{baseline}: {base_lacking}")
        known, common = found.counts[f"{kind} weight"], found.counts[f"{kind} both"]
        without = NO_COMMON.format(baseline) if known else UNKNOWN_PICKS.format(kind)
        return estimate(samples, common, reason if common else without)

    prices = [kind.name for kind in PRICES]
    if lacking:
        nothing = Estimate(np.nan, np.nan, np.nan, lacking)
        by_kind = {"outcomes": dict.fromkeys(OUTCOMES, nothing), "changes": dict.fromkeys(prices, nothing)}
        return {**by_kind, **dict.fromkeys(ESTIMATES, nothing)}
    unknown = dict.fromkeys(HINDSIGHT if of_log else (), Estimate(np.nan, np.nan, np.nan, NO_HINDSIGHT))
    no_part, no_gap = "the mean {} of {} is not surely above 0", f"the oracle is not surely better than {baseline}"
    shares = {price: share(found[f"{price} paired"], found[f"{price} base"]) for price in prices}
    return {
        "outcomes": {kind: mean(kind, found[kind]) for kind in OUTCOMES},
        "success": mean("success", found["success"]),
        "regret": mean("utility", found["lost"]),
        "best": mean("quality", found["highest"]),
        "best_share": mean("utility", found["best"]),
        "gain": compared("utility", ratio(gained, found["utility both"])),
        "kept": compared(
            "quality", share(found["quality paired"], found["quality base"]), no_part.format("quality", baseline)
        ),
        "saved": compared(axis, 1 - shares[axis], no_part.format(axis, baseline)),
        "changes": {kind: compared(kind, of - 1, no_part.format(kind, baseline)) for kind, of in shares.items()},
        "gap_closed": compared("utility", share(gained, found["gap"]), no_gap),
        **unknown,
    }


def _slice(chances: Matrix, quality: Matrix, queries: Mask, estimation: Estimation | None) -> Slice:
    covered = ((chances[queries] > 0) & ~np.isnan(quality[queries])).any(axis=1)
    mean = _mean(chances[queries], quality[queries])
    unknown = np.isnan(mean) or (estimation is not None and lacking(estimation, chances, queries))
    return Slice(None if unknown else mean, int(covered.sum()))


def difference_columns(first: Policy, second: Policy, quality: Matrix) -> dict[str, Vector]:
    """Return columns whose ratio of sums is the mean difference of two policies.

    The difference on each query is weighted by the chance that both outcomes are known. ``quality`` may be another
    outcome, float64, shape (n_queries, n_models); NaN where it is unknown.
    """
    known, filled = ~np.isnan(quality), np.nan_to_num(quality)
    got, weight = ([(p.chances * of).sum(axis=1) for p in (first, second)] for of in (filled, known))
    return {"difference": got[0] * weight[1] - got[1] * weight[0], "weight": weight[0] * weight[1]}


def difference(found: Sums, sign: int = 1) -> Estimate:
    """Estimate the mean difference from the sums of `difference_columns`."""
    samples = sign * ratio(found["difference"], found["weight"])
    return estimate(samples, found.counts["weight"], NO_COMMON.format("the other"))


def _differences(pairs: Sequence[tuple[Policy, Policy]], sums: Sequence[Sums]) -> list[Difference]:
    differences = []
    for (first, second), found in zip(pairs, sums, strict=True):
        is_first = (found["difference"] > 0)[0]
        better, than, sign = (first, second, 1) if is_first else (second, first, -1)
        differences.append(Difference(better.label, than.label, difference(found, sign)))
    return sorted(differences, key=lambda pair: -np.nan_to_num(pair.quality.value, nan=-np.inf))
