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
from ..errors import ArtifactError
from ..queries import Queries, Query
from ..request import Preferences
from ..schema import Input, Output
from ..session import Run, Subgraph


class Artifact(NamedTuple):
    """What an algorithm is made of."""

    run: Run
    """Runs the sessions."""
    metadata: Metadata
    tables: Mapping[str, Tensor]
    """Initializers, see `modelpick.runtime.schema.Table`."""
    preferences: Preferences
    """Those of most calls; each call gives its own."""


class Explanation(NamedTuple):
    """How an algorithm decides on one query."""

    pick: int
    """Index of the picked model."""
    scores: npt.NDArray[np.float64]
    """Score of each model, float64, shape (n_models,); of a model that may not win it has no meaning; of one that can
    never win it is NaN."""
    details: dict[str, Any]
    """What `Selector.explain` returns in addition."""


class Algorithm(Protocol):
    """Picks models by running a session, which it holds.

    Sums in float64 depend in their last digits on how many queries are computed at once, and so on what else a caller
    asks. Where these digits could decide, `pick_many` runs the session for that query alone, as `pick_one` and
    `explain` do: the pick for a query is the same in any company.
    """

    def pick_one(self, query: Query, preferences: Preferences) -> int:
        """Pick the model for one query: its index."""

    def pick_many(self, queries: Queries, preferences: Preferences) -> npt.NDArray[np.int64]:
        """Pick the models for queries: their indices, (b,)."""

    def distance(self, query: Query) -> float:
        """Measure one query to the nearest row or centroid; only for an artifact that records distances."""

    def explain(self, query: Query, preferences: Preferences) -> Explanation:
        """Explain how the model for one query, in float64, is picked."""


CANDIDATES: Final = frozenset({"candidates"})
# A vote of qualities and speeds.
VOTES: Final = CANDIDATES | {"quality_weight"}
# A prediction of outcomes, which an objective weighs.
PREDICTS: Final = CANDIDATES | {"objective", "keep"} | {kind.given for kind in PRICES}


class Row(NamedTuple):
    """A row of the table: how artifacts of one algorithm and semantics are answered."""

    make: Callable[[Artifact], Algorithm]
    takes: frozenset[str]
    """Keys of `modelpick.runtime.request.Given` that mean something to it."""
    tables: Specs
    """What its initializers must be."""
    subgraphs: tuple[Subgraph, ...] = (Subgraph(),)
    """Subgraphs that have a session each, if the artifact has them; the first is there always."""
    metric: str = ""
    """Distance by which its graph ranks rows, see `modelpick.runtime.schema.Metric`; empty where it ranks none. All
    proofs of the search rest on it."""
    skips_unknown: bool = False
    """Whether the original skips candidates that it does not know, and refuses only when none is left. Else it refuses
    them, but answers a pool of one whatever that is."""


Rows = Mapping[tuple[str, str], Row]


def nearest_distance(run: Run, query: Query) -> float:
    """Measure one query to the nearest centroid."""
    (distances,) = run((Output.DISTANCE,), {Input.FEATURES: query.vector})
    return float(distances.min())


def measured_clusters(run: Run, outputs: tuple[str, ...], query: Query, count: int) -> tuple[list[int], float]:
    """Return the nearest clusters of one query, one by each output, and the distance to the last of them.

    Raises
    ------
    ArtifactError
        When the graph does not measure the query to each of ``count`` clusters.
    """
    *clusters, distances = run((*outputs, Output.DISTANCE), {Input.FEATURES: query.vector})
    if distances.shape != (1, count):
        raise ArtifactError(f"expected distances of {count} clusters, got shape {distances.shape}")
    indices = [int(cluster[0]) for cluster in clusters]
    return indices, float(distances[0, indices[-1]])
