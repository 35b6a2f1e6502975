"""Shared by algorithms that predict outcomes: the utility of models, and the explanation of the pick."""

import numpy as np
import numpy.typing as npt

from ..decision.objective import choose, effective, utilities
from ..decision.outcomes import KINDS
from ..request import Preferences
from .base import Explanation

Array = npt.NDArray[np.float64]
Picks = npt.NDArray[np.int64]
Allowed = npt.NDArray[np.bool_]


def utility_of(outcomes: Array, preferences: Preferences) -> Array:
    """Return the utility of models by the preferences: (b, n_kinds, n_models) -> (b, n_models)."""
    return utilities(outcomes, preferences.objective, preferences.given)


def pick(outcomes: Array, preferences: Preferences, allowed: Allowed | None = None) -> tuple[Picks, Array]:
    """Pick the candidate of the highest utility; of equal utilities the cheaper model, then the first.

    Parameters
    ----------
    outcomes
        Float64, shape (b, n_kinds, n_models).
    preferences
        Preferences of the call.
    allowed
        Which models may win, (b, n_models), where other limits than the candidates apply.

    Returns
    -------
    (indices of the models, (b,), and the utility of all models, (b, n_models))
    """
    utility = utility_of(outcomes, preferences)
    allowed = preferences.allowed if allowed is None else allowed
    return choose(utility, effective(outcomes, "cost", preferences.given), allowed), utility


def default_of(base: Array, preferences: Preferences) -> int:
    """Return the candidate that is best on average, given mean outcomes, (n_kinds, n_models)."""
    picks, _ = pick(base[None], preferences)
    return int(picks[0])


def explained(outcomes: Array, names: tuple[str, ...], preferences: Preferences) -> dict[str, dict[str, float]]:
    """Return the outcomes of each model that count in its utility, without unknown ones."""
    kinds = [kind.name for place, kind in enumerate(KINDS) if place < len(outcomes) or kind.name in preferences.given]
    rows = {kind: effective(outcomes[None], kind, preferences.given)[0] for kind in kinds}
    return {
        name: {kind: float(row[model]) for kind, row in rows.items() if not np.isnan(row[model])}
        for model, name in enumerate(names)
    }


def explanation(
    outcomes: Array,
    base: Array,
    names: tuple[str, ...],
    preferences: Preferences,
    allowed: Allowed | None = None,
    kept: str = "",
) -> Explanation:
    """Explain the pick for one query: the outcomes of each model, and why the default model was picked or was not.

    Parameters
    ----------
    outcomes
        Predicted outcomes, float64, shape (1, n_kinds, n_models).
    base
        Mean outcomes, shape (n_kinds, n_models).
    names
        Names of the models.
    preferences, allowed
        See `pick`.
    kept
        Reason why the default model is picked, instead of the usual one.
    """
    picks, utility = pick(outcomes, preferences, allowed)
    best, default = int(picks[0]), default_of(base, preferences)
    if best == default:
        why = kept or f"no model exceeds the utility of {names[default]}, which is best on average"
    else:
        margin = utility[0, best] - utility[0, default]
        why = f"{names[best]} exceeds {names[default]}, which is best on average, by {margin:.4f} in utility"
    details = {"outcomes": explained(outcomes[0], names, preferences), "default": names[default], "reason": why}
    return Explanation(best, utility[0], details)
