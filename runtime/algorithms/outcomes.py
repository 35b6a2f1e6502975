"""What algorithms that predict outcomes share: the utility of models, and how the pick is explained."""

from typing import Any

import numpy as np
import numpy.typing as npt

from ..decision.objective import COST, OUTCOMES, choose, effective, utilities
from ..request import Preferences

Array = npt.NDArray[np.float64]


def utility_of(outcomes: Array, preferences: Preferences) -> Array:
    """Return the utility of models by what is asked: (b, 3, n_models) -> (b, n_models)."""
    return utilities(outcomes, preferences.objective, preferences.costs, preferences.seconds)


def pick(outcomes: Array, utility: Array, preferences: Preferences) -> npt.NDArray[np.int64]:
    """Pick the candidate of the highest utility; of equal ones the cheaper, then the first: (b,)."""
    return choose(utility, effective(outcomes[:, COST], preferences.costs), preferences.allowed)


def default_of(base: Array, preferences: Preferences) -> int:
    """Return the candidate that is best on average by what is asked; base is the mean outcomes, (3, n_models)."""
    return int(pick(base[None], utility_of(base[None], preferences), preferences)[0])


def explained(outcomes: Array, names: tuple[str, ...], preferences: Preferences) -> dict[str, dict[str, float]]:
    """Return the predicted outcomes of each model as they count, without those that are not known."""
    given = {"cost": preferences.costs, "seconds": preferences.seconds}
    rows = {kind: effective(outcomes[None, i], given.get(kind))[0] for i, kind in enumerate(OUTCOMES)}
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
