"""What algorithms that predict outcomes share: the utility of models, and how the pick is explained."""

import numpy as np
import numpy.typing as npt

from ..decision.objective import choose, effective, utilities
from ..decision.outcomes import KINDS
from ..request import Preferences
from .base import Explanation

Array = npt.NDArray[np.float64]


def utility_of(outcomes: Array, preferences: Preferences) -> Array:
    """Return the utility of models by the preferences: (b, n_kinds, n_models) -> (b, n_models)."""
    return utilities(outcomes, preferences.objective, preferences.given)


def pick(outcomes: Array, utility: Array, preferences: Preferences) -> npt.NDArray[np.int64]:
    """Pick the candidate of the highest utility; of equal ones the cheaper, then the first: (b,)."""
    return choose(utility, effective(outcomes, "cost", preferences.given), preferences.allowed)


def default_of(base: Array, preferences: Preferences) -> int:
    """Return the candidate that is best on average; base is the mean outcomes, (n_kinds, n_models)."""
    return int(pick(base[None], utility_of(base[None], preferences), preferences)[0])


def explained(outcomes: Array, names: tuple[str, ...], preferences: Preferences) -> dict[str, dict[str, float]]:
    """Return the predicted outcomes of each model as they count, without those that are not known."""
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
    allowed: npt.NDArray[np.bool_] | None = None,
    kept: str = "",
) -> Explanation:
    """Explain the pick for one query: the outcomes of each model, and why the default model was left, or was not.

    Parameters
    ----------
    outcomes
        Predicted outcomes, float64, shape (1, n_kinds, n_models).
    base
        Mean outcomes, shape (n_kinds, n_models).
    names
        Names of the models.
    preferences
        Those of the call.
    allowed
        Which models may win, (1, n_models), where it is not for the preferences alone to say.
    kept
        Why the default model is picked, in other words.
    """
    utility, default = utility_of(outcomes, preferences), default_of(base, preferences)
    among = preferences if allowed is None else preferences._replace(allowed=allowed)
    best = int(pick(outcomes, utility, among)[0])
    if best == default:
        why = kept or f"no model exceeds the utility of {names[default]}, which is best on average"
    else:
        margin = utility[0, best] - utility[0, default]
        why = f"{names[best]} exceeds {names[default]}, which is best on average, by {margin:.4f} in utility"
    details = {"outcomes": explained(outcomes[0], names, preferences), "default": names[default], "reason": why}
    return Explanation(best, utility[0], details)
