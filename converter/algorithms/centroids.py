"""Shared by the algorithms that pick by the nearest centroid."""

from collections.abc import Iterator

import numpy as np
from scipy.spatial.distance import cdist
from sklearn.cluster import KMeans

from modelpick.runtime.schema import Output

from ..formats.outcomes import Indices, Training
from .base import Matrix
from .choices import followed, near_best
from .row import Held, WholeGraph


def distances_to(queries: Matrix, centroids: Matrix) -> Matrix:
    """Return distances of queries, (b, d), to centroids, (c, d), from the difference of the vectors: (b, c)."""
    distances: Matrix = cdist(queries, centroids)
    return distances


def near_clusters(distances: Matrix, chosen: int) -> tuple[Indices, int]:
    """Return the clusters that are the nearest within float64's rounding, by distances, (c,), and the one that counts.

    Where rounding decides, the artifact's choice counts; otherwise the nearest cluster does.
    """
    return np.flatnonzero(near_best(-distances)), int(followed(-distances[None], np.array([chosen]))[0])


def hold_clusters(estimator: KMeans, queries: Matrix, ask: WholeGraph) -> Iterator[Held]:
    """Compare the outputs of the whole graph with the estimator, see `Row.hold`."""
    found, cluster = ask((Output.DISTANCE, Output.CLUSTER), queries)
    distances = estimator.transform(queries)
    yield Held(Output.DISTANCE, found, distances)
    yield Held(Output.CLUSTER, cluster, followed(-distances, cluster))


def distances_between(centroids: Matrix) -> Matrix:
    """Return distances between centroids, (c, d), infinite from each to itself: (c, c)."""
    distances = distances_to(centroids, centroids)
    np.fill_diagonal(distances, np.inf)
    return distances


def fit_clusters(training: Training, clusters: int) -> KMeans:
    """Cluster the distinct queries of the training data; where there are fewer queries than clusters, each is one."""
    clusters = min(clusters, len(np.unique(training.features, axis=0)))
    return KMeans(clusters, n_init=10, random_state=training.settings.seed).fit(training.features)
