"""What is read of an ONNX file before onnxruntime sees it, against the onnx library."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

from modelpick.runtime.artifact.onnx_reader import MalformedError, read_onnx

ARRAYS = {
    "float": np.array([[1.5, -2.0]], dtype=np.float32),
    "double": np.array(3.25),
    "long": np.array([1, -(2**62)]),
    "flag": np.array([True, False]),
    "nothing": np.empty((0, 3)),
}


def model(initializers, properties=(), nodes=()):
    graph = helper.make_graph(list(nodes), "graph", [], [], initializer=initializers)
    made = helper.make_model(graph)
    helper.set_model_props(made, dict(properties))
    return made


def test_reads_metadata_and_the_wanted_tensors():
    tensors = [numpy_helper.from_array(value, name) for name, value in ARRAYS.items()]
    data = model(tensors, {"a": "1", "é": "ü\u2028"}).SerializeToString()
    properties, found = read_onnx(data, {"float", "double", "flag", "nothing", "missing"})
    assert properties == {"a": "1", "é": "ü\u2028"}
    assert set(found) == {"float", "double", "flag", "nothing"}
    for name, value in found.items():
        assert value.dtype == ARRAYS[name].dtype
        np.testing.assert_array_equal(value, ARRAYS[name])
        assert not value.flags.writeable


def external():
    tensor = numpy_helper.from_array(np.ones(3), "x")
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    entry = tensor.external_data.add()
    entry.key, entry.value = "location", "elsewhere"
    return tensor


def short():
    tensor = numpy_helper.from_array(np.ones(3), "x")
    tensor.raw_data = tensor.raw_data[:-1]
    return tensor


REFUSED = {
    "it refers to another file": model([external()]),
    "its tensor x is of another type or size": model([short()]),
    "a node holds a tensor or many graphs": model(
        [],
        nodes=[helper.make_node("Constant", [], ["y"], value=numpy_helper.from_array(np.ones(1)))],
    ),
}


@pytest.mark.parametrize("reason", REFUSED)
def test_refuses(reason):
    with pytest.raises(MalformedError, match=reason):
        read_onnx(REFUSED[reason].SerializeToString(), {"x"})


@given(st.binary(max_size=60))
def test_any_bytes_are_read_or_refused(data):
    try:
        properties, tensors = read_onnx(data, {"x"})
    except MalformedError:
        return
    assert all(isinstance(value, str) for value in properties.values())
    assert set(tensors) <= {"x"}
