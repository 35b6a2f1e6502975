"""What an algorithm does with the session of an artifact."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

Queries = npt.NDArray[np.float64]
# Runs the session: names of outputs, and feeds, to arrays.
Run = Callable[[Sequence[str], dict[str, Any]], list[Any]]


class Ballot(NamedTuple):
    """What a caller asks beside the query."""

    quality_weight: float
    """Share of the quality in a vote, from 0 to 1; the rest is speed's."""
    allowed: npt.NDArray[np.bool_] | None = None
    """Which models may win, shape (n_models,); all by default."""


class Explanation(NamedTuple):
    """What an algorithm makes of one query."""

    winner: int
    """Index of the picked model."""
    scores: npt.NDArray[np.float64]
    """Score of each model, float64, shape (n_models,); of a model that may not win it counts for nothing."""
    details: dict[str, Any]
    """What `Selector.explain` tells beside."""


class Algorithm(Protocol):
    """Picks models by running a session. Queries are float64, (b, d), contiguous and finite."""

    def winner(self, run: Run, query: Queries, q2: float, ballot: Ballot) -> int:
        """Pick the model for one query, (1, d), of squared norm ``q2``: its index."""

    def winners(self, run: Run, queries: Queries, ballot: Ballot) -> npt.NDArray[np.int64]:
        """Pick the models for queries, (b, d): their indices, (b,)."""

    def distance(self, run: Run, query: Queries, q2: float) -> float:
        """Measure one query, (1, d), to the nearest row or centroid; not for an artifact that records no distances."""

    def explain(self, run: Run, query: Queries, ballot: Ballot) -> Explanation:
        """Tell how the model for one query, (1, d), is picked."""
