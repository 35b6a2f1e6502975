"""Tables that would send a pick astray are refused when an artifact is loaded."""

from pathlib import Path

import numpy as np
import pytest
from onnx import numpy_helper

from modelpick.runtime import ArtifactError, Selector
from support.attacks import entries, parsed, resealed

KEPT = Path(__file__).parents[2] / "data/format-2"


def altered(artifact, name, change):
    """Return an artifact, sealed again, with another tensor, or without it."""
    model = parsed((KEPT / f"{artifact}.onnx").read_bytes())
    tensor = next(one for one in model.graph.initializer if one.name == name)
    changed = change(numpy_helper.to_array(tensor).copy())
    tensor.CopyFrom(numpy_helper.from_array(changed, name))
    return resealed(model)


def put(place, value):
    def change(array):
        array.flat[place] = value
        return array

    return change


def swapped(array):
    array[0] = array[0, ::-1]
    return array


BROKEN = [
    ("knn", "row_model", put(7, -1), "row_model: expected values from 0 to 2"),
    ("knn", "row_model", put(7, 3), "row_model: expected values from 0 to 2"),
    ("knn", "row_model", lambda array: array[:-1], r"row_model: expected the shape \(120\), got \(119,\)"),
    ("knn", "row_model", lambda array: array.astype(np.int32), "row_model: expected values of type <i8"),
    ("knn", "row_quality", put(3, np.nan), "'row_quality' holds what is no finite number"),
    ("knn", "row_quality", put(3, np.inf), "'row_quality' holds what is no finite number"),
    ("knn", "rows", put(5, np.nan), "'rows' holds what is no finite number"),
    ("knn", "members", put(0, -3), "members: expected values from 0"),
    ("knn", "members", put(0, 121), "members: expected 5 rows or more, each once"),
    ("knn", "members", put(0, 120), "members: expected 5 rows or more, each once"),
    ("knn", "members", lambda array: np.repeat(array[:1], 40, axis=0), "members: expected 5 rows or more, each once"),
    ("knn", "members", swapped, "members: expected 5 rows or more, each once"),
    ("knn", "members", lambda array: array[:, :0], "members: expected values of type"),
    ("knn", "k", put(0, 4), "expected 5 neighbours"),
    ("knn", "candidates", put(0, 0), "candidates: expected values from 1"),
    ("knn", "error_slope", lambda array: np.array(-1.0), "error_slope: expected values from 0"),
    ("knn_rows_first", "together", put(0, 0), "together: expected values from 1"),
    ("knn_queries", "first_row", put(0, 120), "first_row: expected values from 0 to 119"),
    ("knn_queries", "outcomes", put(0, np.nan), "outcomes: expected values from 0"),
    ("knn_queries_2", "outcomes", put(0, np.inf), "'outcomes' holds what is no finite number"),
    ("kmeans_estimate", "centroids", put(0, np.nan), "'centroids' holds what is no finite number"),
    ("kmeans_estimate", "centroids", lambda array: array[1:], r"centroids: expected the shape \(6, 12\)"),
    ("kmeans_2_estimate", "scores", lambda array: array[1:], r"scores: expected the shape \(6, 3\)"),
    ("kmeans_2_estimate", "support", put(0, -1), "support: expected values from 0"),
    ("kmeans_estimate", "lead", lambda array: array[:3], r"lead: expected the shape \(4\)"),
    ("hiershrink_estimate", "fine_counts", put(0, -1.0), "fine_counts: expected values from 0"),
    ("hiershrink_estimate", "latencies", put(0, np.inf), "'latencies' holds what is no finite number"),
    ("svm_linear_estimate", "offsets", lambda array: array[:1], r"offsets: expected the shape \(3\)"),
    ("mlp_estimate", "layer", put(0, np.nan), "'layer' holds what is no finite number"),
    ("kernel_ridge", "mean_outcomes", lambda array: array[:2], r"mean_outcomes: expected the shape \(3, 3\)"),
]


@pytest.mark.parametrize(("artifact", "name", "change", "reason"), BROKEN)
def test_refuses(artifact, name, change, reason):
    with pytest.raises(ArtifactError, match=reason):
        Selector.load(altered(artifact, name, change))


def test_refuses_a_metric_that_is_not_the_graphs():
    artifact = resealed(entries(parsed((KEPT / "knn.onnx").read_bytes()), metric='"cosine"'))
    with pytest.raises(ArtifactError, match="metric: expected euclidean, got 'cosine'"):
        Selector.load(artifact)
