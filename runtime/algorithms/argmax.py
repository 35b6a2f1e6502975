"""Picks the model of the best choice: of the nearest cluster, or of the highest-scoring classifier."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from ..artifact.metadata import Metadata
from ..artifact.onnx_reader import Tensor
from ..decision.voting import best_per_model
from ..errors import ArtifactError
from .base import Ballot, Explanation, Queries, Run


class Kind(NamedTuple):
    """What choices there are."""

    chosen: str
    """Output that tells the index of the best choice, int64, (b,)."""
    values: str
    """Output that tells the value of each choice, float64, (b, n_choices)."""
    sign: float
    """Minus one where the lowest value is the best."""
    details: Callable[[int, list[float], Sequence[str]], dict[str, Any]]
    """Makes what an explanation tells from the index, the values and the models of the choices."""


def _cluster(index: int, distances: list[float], models: Sequence[str]) -> dict[str, Any]:
    return {"cluster": index, "distance": distances[index]}


def _classifier(index: int, scores: list[float], models: Sequence[str]) -> dict[str, Any]:
    pairs = zip(models, scores, strict=True)
    return {"classifier": index, "classifiers": [{"model": model, "score": score} for model, score in pairs]}


SEARCH_OUTPUTS = ("candidate", "certain")
SEARCH_ONLY = np.array(False)
CLUSTERS = Kind("cluster", "distance", -1.0, _cluster)
CLASSIFIERS = Kind("classifier", "score", 1.0, _classifier)


class Choices:
    """Picks the model of the best choice.

    Parameters
    ----------
    kind
        What the choices are.
    metadata
        Metadata of the artifact.
    tables
        Initializers of the artifact; with ``refine`` among them, a search settles most queries.
    """

    def __init__(self, kind: Kind, metadata: Metadata, tables: Mapping[str, Tensor]) -> None:
        self._kind, self._names, self._n_models = kind, metadata.choices, len(metadata.model_names)
        self._chosen = (kind.chosen,)
        self._searches = "refine" in tables
        self._models = np.array([metadata.model_names.index(name) for name in metadata.choices], dtype=np.int64)
        self._model_list: list[int] = self._models.tolist()

    def winner(self, run: Run, query: Queries, q2: float, ballot: Ballot) -> int:
        """See `Algorithm`."""
        if self._searches:
            chosen, certain = run(SEARCH_OUTPUTS, {"features": query, "refine": SEARCH_ONLY})
            if not certain.item():
                (chosen,) = run(self._chosen, {"features": query})
        else:
            (chosen,) = run(self._chosen, {"features": query})
        model: int = self._model_list[chosen.item()]
        if ballot.allowed is not None and not ballot.allowed[model]:
            return int(self._winners_among(run, query, ballot.allowed)[0])
        return model

    def winners(self, run: Run, queries: Queries, ballot: Ballot) -> npt.NDArray[np.int64]:
        """See `Algorithm`."""
        if self._searches:
            chosen, certain = run(SEARCH_OUTPUTS, {"features": queries, "refine": SEARCH_ONLY})
            left = np.flatnonzero(~certain)
            if left.size:
                chosen[left] = run(self._chosen, {"features": queries[left]})[0]
        else:
            (chosen,) = run(self._chosen, {"features": queries})
        winners = self._models[chosen]
        if ballot.allowed is not None:
            left = np.flatnonzero(~ballot.allowed[winners])
            if left.size:
                winners[left] = self._winners_among(run, queries[left], ballot.allowed)
        return winners

    def _winners_among(self, run: Run, queries: Queries, allowed: npt.NDArray[np.bool_]) -> npt.NDArray[np.int64]:
        (values,) = run((self._kind.values,), {"features": queries})
        return self._models[self._best(values, allowed)]

    def _best(self, values: npt.NDArray[np.float64], allowed: npt.NDArray[np.bool_]) -> npt.NDArray[np.int64]:
        """Find the best choice among those of allowed models, the first of equal ones: (b, n_choices) -> (b,)."""
        choices = np.flatnonzero(allowed[self._models])
        best: npt.NDArray[np.int64] = choices[(self._kind.sign * values[:, choices]).argmax(axis=1)]
        return best

    def distance(self, run: Run, query: Queries, q2: float) -> float:
        """See `Algorithm`."""
        (values,) = run((self._kind.values,), {"features": query})
        return float(values.min())

    def explain(self, run: Run, query: Queries, ballot: Ballot) -> Explanation:
        """See `Algorithm`."""
        kind = self._kind
        chosen, values = run((kind.chosen, kind.values), {"features": query})
        if values.shape != (1, len(self._models)):
            raise ArtifactError(f"expected values of {len(self._models)} choices, got shape {values.shape}")
        choice = int(chosen[0] if ballot.allowed is None else self._best(values, ballot.allowed)[0])
        scores = best_per_model(kind.sign * values, self._models, self._n_models)[0]
        details = kind.details(choice, values[0].tolist(), self._names)
        return Explanation(self._model_list[choice], scores, details)
