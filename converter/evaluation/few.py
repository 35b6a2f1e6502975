"""New models with few records: models are held out of training, and added from a few answers each.

This is the protocol of W. Jitkrittum et al., Universal Model Routing for Efficient LLM Inference, 2025, on the records
of a user: a part of the models is held out, and all models may be picked for held-out questions.
"""

from collections.abc import Callable, Sequence

import msgspec
import numpy as np
import numpy.typing as npt
from msgspec import Struct

from modelpick.runtime import DocumentError

from ..formats.outcomes import Benchmark, Matrix
from ..load import load_estimator
from ..statistics.bootstrap import Estimate, Vector, estimate, mean_of, resampled, share, with_known
from ..statistics.folds import splits
from ..training.adding import add_models
from ..training.crossvalidation import best_single
from ..training.records import required_embeddings
from ..training.train import training_data
from .retraining import Recipe

# Parts of the models, of which one at a time is held out; draws of the answers that are added.
PARTS, DRAWS = 3, 3
Models = npt.NDArray[np.int64]


class Few(Struct):
    """Picks among all models, where the held-out ones were added from some answers each."""

    answers: int
    """Number of answers of each held-out model."""
    quality: Estimate
    """Mean quality of the picks."""
    kept: Estimate
    """Quality as a share of the quality where the models are trained on all answers."""
    gain: Estimate
    """Quality minus the quality of picks among the other models alone."""


class FewAnswers(Struct):
    """What few answers of new models are worth."""

    queries: int
    """Number of held-out questions."""
    all: Estimate
    """Mean quality where all models are trained on all answers."""
    without: Estimate
    """Mean quality where the held-out models are not known."""
    single: Estimate
    """Mean quality of the best single model."""
    few: list[Few]


def few_answers(
    recipe: Recipe,
    records: Benchmark,
    answers: Sequence[int],
    *,
    seed: int = 0,
    done: Callable[[int, int], None] = lambda done, total: None,
) -> FewAnswers:
    """Hold out a third of the models in turn, add them from some answers each, and pick for held-out questions.

    Parameters
    ----------
    recipe
        How to train, see `modelpick.converter.evaluation.retraining.recipe_of`.
    records
        Records with embeddings. A fifth of the questions is held out.
    answers
        Numbers of answers of each held-out model.
    seed
        Seed of the parts, the draws and the bootstrap.
    done
        Called with the number of selectors that are finished, and of all.

    Raises
    ------
    DocumentError
        When there are fewer than three models, or fewer questions than answers are asked for.
    """
    rng, n_models = np.random.default_rng(seed), len(records.model_names)
    if n_models < PARTS:
        raise DocumentError(f"expected records of {PARTS} models or more, got {n_models}")
    learned, held_out = splits(required_embeddings(records), seed)[0]
    if max(answers) > len(learned):
        raise DocumentError(f"expected {max(answers)} questions or more to train on, got {len(learned)}")
    known, asked = records.of(learned), records.of(held_out)
    features = training_data(asked._replace(encoder=None), one_hot=recipe.one_hot).features
    total = 1 + PARTS * (1 + len(answers) * DRAWS)
    finished = 0

    def quality(document: bytes) -> Vector:
        nonlocal finished
        picks = load_estimator(document, semantics=recipe.row.semantics).predict(features)
        finished += 1
        done(finished, total)
        return outcomes[np.arange(len(picks)), [index[name] for name in picks]]

    outcomes, index = asked.quality, {name: place for place, name in enumerate(records.model_names)}
    of_all = quality(recipe.document(known))
    without: list[Vector] = []
    found: dict[int, list[Vector]] = {count: [] for count in answers}
    for part in np.array_split(rng.permutation(n_models), PARTS):
        base = recipe.document(_of(known, np.setdiff1d(np.arange(n_models), part)))
        without.append(quality(base))
        for count in answers:
            for _ in range(DRAWS):
                some = known.of(np.sort(rng.choice(len(learned), count, replace=False)))
                found[count].append(quality(msgspec.json.encode(add_models(base, _of(some, part)))))
    columns = {"all": of_all, "without": _mean(without), "single": outcomes[:, best_single(known.quality)]}
    columns |= {str(count): _mean(values) for count, values in found.items()}
    (sums,) = resampled([with_known(columns)], seed)
    means, count = {name: mean_of(sums, name) for name in columns}, len(held_out)
    of = {name: estimate(values, count) for name, values in means.items()}
    return FewAnswers(
        count,
        of["all"],
        of["without"],
        of["single"],
        [
            Few(
                number,
                of[str(number)],
                estimate(share(means[str(number)], means["all"]), count),
                estimate(means[str(number)] - means["without"], count),
            )
            for number in answers
        ],
    )


def _of(records: Benchmark, models: Models) -> Benchmark:
    """Return the records of some models, with embeddings."""
    return records.of_models(models.tolist())._replace(embeddings=records.embeddings)


def _mean(values: Sequence[Vector]) -> Vector:
    table: Matrix = np.stack(values)
    mean: Vector = table.mean(axis=0)
    return mean
