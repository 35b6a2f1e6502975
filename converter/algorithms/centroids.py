"""What the algorithms share that pick by the nearest centroid."""

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
from scipy.spatial.distance import cdist
from sklearn.cluster import KMeans

from modelpick.runtime.schema import Output

from ..formats.outcomes import Training
from .base import Matrix
from .row import TOLERANCE, Held, WholeGraph


def distances_to(queries: Matrix, centroids: Matrix) -> Matrix:
    """Measure queries, (b, d), to centroids, (c, d), from the difference of the vectors: (b, c)."""
    distances: Matrix = cdist(queries, centroids)
    return distances


def near_clusters(distances: Matrix, chosen: int) -> tuple[npt.NDArray[np.int64], int]:
    """Return the nearest clusters by distances, (c,), but for float64's roundings; and the one that counts.

    That is the one which an artifact chose where roundings decide, or else the nearest.
    """
    least = distances.min()
    close = np.flatnonzero((distances == least) | (distances - least <= TOLERANCE * max(1.0, least)))
    return close, chosen if chosen in close else int(distances.argmin())


def nearest_clusters(distances: Matrix, chosen: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Return the clusters that count by distances, (b, c), see `near_clusters`: (b,)."""
    pairs = zip(distances, chosen.tolist(), strict=True)
    return np.array([near_clusters(of_one, cluster)[1] for of_one, cluster in pairs])


def hold_clusters(estimator: KMeans, queries: Matrix, ask: WholeGraph) -> Iterator[Held]:
    """Hold the outputs of the whole graph to the estimator, see `Row.hold`."""
    found, cluster = ask((Output.DISTANCE, Output.CLUSTER), queries)
    distances = estimator.transform(queries)
    yield Held(Output.DISTANCE, found, distances)
    yield Held(Output.CLUSTER, cluster, nearest_clusters(distances, cluster))


def distances_between(centroids: Matrix) -> Matrix:
    """Measure centroids, (c, d), to each other, infinite to themselves: (c, c)."""
    distances = distances_to(centroids, centroids)
    np.fill_diagonal(distances, np.inf)
    return distances


def fit_clusters(training: Training, clusters: int) -> KMeans:
    """Cluster the distinct queries of the training data; fewer than there are clusters are one cluster each."""
    clusters = min(clusters, len(np.unique(training.features, axis=0)))
    return KMeans(clusters, n_init=10, random_state=training.settings.seed).fit(training.features)
