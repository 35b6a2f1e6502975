"""An ONNX model cut down to what some of its outputs need, with its large tensors beside it instead of in it."""

from collections.abc import Collection, Iterator
from typing import NamedTuple

from .onnx_reader import (
    ATTRIBUTE_GRAPH,
    GRAPH_INITIALIZER,
    GRAPH_INPUT,
    GRAPH_NODE,
    GRAPH_OUTPUT,
    MODEL_GRAPH,
    MODEL_METADATA,
    NODE_ATTRIBUTE,
    TENSOR_EXTERNAL,
    TENSOR_LOCATION,
    TENSOR_NAME,
    TENSOR_RAW,
    Tensor,
    array,
    fields,
    messages,
    text,
)

_NODE_INPUT, _NODE_OUTPUT, _VALUE_NAME = 1, 2, 1
# Where names stand in what may be left out of a graph.
_NAME = {GRAPH_INITIALIZER: TENSOR_NAME, GRAPH_INPUT: _VALUE_NAME, GRAPH_OUTPUT: _VALUE_NAME}
# Smaller tensors stay: onnxruntime reads shapes and numbers of nodes when it opens a session.
LARGE = 2**14
_NOWHERE = "beside"


class Pruned(NamedTuple):
    """A model and the tensors that it refers to."""

    model: bytes
    tensors: dict[str, Tensor]
    """Name -> read-only array, a view of the artifact's bytes."""


def pruned(data: bytes, outputs: Collection[str] = (), split: bool = True, switch: str | None = None) -> Pruned:
    """Keep only some outputs, all by default, of the graph of a serialized ModelProto, and what they need.

    Metadata are left out, and with ``split`` the values of large tensors. With ``switch``, that optional input is true
    for good: onnxruntime then puts the branch that it chooses in place of the choice. The bytes are those that
    `onnx_reader.read_onnx` accepted.
    """
    tensors: dict[str, Tensor] = {}
    parts = []
    for number, value in fields(memoryview(data)):
        if number == MODEL_GRAPH and isinstance(value, memoryview):
            parts.append(field(number, _graph(value, outputs, tensors if split else None, switch)))
        elif number != MODEL_METADATA:
            parts.append(field(number, value))
    return Pruned(b"".join(parts), tensors)


def _graph(graph: memoryview, outputs: Collection[str], tensors: dict[str, Tensor] | None, switch: str | None) -> bytes:
    content = list(messages(graph))
    outputs = outputs or [_name(value, _VALUE_NAME) for number, value in content if number == GRAPH_OUTPUT]
    needed, nodes = set(outputs), []
    for node in reversed([value for number, value in content if number == GRAPH_NODE]):
        if not needed.isdisjoint(_strings(node, _NODE_OUTPUT)):
            nodes.append(node)
            needed.update(_used(node))
    parts = [field(GRAPH_NODE, node) for node in reversed(nodes)]
    for number, value in content:
        name = _name(value, _NAME[number]) if number in _NAME else None
        if name is None:
            parts.append(field(number, value) if number != GRAPH_NODE else b"")
        elif name == switch:
            parts.append(field(number, _true(value)) if number == GRAPH_INITIALIZER else b"")
        elif name in (outputs if number == GRAPH_OUTPUT else needed):
            parts.append(field(number, _tensor(value, tensors) if number == GRAPH_INITIALIZER else value))
    return b"".join(parts)


def _used(node: memoryview) -> Iterator[str]:
    """Yield the names that a node, and the graphs in it, read."""
    yield from _strings(node, _NODE_INPUT)
    for number, attribute in messages(node):
        if number == NODE_ATTRIBUTE:
            for inner, graph in messages(attribute):
                if inner == ATTRIBUTE_GRAPH:
                    for kind, value in messages(graph):
                        if kind == GRAPH_NODE:
                            yield from _used(value)
                        elif kind == GRAPH_OUTPUT:
                            yield _name(value, _VALUE_NAME)


def _tensor(tensor: memoryview, tensors: dict[str, Tensor] | None) -> bytes | memoryview:
    """Take the values out of a large tensor, if they are to stand beside."""
    content = dict(messages(tensor))
    raw = content.get(TENSOR_RAW, memoryview(b""))
    if tensors is None or len(raw) < LARGE:
        return tensor
    kept = [(number, value) for number, value in fields(tensor) if number != TENSOR_RAW]
    name = text(content.get(TENSOR_NAME))
    tensors[name] = array(name, list(fields(tensor)))
    place = field(1, b"location") + field(2, _NOWHERE.encode())
    return b"".join([*(field(*each) for each in kept), field(TENSOR_EXTERNAL, place), field(TENSOR_LOCATION, 1)])


def _true(tensor: memoryview) -> bytes:
    """Return a boolean scalar with the value true."""
    return b"".join(field(*each) if each[0] != TENSOR_RAW else field(TENSOR_RAW, b"\1") for each in fields(tensor))


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
