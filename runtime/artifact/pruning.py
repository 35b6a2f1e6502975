"""An ONNX model cut down to what some of its outputs need, with its large tensors beside it instead of in it."""

from collections.abc import Collection, Iterator, Sequence
from typing import NamedTuple

import numpy as np

from .nodes import DOUBLE, FLOAT, Node, are_read_in_float32, nodes_within
from .onnx_reader import (
    GRAPH_INITIALIZER,
    GRAPH_INPUT,
    GRAPH_NODE,
    GRAPH_OUTPUT,
    MODEL_GRAPH,
    MODEL_METADATA,
    TENSOR_EXTERNAL,
    TENSOR_LOCATION,
    TENSOR_NAME,
    TENSOR_RAW,
    TENSOR_TYPE,
    Tensor,
    array,
    fields,
    messages,
    text,
)

_VALUE_NAME, _VALUE_TYPE, _TYPE_TENSOR, _TENSOR_ELEMENTS = 1, 2, 1, 1
# Where names stand in what may be left out of a graph.
_NAME = {GRAPH_INITIALIZER: TENSOR_NAME, GRAPH_INPUT: _VALUE_NAME, GRAPH_OUTPUT: _VALUE_NAME}
# Smaller tensors stay: onnxruntime reads shapes and numbers of nodes when it opens a session.
LARGE = 2**14
_NOWHERE = "beside"


class Pruned(NamedTuple):
    """A model and the tensors that it refers to."""

    model: bytes
    tensors: dict[str, Tensor]
    """Name -> array: a view of the artifact's bytes; or float32, where all that reads float64 makes that of it."""


def pruned(
    data: bytes,
    outputs: Collection[str] = (),
    split: bool = True,
    switch: str | None = None,
    single: bool = False,
) -> Pruned:
    """Keep only some outputs, all by default, of the graph of a serialized ModelProto, and what they need.

    Metadata are left out, and with ``split`` the values of large tensors. With ``switch``, that optional input is true
    for good: onnxruntime then puts the branch that it chooses in place of the choice. With ``single``, inputs are of
    float32 instead of float64, of which the graph makes that. The bytes are those that `onnx_reader.read_onnx` took.
    """
    tensors: dict[str, Tensor] = {}
    parts = []
    for number, value in fields(memoryview(data)):
        if number == MODEL_GRAPH and isinstance(value, memoryview):
            parts.append(field(number, _graph(value, outputs, tensors if split else None, switch, single)))
        elif number != MODEL_METADATA:
            parts.append(field(number, value))
    return Pruned(b"".join(parts), tensors)


def _graph(
    graph: memoryview,
    outputs: Collection[str],
    tensors: dict[str, Tensor] | None,
    switch: str | None,
    single: bool,
) -> bytes:
    content = list(messages(graph))
    outputs = outputs or [_name(value, _VALUE_NAME) for number, value in content if number == GRAPH_OUTPUT]
    needed, kept, nodes = set(outputs), [], [Node(list(outputs), [])]
    for node in reversed([value for number, value in content if number == GRAPH_NODE]):
        *_, outermost = within = list(nodes_within(node))
        if not needed.isdisjoint(outermost.outputs):
            kept.append(node)
            nodes += within
            needed.update(name for inner in within for name in inner.inputs)
    parts = [field(GRAPH_NODE, node) for node in reversed(kept)]
    for number, value in content:
        name = _name(value, _NAME[number]) if number in _NAME else None
        if name is None:
            parts.append(field(number, value) if number != GRAPH_NODE else b"")
        elif name == switch:
            parts.append(field(number, _true(value)) if number == GRAPH_INITIALIZER else b"")
        elif name in (outputs if number == GRAPH_OUTPUT else needed):
            if number == GRAPH_INITIALIZER:
                parts.append(field(number, _tensor(value, tensors, nodes)))
            else:
                parts.append(field(number, _single(value) if single and number == GRAPH_INPUT else value))
    return b"".join(parts)


def _tensor(tensor: memoryview, tensors: dict[str, Tensor] | None, nodes: Sequence[Node]) -> bytes | memoryview:
    """Take the values out of a large tensor, if they are to stand beside."""
    content = dict(messages(tensor))
    raw = content.get(TENSOR_RAW, memoryview(b""))
    if tensors is None or len(raw) < LARGE:
        return tensor
    name = text(content.get(TENSOR_NAME))
    kept = [(number, value) for number, value in fields(tensor) if number != TENSOR_RAW]
    values = array(name, list(fields(tensor)))
    # Made by onnxruntime, float32 would take three times its memory while the session is opened.
    if values.dtype == np.float64 and are_read_in_float32(name, nodes):
        kept = [(number, FLOAT if number == TENSOR_TYPE else value) for number, value in kept]
        with np.errstate(over="ignore"):
            values = values.astype(np.float32)
    tensors[name] = values
    place = field(1, b"location") + field(2, _NOWHERE.encode())
    return b"".join([*(field(*each) for each in kept), field(TENSOR_EXTERNAL, place), field(TENSOR_LOCATION, 1)])


def _true(tensor: memoryview) -> bytes:
    """Return a boolean scalar with the value true."""
    return b"".join(field(*each) if each[0] != TENSOR_RAW else field(TENSOR_RAW, b"\1") for each in fields(tensor))


def _single(value: memoryview, path: Sequence[int] = (_VALUE_TYPE, _TYPE_TENSOR)) -> bytes:
    """Make float32 of float64 in the description of a value, at the end of a path of fields."""
    parts = []
    for number, inner in fields(value):
        if path and number == path[0] and isinstance(inner, memoryview):
            parts.append(field(number, _single(inner, path[1:])))
        else:
            is_double = not path and number == _TENSOR_ELEMENTS and inner == DOUBLE
            parts.append(field(number, FLOAT if is_double else inner))
    return b"".join(parts)


def _name(message: memoryview, number: int) -> str:
    return next(_strings(message, number), "")


def _strings(message: memoryview, number: int) -> Iterator[str]:
    return (text(value) for each, value in messages(message) if each == number)


def field(number: int, value: int | bytes | memoryview) -> bytes:
    """Encode a field of a protocol buffer: a number, or bytes."""
    if isinstance(value, int):
        return _varint(number << 3) + _varint(value)
    return b"".join([head(number, len(value)), value])


def head(number: int, length: int) -> bytes:
    """Encode what stands before the bytes of a field."""
    return _varint(number << 3 | 2) + _varint(length)


def _varint(value: int) -> bytes:
    digits = bytearray()
    while value >= 0x80:
        digits.append(value & 0x7F | 0x80)
        value >>= 7
    digits.append(value)
    return bytes(digits)
