"""What KMeans, SVM and MLP share: the model of the best of some choices, which are clusters or classifiers."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt

from ..artifact.metadata import Metadata
from ..artifact.onnx_reader import Tensor
from ..decision.voting import CLOSE, are_close, best_per_model
from ..errors import ArtifactError, FeatureError
from ..request import Norms, Preferences, Queries
from ..schema import Input, Output, Table
from ..search.leading import search_of
from ..session import Run
from .base import Explanation


class Kind(NamedTuple):
    """What choices there are."""

    chosen: str
    """Output with the index of the best choice, int64, (b,)."""
    values: str
    """Output with the value of each choice, float64, (b, n_choices); or what `recount` makes them of."""
    sign: float
    """Minus one where the lowest value is the best."""
    details: Callable[[int, list[float], Sequence[str]], dict[str, Any]]
    """Makes the details of an explanation from the index, the values and the models of the choices."""
    last: bool = False
    """Whether of equally good choices the last wins."""
    recount: Callable[[npt.NDArray[np.float64], npt.NDArray[np.bool_]], npt.NDArray[np.float64]] | None = None
    """Counts the values of choices, (b, n_choices), where they depend on which choices may win, bool, (n_choices,)."""


def _classifier(index: int, scores: list[float], models: Sequence[str]) -> dict[str, Any]:
    pairs = zip(models, scores, strict=True)
    return {"classifier": index, "classifiers": [{"model": model, "score": score} for model, score in pairs]}


class Choices:
    """Picks the model of the best choice.

    Parameters
    ----------
    kind
        What the choices are.
    metadata
        Metadata of the artifact.
    tables
        Initializers of the artifact, by which a search settles most queries.
    preferences
        Those of most calls; not needed here.
    """

    def __init__(self, kind: Kind, metadata: Metadata, tables: Mapping[str, Tensor], preferences: Preferences) -> None:
        self._kind, self._names, self._n_models = kind, metadata.choices, len(metadata.model_names)
        self._chosen = (kind.chosen,)
        self._search = search_of(tables)
        # In float64 a search is off by roundings that it has no bound on: it settles single queries alone.
        self._search_of_many = None if Table.NO_ERROR in tables else self._search
        self._models = np.array([metadata.model_names.index(name) for name in metadata.choices], dtype=np.int64)
        self._model_list: list[int] = self._models.tolist()
        self._without_choice = np.setdiff1d(np.arange(self._n_models), self._models)

    def winner(self, run: Run, query: Queries, squared_norm: float, preferences: Preferences) -> int:
        """See `Algorithm`."""
        if preferences.allowed is not None and self._kind.recount is not None:
            return int(self._winners_among(run, query, preferences.allowed)[0])
        chosen = None if self._search is None else self._search.best(run, query, squared_norm)
        if chosen is None:
            chosen = run(self._chosen, {Input.FEATURES: query})[0].item()
        model: int = self._model_list[chosen]
        if preferences.allowed is not None and not preferences.allowed[model]:
            return int(self._winners_among(run, query, preferences.allowed)[0])
        return model

    def winners(
        self, run: Run, queries: Queries, squared_norms: Norms, preferences: Preferences
    ) -> npt.NDArray[np.int64]:
        """See `Algorithm`."""
        if self._kind.recount is not None and preferences.allowed is not None:
            return self._winners_among(run, queries, preferences.allowed)
        if self._search_of_many is not None:
            chosen, proven = self._search_of_many.bests(run, queries, squared_norms)
            close = ~proven
        else:
            chosen, values = run((self._kind.chosen, self._kind.values), {Input.FEATURES: queries})
            close = self._are_close(values, None)
        for place in np.flatnonzero(close):  # each alone: see `Algorithm`
            alone = slice(place, place + 1)
            (chosen[alone],) = run(self._chosen, {Input.FEATURES: queries[alone]})
        winners = self._models[chosen]
        if preferences.allowed is not None:
            left = np.flatnonzero(~preferences.allowed[winners])
            if left.size:
                winners[left] = self._winners_among(run, queries[left], preferences.allowed)
        return winners

    def _winners_among(self, run: Run, queries: Queries, allowed: npt.NDArray[np.bool_]) -> npt.NDArray[np.int64]:
        (values,) = run((self._kind.values,), {Input.FEATURES: queries})
        winners = self._models[self._best(self._counted(values, allowed), allowed)]
        if len(queries) > 1:
            for place in np.flatnonzero(self._are_close(values, allowed)):
                winners[place] = self._winners_among(run, queries[place : place + 1], allowed)[0]
        return winners

    def _are_close(
        self, values: npt.NDArray[np.float64], allowed: npt.NDArray[np.bool_] | None
    ) -> npt.NDArray[np.bool_]:
        """Whether roundings of the values could decide, (b,)."""
        if self._kind.recount is None:
            return are_close(self._kind.sign * values, None if allowed is None else allowed[self._models])
        close: npt.NDArray[np.bool_] = np.abs(values).min(axis=1) <= CLOSE
        return close

    def _counted(
        self, values: npt.NDArray[np.float64], allowed: npt.NDArray[np.bool_] | None
    ) -> npt.NDArray[np.float64]:
        if self._kind.recount is None:
            return values
        return self._kind.recount(
            values, np.full(len(self._models), True) if allowed is None else allowed[self._models]
        )

    def _best(self, values: npt.NDArray[np.float64], allowed: npt.NDArray[np.bool_]) -> npt.NDArray[np.int64]:
        """Find the best choice among those of allowed models: (b, n_choices) -> (b,)."""
        choices = np.flatnonzero(allowed[self._models])[:: -1 if self._kind.last else 1]
        if not choices.size:
            raise FeatureError("candidates: expected one that can be picked: none has a cluster or a classifier")
        best: npt.NDArray[np.int64] = choices[(self._kind.sign * values[:, choices]).argmax(axis=1)]
        return best

    def distance(self, run: Run, query: Queries, squared_norm: float) -> float:
        """See `Algorithm`."""
        (values,) = run((self._kind.values,), {Input.FEATURES: query})
        return float(values.min())

    def explain(self, run: Run, query: Queries, preferences: Preferences) -> Explanation:
        """See `Algorithm`."""
        kind, allowed = self._kind, preferences.allowed
        chosen, values = run((kind.chosen, kind.values), {Input.FEATURES: query})
        values = self._counted(values, allowed)
        if values.shape != (1, len(self._models)):
            raise ArtifactError(f"expected values of {len(self._models)} choices, got shape {values.shape}")
        choice = int(chosen[0] if allowed is None else self._best(values, allowed)[0])
        scores = best_per_model(kind.sign * values, self._models, self._n_models)[0]
        scores[self._without_choice] = np.nan
        details = kind.details(choice, values[0].tolist(), self._names)
        return Explanation(self._model_list[choice], scores, details)


CLASSIFIERS: Final = Kind(Output.CLASSIFIER, Output.SCORE, 1.0, _classifier)
