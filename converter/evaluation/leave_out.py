"""Unseen tasks: each group of questions in turn is left out of training, and picked for."""

from collections.abc import Callable, Sequence

import numpy as np
from msgspec import Struct

from modelpick.runtime import DocumentError

from ..formats.outcomes import Benchmark
from ..statistics.bootstrap import Estimate, estimated_mean, resampled, with_known
from ..training.crossvalidation import best_single
from .policies import picks_among, quality_of
from .retraining import Recipe

FAR = 0.99


class LeftOut(Struct):
    """What picks for the questions of a group are worth that training did not see."""

    group: str
    queries: int
    default: str
    """The best single model by the other groups' records: what a service would call without a selector."""
    quality: Estimate
    """Mean quality of the default."""
    gain: Estimate
    """Mean quality of the picks minus that of the default."""
    far: float
    """Share of the questions that are far from the others."""
    gain_with_far: Estimate
    """The gain where these questions get the default."""


def leave_out(
    recipe: Recipe,
    records: Benchmark,
    groups: Sequence[str],
    *,
    far: float = FAR,
    fewest: int = 2,
    seed: int = 0,
    done: Callable[[int, int], None] = lambda done, total: None,
) -> list[LeftOut]:
    """Train on all groups but one, and pick for its questions, for each group.

    Parameters
    ----------
    recipe
        How to train, see `modelpick.converter.evaluation.retraining.recipe_of`.
    records
        Records with embeddings.
    groups
        Group of each question, such as its category.
    far
        See `modelpick.runtime.request.Given`.
    fewest
        Questions of a group below which it is trained on only.
    seed
        Seed of the bootstrap.
    done
        Called with the number of groups that are finished, and of all.

    Raises
    ------
    DocumentError
        When all questions are of one group, or a query has no embedding.
    """
    of_group = np.array(groups)
    names = [name for name in sorted(set(groups)) if (of_group == name).sum() >= fewest]
    if len(set(groups)) < 2:
        raise DocumentError(f"expected questions of two groups or more to leave one out, got only {groups[0]}")
    found = []
    for number, name in enumerate(names, 1):
        learned, left = (records.of(np.flatnonzero(mask)) for mask in (of_group != name, of_group == name))
        found.append(_left_out(name, recipe, learned, left, far, seed))
        done(number, len(names))
    return found


def _left_out(name: str, recipe: Recipe, learned: Benchmark, left: Benchmark, far: float, seed: int) -> LeftOut:
    default = best_single(learned.quality)
    assert left.embeddings is not None
    with recipe.trained(learned) as selector:
        features = selector.features.build_batch(left.embeddings, left.categories)
        free, careful = (picks_among(selector, features, left, None, given) for given in ({}, {"far": far}))
        is_far = [selector.drift(query).rank >= far for query in features]
    table = {"default": left.quality[:, default]}
    table |= {of: quality_of(picks, left) - table["default"] for of, picks in (("free", free), ("careful", careful))}
    (sums,) = resampled([with_known(table)], seed)
    default_quality, gain, gain_with_far = (estimated_mean(sums, of) for of in ("default", "free", "careful"))
    share = float(np.mean(is_far))
    return LeftOut(name, len(left.queries), left.model_names[default], default_quality, gain, share, gain_with_far)
