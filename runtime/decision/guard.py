"""Evidence: the default model is left only for one that did better on the neighbours, beyond chance. Pure numpy."""

import numpy as np
import numpy.typing as npt


def exceeds(
    observed: npt.NDArray[np.float64], default: npt.NDArray[np.int64], evidence: float
) -> npt.NDArray[np.bool_]:
    """Whether each model's lead over the default exceeds so many standard errors: (b, n_models); of the default, true.

    Of the paired differences of utility over the neighbours that know both models, two or more, the mean must be above
    0 and above ``evidence`` times its standard error, ``sd / sqrt(count)``: the paired t statistic.

    Parameters
    ----------
    observed
        Utility of each model on each neighbour, float64, shape (b, k, n_models); NaN where it is unknown.
    default
        Index of the default model of each query, int64, shape (b,).
    evidence
        Standard errors, 0 or more.
    """
    queries = np.arange(len(observed))
    differences = observed - observed[queries, :, default][:, :, None]
    known = ~np.isnan(differences)
    counts = known.sum(axis=1)
    means = np.where(known, differences, 0.0).sum(axis=1) / np.maximum(counts, 1)
    squares = np.where(known, (differences - means[:, None]) ** 2, 0.0).sum(axis=1)
    errors = np.sqrt(squares / np.maximum(counts - 1, 1) / np.maximum(counts, 1))
    passed: npt.NDArray[np.bool_] = (counts >= 2) & (means > 0.0) & (means > evidence * errors)
    passed[queries, default] = True
    return passed
