"""HierShrink in JSON: centroids on two levels, and records."""

from typing import Annotated

import numpy as np
from msgspec import UNSET, Meta, Raw, Struct, UnsetType

from ...formats.decoding import INT64, IgnoredSize, Name, refuse
from ...formats.reader import Reader
from ...formats.source import Source
from .estimators import HierShrinkSelector


class RecordForm(Struct):
    """An answer of a model; whether it was a success is not read."""

    query_embedding: Raw
    selected_model: Name
    response_quality: float
    response_latency_ns: Annotated[int, Meta(ge=0, le=INT64[1])]


class HierShrinkForm(Struct):
    """Centroids on two levels, and records, whose means clusters hold."""

    coarse_centroids: list[Raw]
    fine_centroids: list[Raw]
    training: Annotated[list[RecordForm], Meta(min_length=1)]
    cost_weight: Annotated[float, Meta(ge=0)] | UnsetType | None = UNSET
    feature_dim: IgnoredSize = UNSET


def load(form: HierShrinkForm, source: Source, reader: Reader) -> HierShrinkSelector:
    """Check a form, and return the estimator."""
    coarse = reader.matrix(form.coarse_centroids, "$.coarse_centroids")
    fine = reader.matrix(form.fine_centroids, "$.fine_centroids")
    queries = reader.matrix([record.query_embedding for record in form.training], "$.training", ".query_embedding")
    for vectors, path in ((fine, "$.fine_centroids"), (queries, "$.training[0].query_embedding")):
        if vectors.shape[1] != coarse.shape[1]:
            refuse(path, f"expected {coarse.shape[1]} columns as in $.coarse_centroids, got {vectors.shape[1]}")
    reader.ignored_size(form.feature_dim, coarse.shape[1], "$.feature_dim", "columns of $.coarse_centroids")
    qualities = np.array([record.response_quality for record in form.training])
    with np.errstate(over="ignore"):
        if not np.isfinite(np.abs(qualities).sum()):
            refuse("$.training", "expected qualities whose sum is a finite number")
    models = [record.selected_model for record in form.training]
    latencies = np.array([record.response_latency_ns for record in form.training], dtype=np.int64)
    return HierShrinkSelector(coarse, fine, form.cost_weight or 0.0).fit(queries, models, qualities, latencies)
