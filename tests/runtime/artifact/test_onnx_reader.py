"""What is read of an ONNX file before onnxruntime sees it, against the onnx library."""

from pathlib import Path

import numpy as np
import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

from modelpick.runtime.artifact.messages import ModelProto
from modelpick.runtime.artifact.onnx_reader import MalformedError, Model
from modelpick.runtime.artifact.protobuf import decode, encode

KEPT = sorted((Path(__file__).parents[2] / "data").glob("*/*.onnx"))
ARRAYS = {
    "float": np.array([[1.5, -2.0]], dtype=np.float32),
    "double": np.array(3.25),
    "long": np.array([1, -(2**62)]),
    "flag": np.array([True, False]),
    "nothing": np.empty((0, 3)),
}


def model(initializers=(), properties=(), nodes=(), inputs=()):
    given = [helper.make_tensor_value_info(name, kind, [2]) for name, kind in inputs]
    graph = helper.make_graph(list(nodes), "graph", given, [], initializer=list(initializers))
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17), helper.make_opsetid("other", 1)])
    helper.set_model_props(made, dict(properties))
    return made


def encoder(initializers=(), nodes=(), inputs=()):
    return model(initializers, {"modelpick.encoder_version": "1"}, nodes, inputs)


def node(op_type, *inputs, output="y", **attributes):
    return helper.make_node(op_type, list(inputs), [output], **attributes)


def test_reads_metadata_and_tensors():
    tensors = [numpy_helper.from_array(value, name) for name, value in ARRAYS.items()]
    read = Model(model(tensors, {"a": "1", "é": "ü\u2028"}).SerializeToString())
    assert read.properties == {"a": "1", "é": "ü\u2028"}
    found = read.tensors
    assert set(found) == set(ARRAYS)
    for name, value in found.items():
        assert value.dtype == ARRAYS[name].dtype
        np.testing.assert_array_equal(value, ARRAYS[name])
        assert not value.flags.writeable


@pytest.mark.parametrize("kind", [1, 2, 3, 6, 7, 9, 10, 11])
def test_values_of_tensors_may_stand_where_their_types_have_fields(kind):
    values = [1, 0, 100] if kind == TensorProto.BOOL else [1, 0, -100] if kind not in (2, 10) else [1, 0, 200]
    typed = helper.make_tensor("x", kind, [3], values)
    assert not typed.raw_data
    np.testing.assert_array_equal(Model(model([typed]).SerializeToString()).tensors["x"], numpy_helper.to_array(typed))


@pytest.mark.parametrize("path", KEPT, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_what_is_read_is_written_byte_for_byte(path):
    data = path.read_bytes()
    assert b"".join(encode(decode(ModelProto, data))) == data


def varint(number):
    digits = [number >> shift & 0x7F | 0x80 for shift in range(0, max(number.bit_length(), 1), 7)]
    return bytes([*digits[:-1], digits[-1] & 0x7F])


def external():
    tensor = numpy_helper.from_array(np.ones(3), "x")
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    entry = tensor.external_data.add()
    entry.key, entry.value = "location", "elsewhere"
    return tensor


def changed(**fields):
    tensor = numpy_helper.from_array(np.ones(3), "x")
    for name, value in fields.items():
        tensor.ClearField(name)
        getattr(tensor, name).extend(value) if isinstance(value, list) else setattr(tensor, name, value)
    return tensor


def nested(depth):
    inner = node("Identity", "x", output=f"y{depth}")
    for level in range(depth, 0, -1):
        outputs = [helper.make_tensor_value_info(f"y{level}", TensorProto.DOUBLE, None)]
        branches = [helper.make_graph([inner], "g", [], outputs) for _ in range(2)]
        inner = node("If", "c", output=f"y{level - 1}", then_branch=branches[0], else_branch=branches[1])
    return inner


X = numpy_helper.from_array(np.ones(2), "x")
TRUE = numpy_helper.from_array(np.array(True), "c")
ONE_OF_THEM = numpy_helper.from_array(np.array([2, -1]), "d")
NONE, ZERO = np.empty((1, 0, 2), np.int64), np.array(0)
INTEGERS = [("n", TensorProto.INT64), ("d", TensorProto.INT64)]
WHOLE = model([X]).SerializeToString()
FIELD_13 = 13 << 3 | 2 | 1 << 32  # protobuf's readers take a number from the low 32 bits
REFUSED = [
    ("its TensorProto has field 13", model([external()])),
    ("'x' is of another type or size", model([changed(raw_data=bytes(23))])),
    ("'x' is of another type or size", model([changed(dims=[-3])])),
    ("'x' is of another type or size", model([changed(dims=[0, 2**62, 2**62], raw_data=b"")])),
    ("'x' is of another type or size", model([changed(data_type=TensorProto.BFLOAT16)])),
    ("'x' has values of another type", model([changed(double_data=[1.0])])),
    ("'x' holds what is no finite number", model([changed(raw_data=np.array([1.0, np.nan, 1.0]).tobytes())])),
    ("'rows' holds what is no finite number", model([numpy_helper.from_array(np.array([np.inf]), "rows")])),
    ("its AttributeProto has field 5", model([], nodes=[node("Constant", value=X)])),
    ("the operator 'Loop'", model([X], nodes=[node("Loop", "x")])),
    ("the operator 'Scaler'", model([X], nodes=[node("Scaler", "x", domain="ai.onnx.ml")])),
    ("the operator 'Add'", model([X], nodes=[node("Add", "x", "x", domain="other")])),
    ("attributes that are not expected", model([X], nodes=[node("Add", "x", "x", axis=1)])),
    ("attribute axis is of another type", model([X], nodes=[node("Concat", "x", axis=1.0)])),
    ("values of type 8", model([X], nodes=[node("Cast", "x", to=TensorProto.STRING)])),
    ("'z' is read before", model([X], nodes=[node("Add", "x", "z")])),
    ("operators read one another", model([X], nodes=[node("Add", "x", "y")])),
    ("'x' is given twice", model([X, X])),
    ("'y' is given twice", model([X], nodes=[node("Identity", "x")] * 2)),
    ("'x' is read before", model([changed(data_type=TensorProto.STRING)], nodes=[node("Identity", "x")])),
    ("input 'x' is of another type", model([X], inputs=[("x", TensorProto.FLOAT)])),
    (r"'\\x1b' is not printable", model([X], nodes=[node("Identity", "x", output="\x1b")])),
    ("Div may divide an integer", model(inputs=INTEGERS, nodes=[node("Div", "n", "d")])),
    ("Div may divide an integer", model([ONE_OF_THEM], inputs=INTEGERS[:1], nodes=[node("Div", "n", "d")])),
    ("Div may divide an integer", model([ONE_OF_THEM], inputs=INTEGERS, nodes=[node("Div", "n", "d")])),
    ("Max lacks an input", model([X], nodes=[node("Max", "x", "")])),
    ("ReduceSum reads axes", model([X], nodes=[node("ReduceSum", "x", "d")], inputs=INTEGERS)),
    ("ReduceSum reads axes", model([X, numpy_helper.from_array(NONE, "d")], nodes=[node("ReduceSum", "x", "d")])),
    (
        "ReduceSum reads axes",
        model([X, numpy_helper.from_array(np.array(0), "d")], nodes=[node("ReduceSum", "x", "d")]),
    ),
    ("LayerNormalization has another axis", encoder([X], nodes=[node("LayerNormalization", "x", "x", axis=9)])),
    ("CumSum reads axes", encoder([X, numpy_helper.from_array(NONE, "d")], nodes=[node("CumSum", "x", "d")])),
    ("Mod may divide an integer", encoder(inputs=INTEGERS, nodes=[node("Mod", "n", "d")])),
    ("ReduceMean may divide an integer", encoder(inputs=INTEGERS, nodes=[node("ReduceMean", "n")])),
    ("nested too deep", model([X, TRUE], nodes=[nested(5)])),
    ("is cut", WHOLE[:-1]),
    ("has graph twice", WHOLE + b"\x3a\x00"),
    ("has field 536870925", b"".join([varint(FIELD_13), b"\x00", WHOLE])),
    ("has field 0", b"\x02\x00" + WHOLE),
    ("more than 131,072 fields", b"\x72\x00" * 2**17 + WHOLE),
    ("a metadata entry twice", b"\x72\x00" * 2 + WHOLE),
]


@pytest.mark.parametrize(("reason", "data"), REFUSED)
def test_refuses(reason, data):
    with pytest.raises(MalformedError, match=reason):
        Model(data if isinstance(data, bytes) else data.SerializeToString())


def test_an_integer_may_be_divided_by_what_stands_in_the_file():
    divisor = numpy_helper.from_array(np.array([2, -3]), "d")
    Model(model([divisor], inputs=INTEGERS[:1], nodes=[node("Div", "n", "d")]).SerializeToString())
    doubles = [("n", TensorProto.DOUBLE), ("d", TensorProto.DOUBLE)]
    Model(model(inputs=doubles, nodes=[node("Div", "n", "d")]).SerializeToString())


def test_nodes_are_put_in_order():
    nodes = [node("Add", "x", "b", output="c"), node("Identity", "a", output="b"), node("Identity", "x", output="a")]
    read = Model(model([X], nodes=nodes).SerializeToString())
    assert [one.output for one in read.graph.node] == [["a"], ["b"], ["c"]]


def test_versions_of_domains_that_no_operator_is_of_are_not_written():
    proto = Model(WHOLE).proto
    assert [(opset.domain, opset.version) for opset in proto.opset_import] == [("", 17)]
    assert onnx.load_model_from_string(b"".join(encode(proto))).graph.initializer == [X]


@given(st.binary(max_size=60))
def test_any_bytes_are_read_or_refused(data):
    try:
        read = Model(data)
    except MalformedError:
        return
    assert all(isinstance(value, str) for value in read.properties.values())
