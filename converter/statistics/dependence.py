"""Whether which model a log asked depends on the question: a permutation test of independence.

The statistic is the Hilbert-Schmidt independence criterion: how far pairs of like questions were given like models.
Were the choice blind to the question, the models could be dealt to the questions in any other order: the statistics of
such orders are drawn, and the log's own is compared with them. The level holds for any number of answers and for models
that were seldom asked. Source: A. Gretton et al., A Kernel Statistical Test of Independence, NIPS 2007; of the p-value:
B. Phipson, G. Smyth, Permutation P-values Should Never Be Zero, SAGMB 9, 2010.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

Matrix = npt.NDArray[np.float64]
Single = npt.NDArray[np.float32]
Indices = npt.NDArray[np.intp]
# A choice that does not look at the questions is said to depend on them with at most this probability, where the views
# tell nothing of the choice itself.
MISTAKEN = 0.05
# Orders that are drawn, of which some at once, and the most questions that are looked at: of more, these are drawn.
ORDERS, AT_ONCE, MOST_QUESTIONS = 399, 21, 5_000


def depends(picked: Matrix, views: Sequence[Matrix], seed: int = 0) -> bool:
    """Return whether picks surely depend on the questions, as at least one view of the questions shows them.

    Parameters
    ----------
    picked
        1 for a model that answered, 0 for one that did not, NaN for one that was not on offer; shape (n_queries,
        n_models). Orders are drawn among the questions of the same models on offer.
    views
        Features of the questions, shape (n_queries, d) each. The views share `MISTAKEN`.
    seed
        Seed of the orders.
    """
    rng = np.random.default_rng(seed)
    if len(picked) > MOST_QUESTIONS:
        drawn = rng.permutation(len(picked))[:MOST_QUESTIONS]
        picked, views = picked[drawn], [view[drawn] for view in views]
    number = np.unique(np.isnan(picked), axis=0, return_inverse=True)[1].ravel()
    groups = [np.flatnonzero(number == one) for one in range(number.max() + 1)]
    deviations, *looks = (_centred(values, groups) for values in (np.nan_to_num(picked), *views))
    as_is = np.arange(len(picked))[:, None]
    found, exceeded = [_likeness(look, deviations[as_is]) for look in looks], np.zeros(len(looks))
    for _ in range(ORDERS // AT_ONCE):
        orders = np.tile(as_is, AT_ONCE)
        for group in groups:
            orders[group] = rng.permuted(orders[group], axis=0)
        dealt = deviations[orders]
        exceeded += [(_likeness(look, dealt) >= own).sum() for look, own in zip(looks, found, strict=True)]
    return bool(((1 + exceeded) / (1 + ORDERS)).min() * len(views) <= MISTAKEN)


def _centred(values: Matrix, groups: Sequence[Indices]) -> Single:
    """Subtract the mean of each group."""
    found = np.empty(values.shape, dtype=np.float32)
    for group in groups:
        found[group] = values[group] - values[group].mean(axis=0)
    return found


def _likeness(look: Single, dealt: Single) -> Single:
    """Return the sum over all pairs of questions of the product of their likeness and that of their picks.

    Parameters
    ----------
    look
        Shape (n_queries, d).
    dealt
        The deviations of picks in each order, shape (n_queries, n_orders, n_models).
    """
    n, orders, models = dealt.shape
    sums: Single = np.square(look.T @ dealt.reshape(n, -1)).reshape(-1, orders, models).sum(axis=(0, 2))
    return sums
