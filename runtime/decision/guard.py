"""Evidence: another model replaces the default only if it did better on the neighbours, beyond chance. Pure numpy."""

import numpy as np
import numpy.typing as npt


def t_statistics(observed: npt.NDArray[np.float64], default: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
    """Return by how many standard errors each model exceeds the default one on the neighbours: (b, n_models).

    Of the paired differences of utility over the neighbours that know both models, the mean divided by its standard
    error, ``sd / sqrt(count)``: the paired t statistic. Infinite for the default; minus infinity where the mean is not
    above 0, or fewer than two neighbours know both.

    Parameters
    ----------
    observed
        Utility of each model on each neighbour, float64, shape (b, k, n_models); NaN where it is unknown.
    default
        Index of the default model of each query, int64, shape (b,).
    """
    queries = np.arange(len(observed))
    differences = observed - observed[queries, :, default][:, :, None]
    known = ~np.isnan(differences)
    counts = known.sum(axis=1)
    means = np.where(known, differences, 0.0).sum(axis=1) / np.maximum(counts, 1)
    squares = np.where(known, (differences - means[:, None]) ** 2, 0.0).sum(axis=1)
    errors = np.sqrt(squares / np.maximum(counts - 1, 1) / np.maximum(counts, 1))
    with np.errstate(divide="ignore", invalid="ignore"):
        statistic: npt.NDArray[np.float64] = np.where((counts >= 2) & (means > 0.0), means / errors, -np.inf)
    statistic[queries, default] = np.inf
    return statistic
