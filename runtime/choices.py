"""Picks the model of the best choice: of the nearest cluster, or of the highest-scoring classifier."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from .algorithm import Explanation, Queries, Run
from .artifact import Metadata
from .errors import ArtifactError
from .onnx_file import Tensor
from .voting import best_per_model


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

    def winner(self, run: Run, query: Queries, q2: float) -> int:
        """See `Algorithm`."""
        if self._searches:
            chosen, certain = run(SEARCH_OUTPUTS, {"features": query, "refine": SEARCH_ONLY})
            if not certain.item():
                (chosen,) = run(self._chosen, {"features": query})
        else:
            (chosen,) = run(self._chosen, {"features": query})
        index: int = chosen.item()
        return self._model_list[index]

    def winners(self, run: Run, queries: Queries) -> npt.NDArray[np.int64]:
        """See `Algorithm`."""
        if not self._searches:
            return self._models[run(self._chosen, {"features": queries})[0]]
        chosen, certain = run(SEARCH_OUTPUTS, {"features": queries, "refine": SEARCH_ONLY})
        left = np.flatnonzero(~certain)
        if left.size:
            chosen[left] = run(self._chosen, {"features": queries[left]})[0]
        return self._models[chosen]

    def explain(self, run: Run, query: Queries) -> Explanation:
        """See `Algorithm`."""
        kind = self._kind
        chosen, values = run((kind.chosen, kind.values), {"features": query})
        if values.shape != (1, len(self._models)):
            raise ArtifactError(f"expected values of {len(self._models)} choices, got shape {values.shape}")
        scores = best_per_model(kind.sign * values, self._models, self._n_models)[0]
        details = kind.details(chosen.item(), values[0].tolist(), self._names)
        return Explanation(self._model_list[chosen.item()], scores, details)
