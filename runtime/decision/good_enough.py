"""Good enough: the cheapest model whose predicted quality reaches a number. Pure numpy."""

import numpy as np
import numpy.typing as npt

from .objective import choose

Array = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]
# An unknown cost is never the lowest.
_DEAREST = float(np.finfo(np.float64).max) / 4.0


def reaching(quality: Array, at_least: float, allowed: Mask | None = None) -> Mask:
    """Return which candidates' predicted quality reaches a number: (b, n_models).

    Parameters
    ----------
    quality
        Predicted quality, float64, shape (b, n_models).
    at_least
        Quality that is good enough.
    allowed
        Which models may win, shape (n_models,) or (b, n_models); all by default.
    """
    reached: Mask = quality >= at_least
    return reached if allowed is None else reached & allowed


def cheapest_of(reached: Mask, quality: Array, cost: Array) -> npt.NDArray[np.int64]:
    """Return each query's cheapest model among those that reach, of equal costs the best, then the first: (b,).

    The pick has no meaning where no model reaches.

    Parameters
    ----------
    reached
        See `reaching`.
    quality, cost
        Float64, (b, n_models); an unknown cost, NaN, counts as the highest.
    """
    return choose(-np.nan_to_num(cost, nan=_DEAREST), -quality, reached)


def is_certain(
    quality: Array, cost: Array, at_least: float, errors: tuple[Array, Array], allowed: Mask | None = None
) -> tuple[Mask, Mask]:
    """Return where errors change neither which models reach nor the cheapest of them, and where any model reaches.

    Parameters
    ----------
    quality, cost, at_least, allowed
        See `reaching` and `cheapest_of`.
    errors
        Bounds on the errors of quality and of cost, (b,) each.

    Returns
    -------
    (whether it is certain, (b,), and whether any model reaches, (b,))
    """
    off_quality, off_cost = errors
    away = np.abs(quality - at_least) > off_quality[:, None]
    reached = reaching(quality, at_least, allowed)
    costs = np.where(reached, np.nan_to_num(cost, nan=_DEAREST), np.inf)
    lowest = costs.min(axis=1) + 2.0 * off_cost
    any_reaches = np.asarray(reached.any(axis=1))
    alone = ~any_reaches | ((costs <= lowest[:, None]).sum(axis=1) == 1)
    settled = away if allowed is None else away | ~allowed
    return settled.all(axis=1) & alone, any_reaches
