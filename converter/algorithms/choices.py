"""Shared by the estimators that pick the best of several choices: clusters, classifiers, or classes."""

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from modelpick.runtime.decision.voting import best_per_model
from modelpick.runtime.schema import Entry, Output

from ..formats.distinct import Names, name_array
from ..formats.outcomes import Indices
from .base import Estimator, Matrix
from .row import TOLERANCE, Answer, Expected, Explanation, Held, WholeGraph, explained_scores

Mask = npt.NDArray[np.bool_]


class ChoiceSelector(Estimator):
    """Picks the model of the highest-scoring choice.

    Attributes
    ----------
    choice_models_ : ndarray of str, shape (n_choices,)
        Model of each choice, in file order.
    classes_ : ndarray of str, shape (n_models,)
        Language models: first the models that the file names, then the models that only choices name. A model without a
        choice is never picked.
    """

    choice_models_: Names

    def choice_scores(self, X: npt.ArrayLike) -> Matrix:
        """Scores of the choices, float64, shape (b, n_choices)."""
        raise NotImplementedError

    def decision_function(self, X: npt.ArrayLike) -> Matrix:
        """Highest score among the choices of each model, minus infinity without any, float64, shape (b, n_models)."""
        return self.best_per_model(self.choice_scores(X))

    def best_per_model(self, scores: Matrix) -> Matrix:
        """Take the highest score among the choices of each model: (b, n_choices) -> (b, n_models)."""
        index = {name: i for i, name in enumerate(self.classes_)}
        return best_per_model(scores, [index[name] for name in self.choice_models_], len(index))

    def predict(self, X: npt.ArrayLike) -> Names:
        """Names of the picked models, shape (b,); equal scores go to the first choice."""
        best = self.choice_scores(X).argmax(axis=1)
        names: Names = self.choice_models_[best]
        return names

    def set_choices(self, models: Sequence[str], named: Sequence[str] = ()) -> None:
        """Set the model of each choice, and the models that the file names."""
        self.choice_models_ = name_array(models)
        self.classes_ = name_array(list(dict.fromkeys([*named, *models])))


def describe_choices(estimator: ChoiceSelector, rows: int, tie_rule: str, values_per_query: int) -> dict[str, Any]:
    """Return the metadata entries of an estimator with choices."""
    return {
        Entry.CHOICES: list(estimator.choice_models_),
        Entry.ROWS: rows,
        Entry.K: 0,
        Entry.TIE_RULE: tie_rule,
        Entry.VALUES_PER_QUERY: values_per_query,
    }


def near_best(scores: Matrix) -> Mask:
    """Return which scores, (..., n), are the highest within float64's rounding, in the same shape."""
    best = scores.max(axis=-1, keepdims=True)
    with np.errstate(invalid="ignore"):
        near: Mask = (scores == best) | (best - scores <= TOLERANCE * np.maximum(1.0, np.abs(best)))
    return near


def followed(scores: Matrix, chosen: Indices) -> Indices:
    """Return the best choice by scores, (b, n), or, where rounding decides, the artifact's, (b,): (b,)."""
    is_chosen = np.arange(scores.shape[1]) == chosen[:, None]
    return np.where((near_best(scores) & is_chosen).any(axis=1), chosen, scores.argmax(axis=1))


class Choice(NamedTuple):
    """An estimator's choice for a query; where rounding decides, the artifact's choice."""

    models: set[str]
    """Models of the choices whose scores are the highest within rounding."""
    scores: Matrix
    """Scores of the models, shape (n_models,)."""
    best: float
    """Score of the choice."""
    tied: bool
    """Whether rounding decides."""


def choices(estimator: ChoiceSelector, queries: Matrix, chosen: Sequence[int]) -> Iterator[Choice]:
    """Yield an estimator's choices for queries, (b, d); the artifact's choices are ``chosen``, length b."""
    scores = estimator.choice_scores(queries)
    decided = scores[np.arange(len(scores)), followed(scores, np.array(chosen))]
    for near, of_models, best in zip(near_best(scores), estimator.best_per_model(scores), decided, strict=True):
        yield Choice(set(estimator.choice_models_[near]), of_models, float(best), bool(near.sum() > 1))


def expect_classifiers(
    estimator: ChoiceSelector, queries: Matrix, explained: Sequence[Explanation]
) -> Iterator[Expected]:
    """Yield the expectations of an estimator whose choices are classifiers, see `Row.expect`."""
    nothing = np.empty(0)
    chosen = choices(estimator, queries, [why["classifier"] for why in explained])
    for why, choice in zip(explained, chosen, strict=True):
        answer = Answer(explained_scores(why, estimator.classes_), nothing)
        yield Expected(answer, Answer(choice.scores, nothing), choice.models, choice.tied)


def hold_classifiers(estimator: ChoiceSelector, queries: Matrix, ask: WholeGraph) -> Iterator[Held]:
    """Compare the outputs of the whole graph with an estimator whose choices are classifiers, see `Row.hold`."""
    scores, chosen = ask((Output.SCORE, Output.CLASSIFIER), queries)
    expected = estimator.choice_scores(queries)
    yield Held(Output.SCORE, scores, expected)
    yield Held(Output.CLASSIFIER, chosen, followed(expected, chosen))
