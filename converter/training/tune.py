"""Chooses k of a KNN selector by cross-validation over queries."""

from collections.abc import Iterable

import numpy as np
import numpy.typing as npt
from sklearn.model_selection import KFold

from modelpick.runtime import DocumentError

from ..algorithms.knn import KNNModelSelector
from ..algorithms.knn_regression import QueryModelSelector
from ..algorithms.rules import Semantics
from .train import Training, knn_fields

FOLDS = 5
NEIGHBOURS = (1, 2, 3, 5, 7, 10, 15, 20, 30, 50, 75, 100, 150, 200, 300, 500)


def tune(training: Training, semantics: str, neighbours: Iterable[int] = NEIGHBOURS) -> dict[int, float]:
    """Cross-validate k: k -> mean quality of the picks on queries that were held out, of five folds.

    No query stands on both sides of a fold.

    Parameters
    ----------
    semantics
        "native" or "queries", see `modelpick.converter.Semantics`.
    neighbours
        Values of k to try; those that exceed the queries of a fold are left out.
    """
    n = len(training.features)
    folds = min(FOLDS, n)
    if folds < 2:
        raise DocumentError(f"tune: expected two queries or more, got {n}")
    ks = [k for k in neighbours if k <= n - -(-n // folds)]
    picked: dict[int, list[npt.NDArray[np.float64]]] = {k: [] for k in ks}
    for learned, held_out in KFold(folds, shuffle=True, random_state=training.seed).split(training.features):
        estimator = _fold_estimator(training, learned, semantics, max(ks))
        rows = estimator.kneighbors(training.features[held_out], return_distance=False)
        names = {name: model for model, name in enumerate(training.benchmark.model_names)}
        for k in ks:
            if isinstance(estimator, QueryModelSelector):
                winners = estimator.scores(rows[:, :k]).argmax(axis=1)
            else:
                winners = estimator.vote(rows[:, :k]).winners
            models = [names[name] for name in estimator.model_names_[winners]]
            picked[k].append(training.benchmark.quality[held_out, models])
    return {k: float(np.nanmean(np.concatenate(qualities))) for k, qualities in picked.items()}


def _fold_estimator(
    training: Training, learned: npt.NDArray[np.int64], semantics: str, k: int
) -> KNNModelSelector | QueryModelSelector:
    fields = knn_fields(
        training._replace(
            benchmark=training.benchmark._replace(
                quality=training.benchmark.quality[learned],
                seconds=training.benchmark.seconds[learned],
                cost=training.benchmark.cost[learned],
            ),
            features=training.features[learned],
        )
    )
    estimator = QueryModelSelector(k) if semantics == Semantics.queries else KNNModelSelector(k)
    return estimator.fit(
        np.array(fields["embeddings"]),
        fields["labels"],
        np.array(fields["qualities"]),
        np.array(fields["latencies"], dtype=np.int64),
    )
