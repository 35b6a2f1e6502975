"""Optional branches of graphs that skl2onnx exports: in order, whatever they read, and read directly once in order."""

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from modelpick.converter.graphs.exporting import drop_waiting
from modelpick.runtime.schema import Input
from support.exported import exported
from support.exported import run as run_unchecked

X = np.random.default_rng(0).normal(size=(5, 3))


def write(graph, features, outputs):
    """Output the squares, and in an optional branch what is computed of three values, one in a branch of its own."""
    squares = graph.node("Mul", features, features)
    graph.output(outputs["squares"], "Identity", squares)
    longer = graph.node("Sqrt", graph.node("Exp", squares))
    branch = graph.branch()
    twice, once = branch.branch(), branch.branch()
    branches = (twice, [twice.node("Add", longer, longer)]), (once, [once.node("Identity", longer)])
    branch.choose(branch.constant("inner", np.array(True)), ["either"], ["double"], *branches)
    graph.in_float64(outputs, {"sum": "double"}, branch, {"sum": branch.node("Add", squares, "either")})


@pytest.fixture(scope="module")
def model():
    return exported(write, {"squares": "double", "sum": "double"}, 3)


def run(model, **given):
    onnx.checker.check_model(model, full_check=True)
    found = run_unchecked(model, X, **given)
    return found["squares"], found["sum"]


def test_nodes_come_behind_what_branches_within_them_read(model):
    squares, total = run(model)
    np.testing.assert_allclose(squares, X**2, rtol=1e-15)
    np.testing.assert_allclose(total, X**2 + 2 * np.sqrt(np.exp(X**2)), rtol=1e-15)


def test_choices_read_their_conditions_directly_once_nodes_are_in_order(model):
    cut = onnx.ModelProto()
    cut.CopyFrom(model)
    drop_waiting(cut.graph)
    (choice,) = (node for node in cut.graph.node if node.op_type == "If")
    assert list(choice.input) == [Input.REFINE]
    assert len(cut.graph.node) < len(model.graph.node)
    for ours, whole in zip(run(cut), run(model), strict=True):
        np.testing.assert_array_equal(ours, whole)


def test_a_branch_that_is_turned_off_has_outputs_without_values(model):
    opened = onnx.ModelProto()
    opened.CopyFrom(model)
    opened.graph.input.append(helper.make_tensor_value_info(Input.REFINE, TensorProto.BOOL, []))
    squares, total = run(opened, **{Input.REFINE: np.array(False)})
    np.testing.assert_allclose(squares, X**2, rtol=1e-15)
    assert total.shape == (0, 0)
