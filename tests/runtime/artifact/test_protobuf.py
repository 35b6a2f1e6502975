"""Messages, written and read again, by this codec and by the library's."""

import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from modelpick.runtime.artifact import protobuf
from modelpick.runtime.artifact.messages import (
    AttributeProto,
    GraphProto,
    ModelProto,
    NodeProto,
    StringStringEntryProto,
    TensorProto,
)
from modelpick.runtime.artifact.protobuf import MalformedError, decode, encode, varints

INTEGERS, TEXTS = st.integers(-(2**63), 2**63 - 1), st.text(st.characters(codec="utf-8"), max_size=9)
TENSORS = st.builds(
    TensorProto,
    dims=st.lists(INTEGERS, max_size=3),
    data_type=st.none() | st.integers(0, 2**31 - 1),
    name=st.none() | TEXTS,
    raw_data=st.none() | st.binary(max_size=300).map(memoryview),
)
ATTRIBUTES = st.builds(AttributeProto, st.lists(INTEGERS, max_size=3), st.just([]), name=TEXTS, i=st.none() | INTEGERS)
NODES = st.builds(NodeProto, *[st.lists(TEXTS, max_size=3)] * 2, st.lists(ATTRIBUTES, max_size=2), op_type=TEXTS)
NOTHING = st.just([])
GRAPHS = st.builds(GraphProto, st.lists(NODES, max_size=2), st.lists(TENSORS, max_size=2), NOTHING, NOTHING)
ENTRIES = st.lists(st.builds(StringStringEntryProto, TEXTS, TEXTS), max_size=3)
MODELS = st.builds(ModelProto, NOTHING, ENTRIES, ir_version=st.none() | INTEGERS, graph=st.none() | GRAPHS)


@settings(max_examples=20, deadline=None)
@given(MODELS)
def test_what_is_written_is_read_again_here_and_by_the_library(model):
    data = b"".join(encode(model))
    assert decode(ModelProto, data) == model
    theirs = onnx.ModelProto.FromString(data)
    assert [(entry.key, entry.value) for entry in theirs.metadata_props] == [
        (entry.key, entry.value) for entry in model.metadata_props
    ]
    assert theirs.SerializeToString(deterministic=True) == data


@given(st.lists(INTEGERS, max_size=20))
def test_numbers_one_behind_the_other(numbers):
    tensor = onnx.TensorProto(int64_data=numbers)
    packed = decode(TensorProto, tensor.SerializeToString()).int64_data
    assert varints(bytes(packed or b""), 20) == numbers


CUT = b"".join(encode(ModelProto([], [StringStringEntryProto("key", "value")])))


@pytest.mark.parametrize("data", [CUT[:-1], CUT[:1], b"\x08", b"\x08\x80", b"\x72\x80"])
def test_refuses_what_is_cut(data):
    with pytest.raises(MalformedError, match="it is cut"):
        decode(ModelProto, data)


@pytest.mark.parametrize("number", [b"\xff" * 10, b"\xff" * 9 + b"\x02", b"\x80" * 11])
def test_refuses_numbers_of_more_than_64_bits(number):
    with pytest.raises(MalformedError, match="no protocol buffer"):
        decode(ModelProto, b"\x08" + number)


def test_refuses_more_numbers_and_fields_than_a_file_may_have(monkeypatch):
    with pytest.raises(MalformedError, match="more than 2 numbers"):
        varints(b"\1\2\3", 2)
    monkeypatch.setattr(protobuf, "MOST_FIELDS", 3)
    assert decode(ModelProto, CUT).metadata_props[0].value == "value"
    with pytest.raises(MalformedError, match="more than 3 fields"):
        decode(ModelProto, CUT * 2)
