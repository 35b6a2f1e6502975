"""What algorithms that predict outcomes share: the utility of models, and how the pick is explained."""

from typing import Any

import numpy as np
import numpy.typing as npt

from ..decision.objective import choose, effective, utilities
from ..decision.outcomes import KINDS
from ..request import Preferences

Array = npt.NDArray[np.float64]


def utility_of(outcomes: Array, preferences: Preferences) -> Array:
    """Return the utility of models by what is asked: (b, n_kinds, n_models) -> (b, n_models)."""
    return utilities(outcomes, preferences.objective, preferences.given)


def pick(outcomes: Array, utility: Array, preferences: Preferences) -> npt.NDArray[np.int64]:
    """Pick the candidate of the highest utility; of equal ones the cheaper, then the first: (b,)."""
    return choose(utility, effective(outcomes, "cost", preferences.given), preferences.allowed)


def default_of(base: Array, preferences: Preferences) -> int:
    """Return the candidate that is best on average by what is asked; base is the mean outcomes, (n_kinds, n_models)."""
    return int(pick(base[None], utility_of(base[None], preferences), preferences)[0])


def explained(outcomes: Array, names: tuple[str, ...], preferences: Preferences) -> dict[str, dict[str, float]]:
    """Return the predicted outcomes of each model as they count, without those that are not known."""
    kinds = [kind.name for place, kind in enumerate(KINDS) if place < len(outcomes) or kind.name in preferences.given]
    rows = {kind: effective(outcomes[None], kind, preferences.given)[0] for kind in kinds}
    return {
        name: {kind: float(row[model]) for kind, row in rows.items() if not np.isnan(row[model])}
        for model, name in enumerate(names)
    }


def reason(utility: Array, winner: int, default: int, names: tuple[str, ...], kept: str = "") -> dict[str, Any]:
    """Explain why the default model was left, or was not."""
    if winner == default:
        why = kept or f"no model exceeds the utility of {names[default]}, which is best on average"
    else:
        lead = utility[winner] - utility[default]
        why = f"{names[winner]} exceeds {names[default]}, which is best on average, by {lead:.4f} in utility"
    return {"default": names[default], "reason": why}
