"""The picks of artifacts, query by query, to show where they fail."""

from collections.abc import Sequence

import numpy as np
from msgspec import Struct

from modelpick.runtime import Objective
from modelpick.runtime.decision.outcomes import OUTCOMES

from ..formats.outcomes import Benchmark
from .policies import Policy, best_models

# The recorded outcomes of a model's answer, None where not recorded; and whether it was a success.
Outcome = dict[str, float | bool | None]


class Pick(Struct):
    """A pick, and the best model of its query."""

    policy: str
    query: str
    category: str
    pick: str
    outcome: Outcome | None
    """None where the pick has no record."""
    best: str | None
    best_outcome: Outcome | None
    regret: float | None
    """Utility lost; None where the pick's utility is unknown."""


def picks_worst_first(policies: Sequence[Policy], benchmark: Benchmark, objective: Objective) -> list[Pick]:
    """List all picks by regret, the highest first; picks of unknown regret come last."""
    utility = benchmark.utilities(objective)
    best = best_models(benchmark, utility)
    names = {name: model for model, name in enumerate(benchmark.model_names)}

    def outcome(query: int, model: int) -> Outcome | None:
        if model < 0 or np.isnan(benchmark.quality[query, model]):
            return None
        recorded = zip(OUTCOMES, benchmark.recorded[query, :, model].tolist(), strict=True)
        known: Outcome = {kind: None if np.isnan(value) else value for kind, value in recorded}
        return known | {"success": not benchmark.failed[query, model]}

    picks = []
    for policy in policies:
        for query, name in enumerate(policy.picks):
            model, top = names.get(name, -1), int(best[query])
            lost = utility[query, top] - utility[query, model] if model >= 0 and top >= 0 else np.nan
            picks.append(
                Pick(
                    policy.label,
                    benchmark.queries[query],
                    benchmark.categories[query],
                    name,
                    outcome(query, model),
                    benchmark.model_names[top] if top >= 0 else None,
                    outcome(query, top),
                    None if np.isnan(lost) else float(lost),
                )
            )
    return sorted(picks, key=lambda pick: np.inf if pick.regret is None else -pick.regret)
