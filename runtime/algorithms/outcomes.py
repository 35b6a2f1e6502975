"""Shared by algorithms that predict outcomes: the utility of models, and the explanation of the pick."""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from ..decision.good_enough import cheapest_of, is_certain, reaching
from ..decision.objective import choose, clear_choice, effective, utilities, utility_errors
from ..decision.outcomes import COST, KINDS, PLACES, QUALITY
from ..decision.voting import CLOSE, are_close
from ..request import FarFrom, Preferences
from .base import Explanation

Array = npt.NDArray[np.float64]
Picks = npt.NDArray[np.int64]
Allowed = npt.NDArray[np.bool_]
Proven = npt.NDArray[np.bool_]


def utility_of(outcomes: Array, preferences: Preferences) -> Array:
    """Return the utility of models by the preferences: (b, n_kinds, n_models) -> (b, n_models)."""
    return utilities(outcomes, preferences.objective, preferences.given)


def pick(outcomes: Array, preferences: Preferences, allowed: Allowed | None = None) -> tuple[Picks, Array]:
    """Pick the candidate of the highest utility; of equal utilities the cheaper model, then the first.

    With ``at_least``, the cheapest candidate that reaches it is picked instead, where there is one.

    Parameters
    ----------
    outcomes
        Float64, shape (b, n_kinds, n_models).
    preferences
        Preferences of the call.
    allowed
        Which models may win by their utility, (b, n_models), where other limits than the candidates apply.

    Returns
    -------
    (indices of the models, (b,), and the utility of all models, (b, n_models))
    """
    utility = utility_of(outcomes, preferences)
    allowed = preferences.allowed if allowed is None else allowed
    cost = effective(outcomes, "cost", preferences.given)
    picks = choose(utility, cost, allowed)
    if preferences.at_least is not None:
        quality = outcomes[:, QUALITY]
        reached = reaching(quality, preferences.at_least, preferences.allowed)
        picks = np.where(reached.any(axis=1), cheapest_of(reached, quality, cost), picks)
    return picks, utility


def is_proven(outcomes: Array, utility: Array, errors: Array, preferences: Preferences) -> Proven:
    """Whether the errors of predictions leave each pick as it is: (b,).

    Parameters
    ----------
    outcomes, utility
        See `pick`.
    errors
        `Output.PREDICTION_ERROR`.
    preferences
        Preferences of the call.
    """
    bound = 2.0 * utility_errors(errors, preferences.objective)
    others = utility if preferences.allowed is None else np.where(preferences.allowed, utility, -np.inf)
    proven: Proven = (others >= (others.max(axis=1) - bound)[:, None]).sum(axis=1) == 1
    if preferences.at_least is None:
        return proven
    certain, any_reaches = _certain(outcomes, (errors[:, QUALITY], errors[:, COST]), preferences)
    return certain & (any_reaches | proven)


def clear_pick(outcomes: Array, errors: Array, preferences: Preferences) -> int | None:
    """Pick for one query, without ``at_least``, where `is_proven` holds; else None. It takes a fifth of the time.

    Parameters
    ----------
    outcomes, errors
        Float64, shapes (1, n_kinds, n_models) and (1, n_kinds).
    preferences
        Preferences of the call.
    """
    utility = utility_of(outcomes, preferences)[0]
    bound = 2.0 * utility_errors(errors, preferences.objective).item()
    return clear_choice(utility, bound, preferences.allowed)


def proven_by_differences(
    outcomes: Array, errors: Array, differences: Array, least_price: float, preferences: Preferences
) -> tuple[Picks, Proven]:
    """Pick by utility, and tell where errors of the differences between models leave the pick as it is: (b,) each.

    A price that may be below the least one, to which it is raised, has the error of each model alone.

    Parameters
    ----------
    outcomes, errors
        See `is_proven`.
    differences
        `Table.DIFFERENCE_ERROR`.
    least_price
        The least price.
    preferences
        Preferences of the call, without ``at_least`` and given values.
    """
    utility = utility_of(outcomes, preferences)
    if preferences.allowed is not None:
        utility = np.where(preferences.allowed, utility, -np.inf)
    rows, best = np.arange(len(utility)), utility.argmax(axis=1)
    highest = utility[rows, best, None]
    bound = CLOSE * np.maximum(np.abs(highest), 1.0)
    for place, weight in ((QUALITY, 1.0), *((PLACES[kind], weight) for kind, weight in preferences.objective.weights)):
        error = errors[:, place, None]
        between = np.sqrt(error) * differences[place, best]
        if place != QUALITY:
            is_low = outcomes[:, place] <= least_price + error
            between = np.where(is_low | is_low[rows, best, None], 2.0 * error, between)
        bound = bound + weight * between
    proven: Proven = (utility >= highest - bound).sum(axis=1) == 1
    return best, proven


def is_close(outcomes: Array, utility: Array, preferences: Preferences) -> Proven:
    """Whether rounding in float64 could change each pick: (b,); see `is_proven`."""
    close = are_close(utility, preferences.allowed)
    if preferences.at_least is None:
        return close
    rounding = np.full(len(outcomes), CLOSE)
    certain, any_reaches = _certain(outcomes, (rounding, rounding), preferences)
    return ~certain | (~any_reaches & close)


def _certain(outcomes: Array, errors: tuple[Array, Array], preferences: Preferences) -> tuple[Proven, Proven]:
    assert preferences.at_least is not None
    cost = effective(outcomes, "cost", preferences.given)
    return is_certain(outcomes[:, QUALITY], cost, preferences.at_least, errors, preferences.allowed)


def default_of(base: Array, preferences: Preferences) -> int:
    """Return the candidate that is best on average, given mean outcomes, (n_kinds, n_models)."""
    picks, _ = pick(base[None], preferences._replace(at_least=None))
    return int(picks[0])


def are_far(squares: Array, errors: Array, far: FarFrom, distance: Callable[[int], float]) -> npt.NDArray[np.bool_]:
    """Whether queries are far from the training questions, (b,), as each of them alone is.

    Parameters
    ----------
    squares, errors
        Squared distances to the nearest training questions, and bounds on the difference from the squared distance that
        is measured for the query alone; float64, (b,).
    far
        What is far.
    distance
        Measures the distance of a query alone, given its place.
    """
    excess = squares - far.distance**2
    is_far = excess > 0.0
    for place in np.flatnonzero(np.abs(excess) <= errors).tolist():
        is_far[place] = distance(place) > far.distance
    return is_far


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
    enough = preferences.at_least
    if enough is not None and outcomes[0, QUALITY, best] >= enough:
        why = f"{names[best]} is the cheapest model whose predicted quality reaches {enough:g}"
    elif best == default:
        why = kept or f"no model exceeds the utility of {names[default]}, which is best on average"
    else:
        margin = utility[0, best] - utility[0, default]
        why = f"{names[best]} exceeds {names[default]}, which is best on average, by {margin:.4f} in utility"
    if enough is not None and outcomes[0, QUALITY, best] < enough:
        why = f"no model's predicted quality reaches {enough:g}: {why}"
    details = {"outcomes": explained(outcomes[0], names, preferences), "default": names[default], "reason": why}
    return Explanation(best, utility[0], details)
