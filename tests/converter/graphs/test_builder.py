"""Nodes, constants and branches, run in onnxruntime as skl2onnx writes them."""

import numpy as np
import onnxruntime
import pytest
from onnx import numpy_helper
from skl2onnx import to_onnx
from skl2onnx.common.data_types import DoubleTensorType
from sklearn.base import BaseEstimator

from modelpick.converter.graphs.builder import Graph
from modelpick.converter.graphs.exporting import register
from modelpick.converter.graphs.unit_length import add_directions, directions

RNG = np.random.default_rng(0)
X = np.vstack([RNG.normal(size=(6, 4)), np.zeros(4), 1e200 * np.ones(4)])


def run(write, outputs, feeds=()):
    """Export an estimator whose graph ``write`` adds, and run it."""

    class Probe(BaseEstimator):
        n_features_in_ = 4

    register(Probe, outputs, write)
    model = to_onnx(Probe(), initial_types=[("features", DoubleTensorType([None, 4]))], target_opset={"": 17})
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    found = session.run(list(outputs), {"features": X, **dict(feeds)})
    return model, dict(zip(outputs, found, strict=True))


def test_directions_are_those_of_numpy():
    def write(graph: Graph, estimator, features, outputs):
        graph.output(outputs["unit"], "Identity", add_directions(graph, features).product(graph))

    _, found = run(write, {"unit": "double"})
    np.testing.assert_allclose(found["unit"], directions(X), rtol=1e-15)
    assert not found["unit"][6].any()


@pytest.mark.parametrize("vectors", [X, X[:6]], ids=["extreme", "usual"])
def test_directions_are_the_same_however_many_rows_are_squared_at_once(monkeypatch, vectors):
    expected = directions(vectors)
    monkeypatch.setattr("modelpick.runtime.search.distances.AT_ONCE", 3)
    np.testing.assert_array_equal(directions(vectors), expected)


@pytest.mark.parametrize(("values", "stored"), [([[0.5, -2.0]], np.float32), ([[0.1, 1.0]], np.float64)])
def test_values_are_stored_in_as_few_bytes_as_hold_them(values, stored):
    def write(graph: Graph, estimator, features, outputs):
        graph.stored_exactly("kept", np.array(values))
        graph.output(outputs["same"], "Identity", features)

    model, _ = run(write, {"same": "double"})
    (tensor,) = (numpy_helper.to_array(one) for one in model.graph.initializer if one.name == "kept")
    assert tensor.dtype == stored
    assert tensor.astype(np.float64).tolist() == values


def test_equal_constants_stay_apart():
    def write(graph: Graph, estimator, features, outputs):
        assert graph.constant("one", np.ones(2)) != graph.constant("one", np.ones(2))
        graph.output(outputs["same"], "Identity", features)

    model, _ = run(write, {"same": "double"})
    assert len([one for one in model.graph.initializer if one.name.startswith("one")]) == 2


def test_the_best_is_certain_where_its_margin_exceeds_what_is_needed():
    def write(graph: Graph, estimator, features, outputs):
        margin = graph.node(
            "Squeeze", graph.constant("margin", np.full((len(X), 1), 0.5)), graph.constant("axis", np.array([1]))
        )
        graph.argmax_with_margin(features, 4, 1, margin, outputs)

    _, found = run(write, {"candidate": "index", "certain": "flag"})
    ordered = np.sort(X, axis=1)
    assert found["candidate"].tolist() == X.argmax(axis=1).tolist()
    assert found["certain"].tolist() == (ordered[:, -1] - ordered[:, -2] > 0.5).tolist()
