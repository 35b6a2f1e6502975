"""What an algorithm does with the session of an artifact, and how it is registered.

Each algorithm has two implementations, for one query and for many. A call of numpy costs about a microsecond. Therefore
one query is answered in plain Python on short lists, and many queries by array operations that share the cost. Tests
hold both to the same picks.
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

# What is returned in the place of a model's index for a query that is far, see `modelpick.runtime.request.Given`.
FAR: Final = -1


class Artifact(NamedTuple):
    """The parts of an artifact that an algorithm is made from."""

    run: Run
    """Runs the sessions."""
    metadata: Metadata
    tables: Mapping[str, Tensor]
    """Initializers, see `modelpick.runtime.schema.Table`."""
    preferences: Preferences
    """Preferences of most calls; each call gives its own."""


class Explanation(NamedTuple):
    """How an algorithm decides on one query."""

    pick: int
    """Index of the picked model."""
    scores: npt.NDArray[np.float64]
    """Score of each model, float64, shape (n_models,). Scores of models that are no candidates have no meaning; the
    score of a model that can never win is NaN."""
    details: dict[str, Any]
    """What `Selector.explain` returns in addition."""


class Algorithm(Protocol):
    """Picks models by running a session, which it holds.

    The last digits of sums in float64 depend on how many queries are computed at once. Where these digits could decide,
    `pick_many` runs the session for the query alone, as `pick_one` and `explain` do. Therefore the pick for a query is
    the same in any batch.
    """

    def pick_one(self, query: Query, preferences: Preferences) -> int:
        """Pick the model for one query: its index, or `FAR`."""

    def pick_many(self, queries: Queries, preferences: Preferences) -> npt.NDArray[np.int64]:
        """Pick the models for queries: their indices, or `FAR`, (b,)."""

    def distance(self, query: Query) -> float:
        """Return the distance of one query to the nearest row, centroid or support vector.

        Only for artifacts that record distances.
        """

    def explain(self, query: Query, preferences: Preferences) -> Explanation:
        """Explain how the model for one query, in float64, is picked."""


class Predictor(Algorithm, Protocol):
    """An algorithm that predicts outcomes."""

    def predict(self, queries: Queries) -> npt.NDArray[np.float64]:
        """Predict the outcomes of each model's answer to queries in float64: (b, n_kinds, n_models)."""

    def default(self, preferences: Preferences) -> int:
        """Return the index of the candidate that is best on average."""


CANDIDATES: Final = frozenset({"candidates"})
# A vote of qualities and speeds.
VOTES: Final = CANDIDATES | {"quality_weight"}
# A prediction of outcomes, which an objective weighs.
PREDICTS: Final = CANDIDATES | {"objective", "keep", "at_least", "far"} | {kind.given for kind in PRICES}


class Row(NamedTuple):
    """A row of the table: how artifacts of one algorithm and semantics are answered."""

    make: Callable[[Artifact], Algorithm]
    takes: frozenset[str]
    """Keys of `modelpick.runtime.request.Given` that it takes."""
    tables: Specs
    """Specifications of its initializers."""
    subgraphs: tuple[Subgraph, ...] = (Subgraph(),)
    """Subgraphs with a session each, if the artifact has them; every artifact has the first one."""
    metric: str = ""
    """Distance by which its graph ranks rows, see `modelpick.runtime.schema.Metric`; empty where it ranks none. All
    proofs of the search rest on it."""
    skips_unknown: bool = False
    """Whether the original skips unknown candidates, and refuses only when none is left. Otherwise it refuses unknown
    candidates, except for a pool of one, which it always answers."""


Rows = Mapping[tuple[str, str], Row]


def nearest_distance(run: Run, query: Query) -> float:
    """Return the distance of one query to the nearest centroid, or support vector."""
    (distances,) = run((Output.DISTANCE,), {Input.FEATURES: query.vector})
    return float(distances.min())


def measured_clusters(run: Run, outputs: tuple[str, ...], query: Query, count: int) -> tuple[list[int], float]:
    """Return the nearest cluster of one query by each output, and the distance to the last one of them.

    Raises
    ------
    ArtifactError
        When the graph does not return distances to ``count`` clusters.
    """
    *clusters, distances = run((*outputs, Output.DISTANCE), {Input.FEATURES: query.vector})
    if distances.shape != (1, count):
        raise ArtifactError(f"expected distances of {count} clusters, got shape {distances.shape}")
    indices = [int(cluster[0]) for cluster in clusters]
    return indices, float(distances[0, indices[-1]])
