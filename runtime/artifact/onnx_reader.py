"""What is read of an ONNX file before onnxruntime sees it: metadata, small tensors, and that it needs no other file.

Field numbers are those of the messages in onnx.proto; the encoding is that of
https://protobuf.dev/programming-guides/encoding/.
"""

from collections.abc import Collection, Iterator
from math import prod
from typing import Any

import numpy as np
import numpy.typing as npt

Tensor = npt.NDArray[Any]
_MODEL_GRAPH, _MODEL_METADATA, _MODEL_TRAINING, _MODEL_FUNCTIONS = 7, 14, 20, 25
_GRAPH_NODE, _GRAPH_INITIALIZER, _GRAPH_SPARSE_INITIALIZER = 1, 5, 15
_NODE_ATTRIBUTE = 5
_ATTRIBUTE_GRAPH, _ATTRIBUTE_REFUSED = 6, {5, 10, 11, 22, 23}
_TENSOR_DIMS, _TENSOR_TYPE, _TENSOR_NAME, _TENSOR_RAW, _TENSOR_EXTERNAL = 1, 2, 8, 9, {13, 14}
_TENSOR_TYPES = {1: "<f4", 7: "<i8", 9: "|b1", 11: "<f8"}
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_DEEPEST = 4


class MalformedError(Exception):
    """The bytes are not an ONNX file, or not one that can stand alone; says why."""


def read_onnx(data: bytes, wanted: Collection[str]) -> tuple[dict[str, str], dict[str, Tensor]]:
    """Read a serialized ModelProto's metadata and wanted initializers, and check that it refers to no other file.

    Returns
    -------
    (metadata properties, name -> read-only array)

    Raises
    ------
    MalformedError
        When the bytes cannot be decoded, or tensors stand anywhere but in the graph's initializers, with their values
        in them.
    """
    properties: dict[str, str] = {}
    tensors: dict[str, Tensor] = {}
    for number, value in _messages(memoryview(data)):
        if number == _MODEL_METADATA:
            entry = dict(_messages(value))
            properties[_text(entry.get(1))] = _text(entry.get(2))
        elif number == _MODEL_GRAPH:
            _check_graph(value, 0)
            tensors |= dict(_tensors(value, wanted))
        elif number in (_MODEL_TRAINING, _MODEL_FUNCTIONS):
            raise MalformedError("it has functions or training information")
    return properties, tensors


def _check_graph(graph: memoryview, depth: int) -> None:
    if depth > _DEEPEST:
        raise MalformedError("its graphs are nested too deep")
    for number, value in _messages(graph):
        if number == _GRAPH_SPARSE_INITIALIZER:
            raise MalformedError("it has a sparse initializer")
        if number == _GRAPH_INITIALIZER and not _TENSOR_EXTERNAL.isdisjoint(n for n, _ in _fields(value)):
            raise MalformedError("it refers to another file")
        if number == _GRAPH_NODE:
            for inner, attribute in _messages(value):
                if inner == _NODE_ATTRIBUTE:
                    _check_attribute(attribute, depth)


def _check_attribute(attribute: memoryview, depth: int) -> None:
    for number, value in _fields(attribute):
        if number in _ATTRIBUTE_REFUSED:
            raise MalformedError("a node holds a tensor or many graphs")
        if number == _ATTRIBUTE_GRAPH and isinstance(value, memoryview):
            _check_graph(value, depth + 1)


def _tensors(graph: memoryview, wanted: Collection[str]) -> Iterator[tuple[str, Tensor]]:
    for number, value in _messages(graph):
        if number == _GRAPH_INITIALIZER:
            fields = list(_fields(value))
            name = next((_text(inner) for n, inner in fields if n == _TENSOR_NAME), "")
            if name in wanted:
                yield name, _array(name, fields)


def _array(name: str, fields: list[tuple[int, int | memoryview]]) -> Tensor:
    shape = [inner for n, inner in fields if n == _TENSOR_DIMS and isinstance(inner, int)]
    kind = next((_TENSOR_TYPES.get(inner) for n, inner in fields if n == _TENSOR_TYPE and isinstance(inner, int)), None)
    raw = next((inner for n, inner in fields if n == _TENSOR_RAW and isinstance(inner, memoryview)), memoryview(b""))
    if kind is None or len(raw) != prod(shape) * int(kind[-1]):
        raise MalformedError(f"its tensor {name} is of another type or size")
    return np.frombuffer(raw, kind).reshape(shape)


def _text(value: int | memoryview | None) -> str:
    try:
        return str(value, "utf-8") if isinstance(value, memoryview) else ""
    except UnicodeDecodeError:
        raise MalformedError("its names or metadata are not UTF-8") from None


def _messages(message: memoryview) -> Iterator[tuple[int, memoryview]]:
    """Yield the fields that are messages, strings or bytes."""
    return ((number, value) for number, value in _fields(message) if isinstance(value, memoryview))


def _fields(message: memoryview) -> Iterator[tuple[int, int | memoryview]]:
    """Yield each field's number and value."""
    position = 0
    while position < len(message):
        key, position = _varint(message, position)
        kind = key & 7
        if kind == _VARINT:
            number, position = _varint(message, position)
            yield key >> 3, number
            continue
        if kind == _BYTES:
            size, position = _varint(message, position)
        elif kind in (_FIXED64, _FIXED32):
            size = 8 if kind == _FIXED64 else 4
        else:
            raise MalformedError("it is not a protocol buffer")
        if position + size > len(message):
            raise MalformedError("it is cut")
        yield key >> 3, message[position : position + size]
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
    raise MalformedError("it is not a protocol buffer")
