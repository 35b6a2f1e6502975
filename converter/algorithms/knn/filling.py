"""Answers of a new model to all questions of a file, expected from few of its records.

Few of the nearest questions know a new model, and the mean of few answers is a matter of luck. An outcome of the new
model is therefore taken for what models share on the question, a deviation of the model and a smooth function of the
question: ``y_i = shared_i + b + g(x_i) + noise``. b has the variance that the means of the file's models have, and g, a
Gaussian process of the Gaussian kernel, that of their own parts. The expected outcome is then the best linear
prediction: kernel ridge regression, with penalties that the other models set.

The variances come from how much each of the file's models exceeds the others. Of two questions, the product of both
excesses is on average ``var(b) + var(g) kernel``: a regression over pairs. Source: J. Haseman, R. Elston, The
Investigation of Linkage between a Quantitative Trait and a Marker Locus, Behavior Genetics 2, 1972.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from sklearn.metrics.pairwise import rbf_kernel

from modelpick.runtime.decision.outcomes import QUALITY
from modelpick.runtime.decision.shrinkage import COMMON, Deviations, deviations
from modelpick.runtime.search.distances import directions

from ...formats.outcomes import Indices
from ..base import Matrix
from .estimators import OutcomeModelSelector

# Width of the kernel. Of 0.5, 1, 2 and 4, it predicted models held out of RouterDC's and LLMRouter's training questions
# with the least squared error.
GAMMA = 2.0
# Most questions whose pairs tell the variances.
SAMPLED = 1_000
# Least noise, as a share of the other variances.
JITTER = 1e-6


class _Variances(NamedTuple):
    """Variances of what a model exceeds the others by."""

    mean: float
    """Of the model's mean."""
    smooth: float
    """Of the part that questions of one direction have in common."""
    noise: float


def expected_outcomes(
    known: OutcomeModelSelector, learned: Indices, features: Matrix, places: Indices, answers: Matrix
) -> Matrix:
    """Expect the outcomes of a new model on all questions of a selector: (n_queries, n_kinds).

    An expected quality is lower than the best prediction by the standard error of the model's mean: of models that
    seem the best by few answers, most were lucky. All stay within the recorded outcomes. NaN for kinds that the new
    model has no records of, and where no model has one on the question.

    Parameters
    ----------
    known
        The file's selector.
    learned
        Two or more of its models, whose answers were recorded, int64, shape (n_learned,).
    features
        Questions that the new model answered, float64, shape (k, d).
    places
        Which of the selector's questions these are, int64, shape (k,); n_queries or more where it lacks them.
    answers
        Outcomes of the answers, float64, shape (k, n_kinds); NaN where unknown.
    """
    questions, asked = directions(known.embeddings_), directions(features)
    neighbours = known.kneighbors(features, return_distance=False)
    some = np.random.default_rng(0).permutation(len(questions))[:SAMPLED]
    between, kernel = rbf_kernel(questions[some], gamma=GAMMA), rbf_kernel(questions, asked, GAMMA)
    among = rbf_kernel(asked, gamma=GAMMA)
    expected = np.full((len(questions), answers.shape[1]), np.nan)
    for kind in range(expected.shape[1]):
        recorded, found = known.outcomes_[:, kind, learned], np.flatnonzero(~np.isnan(answers[:, kind]))
        if np.isnan(recorded).all() or not found.size:
            continue
        split, outcomes = deviations(recorded), answers[found, kind]
        # What models share on a question that the file lacks is expected of its neighbours, with more noise.
        is_held = places[found] < len(questions)
        nearest = split.common[neighbours[found]].sum(axis=1) / (neighbours.shape[1] + known.shrinkage)
        shared = np.where(is_held, split.common[np.where(is_held, places[found], 0)], nearest)
        excess = outcomes - split.base.mean() - shared
        mean, smooth, noise = _variances(split, some, between)
        if kind != QUALITY:  # A model has its price, however alike the prices of the others are.
            mean += float(excess.mean()) ** 2
        # Without any variance, 1 stands for the noise: the new model is the average one.
        noises = (max(noise, JITTER * (mean + smooth)) or 1.0) + np.where(is_held, 0.0, split.common.var())
        covariance = mean + smooth * kernel[:, found]
        of_mean = covariance[some].mean(axis=0)
        of_answers = mean + smooth * among[np.ix_(found, found)] + np.diag(noises)
        solved = np.linalg.solve(of_answers, np.column_stack([excess, of_mean]))
        own = covariance @ solved[:, 0]
        if kind == QUALITY:
            own -= np.sqrt(max(mean + smooth * float(between.mean()) - float(of_mean @ solved[:, 1]), 0.0))
        values = np.concatenate([recorded[split.known], outcomes])
        likely = np.clip(split.base.mean() + split.common + own, values.min(), values.max())
        expected[:, kind] = np.where(split.known.any(axis=1), likely, np.nan)
    return expected


def _variances(split: Deviations, some: Indices, kernel: Matrix) -> _Variances:
    """Tell the variances of what each model exceeds the others by, on some questions, (s,), of a kernel, (s, s)."""
    excess, known = _excess(split)[some], split.known[some].astype(np.float64)
    squares, counts = (excess**2).sum(), known.sum()
    if squares == 0.0:
        return _Variances(0.0, 0.0, 0.0)
    total = squares / counts
    # Sums over all pairs of two questions that know a model; each question's pair with itself has kernel 1.
    of_kernel, of_squares = (((each @ known) * known).sum() - counts for each in (kernel, kernel**2))
    pairs = (known.sum(axis=0) ** 2).sum() - counts
    products = np.array([(excess.sum(axis=0) ** 2).sum(), ((kernel @ excess) * excess).sum()]) - squares
    design = np.array([[pairs, of_kernel], [of_kernel, of_squares]])
    mean, smooth = np.linalg.lstsq(design, products / total, rcond=None)[0]
    if smooth < 0.0:
        mean, smooth = products[0] / total / pairs, 0.0
    elif mean < 0.0:
        mean, smooth = 0.0, products[1] / total / of_squares
    mean, smooth = max(mean, 0.0), max(smooth, 0.0)
    return _Variances(mean * total, smooth * total, max(1.0 - mean - smooth, 0.0) * total)


def _excess(split: Deviations) -> npt.NDArray[np.float64]:
    """Return by how much each model exceeds the others on each question, (n, n_models); 0 where it is unknown.

    The others count as in `modelpick.runtime.decision.shrinkage`, without the model itself.
    """
    known, n_models = split.known, len(split.base)
    rest = np.where(known, split.own + split.common[:, None], 0.0)
    others = known.sum(axis=1, keepdims=True) - known
    common = (rest.sum(axis=1, keepdims=True) - rest) / (others + COMMON)
    base = split.base - (split.base.sum() - split.base) / (n_models - 1)
    return np.where(known, base + rest - common, 0.0)
