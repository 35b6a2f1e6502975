"""What is read of an ONNX file before onnxruntime sees it: its metadata, and that it needs no other file.

Field numbers are those of the messages in onnx.proto; the encoding is that of
https://protobuf.dev/programming-guides/encoding/.
"""

from collections.abc import Iterator

_MODEL_GRAPH, _MODEL_METADATA, _MODEL_TRAINING, _MODEL_FUNCTIONS = 7, 14, 20, 25
_GRAPH_NODE, _GRAPH_INITIALIZER, _GRAPH_SPARSE_INITIALIZER = 1, 5, 15
_NODE_ATTRIBUTE = 5
_ATTRIBUTE_TENSORS_AND_GRAPHS = {5, 6, 10, 11, 22, 23}
_TENSOR_EXTERNAL = {13, 14}
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5


class MalformedError(Exception):
    """The bytes are not an ONNX file, or not one that can stand alone; says why."""


def read_properties(data: bytes) -> dict[str, str]:
    """Read the metadata of a serialized ModelProto, and check that it refers to no other file.

    Raises
    ------
    MalformedError
        When the bytes cannot be decoded, or tensors stand anywhere but in the graph's initializers,
        with their values in them.
    """
    properties = {}
    for number, value in _messages(memoryview(data)):
        if number == _MODEL_METADATA:
            entry = dict(_messages(value))
            try:
                properties[str(entry.get(1, b""), "utf-8")] = str(entry.get(2, b""), "utf-8")
            except UnicodeDecodeError:
                raise MalformedError("its metadata are not UTF-8") from None
        elif number == _MODEL_GRAPH:
            _check_self_contained(value)
        elif number in (_MODEL_TRAINING, _MODEL_FUNCTIONS):
            raise MalformedError("it has functions or training information")
    return properties


def _check_self_contained(graph: memoryview) -> None:
    for number, value in _messages(graph):
        if number == _GRAPH_SPARSE_INITIALIZER:
            raise MalformedError("it has a sparse initializer")
        if number == _GRAPH_INITIALIZER and not _TENSOR_EXTERNAL.isdisjoint(n for n, _ in _fields(value)):
            raise MalformedError("it refers to another file")
        if number == _GRAPH_NODE:
            for inner, attribute in _messages(value):
                if inner == _NODE_ATTRIBUTE and not _ATTRIBUTE_TENSORS_AND_GRAPHS.isdisjoint(
                    n for n, _ in _fields(attribute)
                ):
                    raise MalformedError("a node holds a tensor or a graph")


def _messages(message: memoryview) -> Iterator[tuple[int, memoryview]]:
    """Give the fields that are messages, strings or bytes."""
    return ((number, value) for number, value in _fields(message) if value is not None)


def _fields(message: memoryview) -> Iterator[tuple[int, memoryview | None]]:
    """Give each field's number and, where it has them, bytes."""
    position = 0
    while position < len(message):
        key, position = _varint(message, position)
        kind, size = key & 7, 0
        if kind == _VARINT:
            _, position = _varint(message, position)
        elif kind in (_FIXED64, _FIXED32):
            size = 8 if kind == _FIXED64 else 4
        elif kind == _BYTES:
            size, position = _varint(message, position)
        else:
            raise MalformedError("it is no protocol buffer")
        if position + size > len(message):
            raise MalformedError("it is cut")
        yield key >> 3, message[position : position + size] if kind == _BYTES else None
        position += size


def _varint(message: memoryview, position: int) -> tuple[int, int]:
    """Read a base-128 number: the number, and the position behind it."""
    value = 0
    for shift in range(0, 70, 7):
        if position >= len(message):
            raise MalformedError("it is cut")
        byte = message[position]
        position += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, position
    raise MalformedError("it is no protocol buffer")
