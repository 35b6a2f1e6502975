"""Nodes and constants, run in onnxruntime as skl2onnx writes them."""

import numpy as np
import pytest
from onnx import numpy_helper

from support.exported import exported, run

X = np.vstack([np.random.default_rng(0).normal(size=(6, 4)), np.zeros(4), 1e200 * np.ones(4)])


@pytest.mark.parametrize(("values", "stored"), [([[0.5, -2.0]], np.float32), ([[0.1, 1.0]], np.float64)])
def test_values_are_stored_in_as_few_bytes_as_hold_them(values, stored):
    def write(graph, features, outputs):
        graph.stored_exactly("kept", np.array(values))
        graph.output(outputs["same"], "Identity", features)

    model = exported(write, {"same": "double"}, 4)
    (tensor,) = (numpy_helper.to_array(one) for one in model.graph.initializer if one.name == "kept")
    assert tensor.dtype == stored
    assert tensor.astype(np.float64).tolist() == values


def test_equal_constants_stay_apart():
    def write(graph, features, outputs):
        assert graph.constant("one", np.ones(2)) != graph.constant("one", np.ones(2))
        graph.output(outputs["same"], "Identity", features)

    model = exported(write, {"same": "double"}, 4)
    assert len([one for one in model.graph.initializer if one.name.startswith("one")]) == 2


def test_the_best_is_certain_where_its_margin_exceeds_what_is_needed():
    def write(graph, features, outputs):
        margin = graph.node(
            "Squeeze", graph.constant("margin", np.full((len(X), 1), 0.5)), graph.constant("axis", np.array([1]))
        )
        graph.argmax_with_margin(features, 4, 1, margin, outputs)

    found = run(exported(write, {"candidate": "index", "certain": "flag"}, 4), X)
    ordered = np.sort(X, axis=1)
    assert found["candidate"].tolist() == X.argmax(axis=1).tolist()
    assert found["certain"].tolist() == (ordered[:, -1] - ordered[:, -2] > 0.5).tolist()
