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
MODEL_GRAPH, MODEL_METADATA, _MODEL_TRAINING, _MODEL_FUNCTIONS = 7, 14, 20, 25
GRAPH_NODE, GRAPH_INITIALIZER, GRAPH_INPUT, GRAPH_OUTPUT, _GRAPH_SPARSE_INITIALIZER = 1, 5, 11, 12, 15
NODE_ATTRIBUTE = 5
ATTRIBUTE_GRAPH, _ATTRIBUTE_REFUSED = 6, {5, 10, 11, 22, 23}
_TENSOR_DIMS, TENSOR_TYPE, TENSOR_NAME, TENSOR_RAW, TENSOR_EXTERNAL, TENSOR_LOCATION = 1, 2, 8, 9, 13, 14
_ELSEWHERE = {TENSOR_EXTERNAL, TENSOR_LOCATION}
_TENSOR_TYPES = {1: "<f4", 2: "|u1", 3: "|i1", 6: "<i4", 7: "<i8", 9: "|b1", 11: "<f8"}
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
    for number, value in messages(memoryview(data)):
        if number == MODEL_METADATA:
            entry = dict(messages(value))
            properties[text(entry.get(1))] = text(entry.get(2))
        elif number == MODEL_GRAPH:
            _check_graph(value, 0)
            tensors |= dict(_tensors(value, wanted))
        elif number in (_MODEL_TRAINING, _MODEL_FUNCTIONS):
            raise MalformedError("it has functions or training information")
    return properties, tensors


def _check_graph(graph: memoryview, depth: int) -> None:
    if depth > _DEEPEST:
        raise MalformedError("its graphs are nested too deep")
    for number, value in messages(graph):
        if number == _GRAPH_SPARSE_INITIALIZER:
            raise MalformedError("it has a sparse initializer")
        if number == GRAPH_INITIALIZER and not _ELSEWHERE.isdisjoint(n for n, _ in fields(value)):
            raise MalformedError("it refers to another file")
        if number == GRAPH_NODE:
            for inner, attribute in messages(value):
                if inner == NODE_ATTRIBUTE:
                    _check_attribute(attribute, depth)


def _check_attribute(attribute: memoryview, depth: int) -> None:
    for number, value in fields(attribute):
        if number in _ATTRIBUTE_REFUSED:
            raise MalformedError("a node holds a tensor or many graphs")
        if number == ATTRIBUTE_GRAPH and isinstance(value, memoryview):
            _check_graph(value, depth + 1)


def _tensors(graph: memoryview, wanted: Collection[str]) -> Iterator[tuple[str, Tensor]]:
    for number, value in messages(graph):
        if number == GRAPH_INITIALIZER:
            content = list(fields(value))
            name = next((text(inner) for n, inner in content if n == TENSOR_NAME), "")
            if name in wanted:
                yield name, array(name, content)


def array(name: str, content: list[tuple[int, int | memoryview]]) -> Tensor:
    """View the values of a tensor, given its fields."""
    shape = [inner for n, inner in content if n == _TENSOR_DIMS and isinstance(inner, int)]
    kind = next((_TENSOR_TYPES.get(inner) for n, inner in content if n == TENSOR_TYPE and isinstance(inner, int)), None)
    raw = next((inner for n, inner in content if n == TENSOR_RAW and isinstance(inner, memoryview)), memoryview(b""))
    if kind is None or len(raw) != prod(shape) * int(kind[-1]):
        raise MalformedError(f"its tensor {name} is of another type or size")
    return np.frombuffer(raw, kind).reshape(shape)


def text(value: int | memoryview | None) -> str:
    """Decode a string."""
    try:
        return str(value, "utf-8") if isinstance(value, memoryview) else ""
    except UnicodeDecodeError:
        raise MalformedError("its names or metadata are not UTF-8") from None


def messages(message: memoryview) -> Iterator[tuple[int, memoryview]]:
    """Yield the fields that are messages, strings or bytes."""
    return ((number, value) for number, value in fields(message) if isinstance(value, memoryview))


def fields(message: memoryview) -> Iterator[tuple[int, int | memoryview]]:
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
