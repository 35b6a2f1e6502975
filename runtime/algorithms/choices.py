"""What KMeans, SVM and MLP share: the model of the best of some choices, which are clusters or classifiers."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt

from ..decision.voting import CLOSE, are_close, best_per_model
from ..errors import ArtifactError, FeatureError
from ..queries import Queries, Query, Vectors
from ..request import Preferences
from ..schema import Input, Output
from ..search.best_choice import BestChoice
from .base import Artifact, Explanation, nearest_distance

Allowed = npt.NDArray[np.bool_]


class Kind(NamedTuple):
    """The kind of an algorithm's choices."""

    chosen: str
    """Output with the index of the best choice, int64, (b,)."""
    values: str
    """Output with the value of each choice, float64, (b, n_choices), or with the input of `recount`."""
    sign: float
    """Minus one where the lowest value is the best."""
    details: Callable[[int, list[float], Sequence[str]], dict[str, Any]]
    """Makes the details of an explanation from the picked index, and the values and models of the choices."""
    last: bool = False
    """Whether the last of equally good choices wins."""
    recount: Callable[[npt.NDArray[np.float64], Allowed], npt.NDArray[np.float64]] | None = None
    """Computes the values of choices, (b, n_choices), which depend on the choices that may win, bool, (n_choices,)."""


def _classifier(index: int, scores: list[float], models: Sequence[str]) -> dict[str, Any]:
    pairs = zip(models, scores, strict=True)
    return {"classifier": index, "classifiers": [{"model": model, "score": score} for model, score in pairs]}


CLASSIFIERS: Final = Kind(Output.CLASSIFIER, Output.SCORE, 1.0, _classifier)


class Choices:
    """Picks the model of the best choice.

    Parameters
    ----------
    kind
        The kind of the choices.
    artifact
        The parts of the artifact.
    """

    def __init__(self, kind: Kind, artifact: Artifact) -> None:
        run, metadata, tables, _ = artifact
        self._kind, self._run = kind, run
        self._names, self._n_models = metadata.choices, len(metadata.model_names)
        self._models = np.array([metadata.model_names.index(name) for name in metadata.choices], dtype=np.int64)
        self._model_list: list[int] = self._models.tolist()
        self._without_choice = np.setdiff1d(np.arange(self._n_models), self._models)
        self._best = BestChoice(run, tables, kind.chosen, kind.values, partial(self._are_close, None))

    def pick_one(self, query: Query, preferences: Preferences) -> int:
        """See `Algorithm`."""
        allowed = preferences.allowed
        if allowed is None or self._kind.recount is None:
            model = self._model_list[self._best.one(query)]
            if allowed is None or allowed[model]:
                return model
        return int(self._pick_among(query.vector, allowed)[0])

    def pick_many(self, queries: Queries, preferences: Preferences) -> npt.NDArray[np.int64]:
        """See `Algorithm`."""
        allowed = preferences.allowed
        if allowed is not None and self._kind.recount is not None:
            return self._pick_among(queries.vectors, allowed)
        picks = self._models[self._best.many(queries)]
        if allowed is not None:
            left = np.flatnonzero(~allowed[picks])
            if left.size:
                picks[left] = self._pick_among(queries.vectors[left], allowed)
        return picks

    def _pick_among(self, vectors: Vectors, allowed: Allowed) -> npt.NDArray[np.int64]:
        (values,) = self._run((self._kind.values,), {Input.FEATURES: vectors})
        picks = self._models[self._best_among(self._counted(values, allowed), allowed)]
        if len(vectors) > 1:
            for place in np.flatnonzero(self._are_close(allowed, values)):  # each alone: see `Algorithm`
                picks[place] = self._pick_among(vectors[place : place + 1], allowed)[0]
        return picks

    def _are_close(self, allowed: Allowed | None, values: npt.NDArray[np.float64]) -> npt.NDArray[np.bool_]:
        """Whether rounding of the values could decide, (b,)."""
        if self._kind.recount is None:
            return are_close(self._kind.sign * values, None if allowed is None else allowed[self._models])
        close: npt.NDArray[np.bool_] = np.abs(values).min(axis=1) <= CLOSE
        return close

    def _counted(self, values: npt.NDArray[np.float64], allowed: Allowed | None) -> npt.NDArray[np.float64]:
        if self._kind.recount is None:
            return values
        return self._kind.recount(
            values, np.full(len(self._models), True) if allowed is None else allowed[self._models]
        )

    def _best_among(self, values: npt.NDArray[np.float64], allowed: Allowed) -> npt.NDArray[np.int64]:
        """Find the best choice of an allowed model: (b, n_choices) -> (b,)."""
        choices = np.flatnonzero(allowed[self._models])[:: -1 if self._kind.last else 1]
        if not choices.size:
            raise FeatureError(
                "candidates: expected one that can be picked: none of them has a cluster or a classifier"
            )
        best: npt.NDArray[np.int64] = choices[(self._kind.sign * values[:, choices]).argmax(axis=1)]
        return best

    def distance(self, query: Query) -> float:
        """See `Algorithm`."""
        return nearest_distance(self._run, query)

    def explain(self, query: Query, preferences: Preferences) -> Explanation:
        """See `Algorithm`."""
        kind, allowed = self._kind, preferences.allowed
        chosen, values = self._run((kind.chosen, kind.values), {Input.FEATURES: query.vector})
        values = self._counted(values, allowed)
        if values.shape != (1, len(self._models)):
            raise ArtifactError(f"expected values of {len(self._models)} choices, got shape {values.shape}")
        choice = int(chosen[0] if allowed is None else self._best_among(values, allowed)[0])
        scores = best_per_model(kind.sign * values, self._models, self._n_models)[0]
        scores[self._without_choice] = np.nan
        details = kind.details(choice, values[0].tolist(), self._names)
        return Explanation(self._model_list[choice], scores, details)
