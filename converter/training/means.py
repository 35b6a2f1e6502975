"""What each model achieves on average, also where not every model answered every query."""

import numpy as np
import numpy.typing as npt

# Records that the mean of all models, and queries' common deviation, count for.
OWN, COMMON = 10.0, 1.0


def model_means(outcomes: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Average each model's outcomes, cleared of how hard its queries were and shrunk to the mean model.

    Minimises ``sum (y[i, j] - b[j] - a[i])^2 + COMMON * sum a[i]^2 + OWN * sum (b[j] - mean(b))^2``, so that a model
    with three easy records is not the best: random effects of a two-way layout, S. Searle, G. Casella, C. McCulloch,
    Variance Components, 1992, chapter 7. Of complete outcomes the order is that of the plain means.

    Parameters
    ----------
    outcomes
        Float64, shape (n_queries, n_models); NaN where unknown.

    Returns
    -------
    ndarray
        Float64, shape (n_models,): b; NaN if nothing is known.
    """
    known = ~np.isnan(outcomes)
    m = outcomes.shape[1]
    if not known.any():
        return np.full(m, np.nan)
    filled, per_query = np.where(known, outcomes, 0.0), known.sum(axis=1) + COMMON
    shrinkage = OWN * (np.eye(m) - 1.0 / m)
    normal = np.diag(known.sum(axis=0).astype(np.float64)) - known.T @ (known / per_query[:, None]) + shrinkage
    means: npt.NDArray[np.float64] = np.linalg.solve(
        normal, filled.sum(axis=0) - known.T @ (filled.sum(axis=1) / per_query)
    )
    return means
