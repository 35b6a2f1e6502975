"""What an algorithm does with the session of an artifact, and how it is registered.

Each algorithm answers twice, for one query and for many. The two are twins on purpose: a call of numpy costs about a
microsecond, so one query is answered in plain Python on short lists, and many by array operations that share that cost.
Tests hold the two to the same picks.
"""

from collections.abc import Callable, Mapping
from typing import Any, Final, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from ..artifact.metadata import Metadata
from ..artifact.onnx_reader import Tensor
from ..artifact.tables import Specs
from ..decision.outcomes import PRICES
from ..request import Norms, Preferences, Queries
from ..session import Part, Run


class Explanation(NamedTuple):
    """How an algorithm decides on one query."""

    winner: int
    """Index of the picked model."""
    scores: npt.NDArray[np.float64]
    """Score of each model, float64, shape (n_models,); of a model that may not win it has no meaning; of one that can
    never win it is NaN."""
    details: dict[str, Any]
    """What `Selector.explain` returns beside."""


class Algorithm(Protocol):
    """Picks models by running a session. Queries are float64, (b, d), contiguous and finite.

    What `winner` and `winners` are given may be float32 where a part of the graph takes that.

    ``squared_norm`` is that of the one query, ``squared_norms``, (b,), those of many: the check that they are finite
    computes them anyway, and bounds on the error of a search need them. Of float32 they are bounds from above.

    Sums in float64 depend in their last digits on how many queries are computed at once, and so on what else a caller
    asks. Where these digits could decide, `winners` runs the session for that query alone, as `winner` and `explain`
    do: the pick for a query is the same in any company.
    """

    def winner(self, run: Run, query: Queries, squared_norm: float, preferences: Preferences) -> int:
        """Pick the model for one query, (1, d): its index."""

    def winners(
        self, run: Run, queries: Queries, squared_norms: Norms, preferences: Preferences
    ) -> npt.NDArray[np.int64]:
        """Pick the models for queries, (b, d): their indices, (b,)."""

    def distance(self, run: Run, query: Queries, squared_norm: float) -> float:
        """Measure one query, (1, d), to the nearest row or centroid; only for an artifact that records distances."""

    def explain(self, run: Run, query: Queries, preferences: Preferences) -> Explanation:
        """Explain how the model for one query, (1, d), is picked."""


CANDIDATES: Final = frozenset({"candidates"})
# A vote of qualities and speeds.
VOTES: Final = CANDIDATES | {"quality_weight"}
# A prediction of outcomes, which an objective weighs.
PREDICTS: Final = CANDIDATES | {"objective", "keep"} | {kind.given for kind in PRICES}


class Row(NamedTuple):
    """A row of the table: how artifacts of one algorithm and semantics are answered."""

    make: Callable[[Metadata, Mapping[str, Tensor], Preferences], Algorithm]
    """Makes the algorithm from the artifact's metadata and initializers, and the preferences of most calls."""
    takes: frozenset[str]
    """Keys of `modelpick.runtime.request.Given` that mean something to it."""
    tables: Specs
    """What its initializers must be."""
    parts: tuple[Part, ...] = (Part(),)
    """Parts of the graph that have a session each, if the artifact has them; the first is there always."""
    metric: str = ""
    """Distance by which its graph ranks rows, see `modelpick.runtime.schema.Metric`; empty where it ranks none. All
    proofs of the search rest on it."""
    skips_unknown: bool = False
    """Whether the original skips candidates that it does not know, and refuses only when none is left. Else it refuses
    them, but answers a pool of one whatever that is."""


Rows = Mapping[tuple[str, str], Row]
