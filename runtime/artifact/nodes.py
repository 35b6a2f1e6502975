"""The nodes of a serialized ONNX graph, and what they make of a tensor."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from .onnx_reader import ATTRIBUTE_GRAPH, GRAPH_NODE, GRAPH_OUTPUT, NODE_ATTRIBUTE, fields, messages, text

FLOAT, DOUBLE = 1, 11
_INPUT, _OUTPUT, _KIND = 1, 2, 4
_ATTRIBUTE_NAME, _ATTRIBUTE_INTEGER, _VALUE_NAME = 1, 3, 1


class Node(NamedTuple):
    """A node; or the end of a graph, which reads the graph's outputs."""

    inputs: list[str]
    outputs: list[str]
    kind: str = ""
    """Its operator."""
    to: object = None
    """Type of the elements that a ``Cast`` makes."""


def nodes_within(node: memoryview) -> Iterator[Node]:
    """Yield a node, and those of the graphs in it."""
    inputs, outputs, kind, to = [], [], "", None
    for number, value in messages(node):
        if number == _INPUT:
            inputs.append(text(value))
        elif number == _OUTPUT:
            outputs.append(text(value))
        elif number == _KIND:
            kind = text(value)
        elif number == NODE_ATTRIBUTE:
            content = dict(fields(value))
            if text(content.get(_ATTRIBUTE_NAME)) == "to":
                to = content.get(_ATTRIBUTE_INTEGER)
            graph = content.get(ATTRIBUTE_GRAPH)
            if isinstance(graph, memoryview):
                yield from _nodes_of(graph)
    yield Node(inputs, outputs, kind, to)


def _nodes_of(graph: memoryview) -> Iterator[Node]:
    outputs = []
    for number, value in messages(graph):
        if number == GRAPH_NODE:
            yield from nodes_within(value)
        elif number == GRAPH_OUTPUT:
            outputs.append(text(dict(messages(value)).get(_VALUE_NAME)))
    yield Node(outputs, [])


def are_read_in_float32(tensor: str, nodes: Sequence[Node]) -> bool:
    """Return whether all nodes that read a tensor, or only some of its rows, make float32 of these."""
    for node in nodes:
        if tensor in node.inputs:
            is_cast = node.kind == "Cast" and node.to == FLOAT
            if not is_cast and not (node.kind == "Gather" and are_read_in_float32(node.outputs[0], nodes)):
                return False
    return True
