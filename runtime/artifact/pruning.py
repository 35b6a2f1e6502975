"""An ONNX model cut down to what some of its outputs need, with its large tensors beside it instead of in it."""

from collections.abc import Collection, Iterator, Set
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from .messages import ExternalTensorProto, NodeProto, StringStringEntryProto, TensorProto, ValueInfoProto
from .onnx_reader import Model, Tensor, array
from .operators import DOUBLE, FLOAT
from .protobuf import encode

# Smaller tensors stay: onnxruntime reads shapes and numbers of nodes when it opens a session.
LARGE = 2**14
_BESIDE = StringStringEntryProto("location", "beside")


class Pruned(NamedTuple):
    """A model and the tensors that it refers to."""

    model: bytes
    tensors: dict[str, Tensor]
    """Name -> array: a view of the artifact's bytes; or float32, where all that reads float64 makes that of it."""


def pruned(
    model: Model,
    outputs: Collection[str] = (),
    split: bool = True,
    switch: str | None = None,
    single: bool = False,
) -> Pruned:
    """Write only some outputs of a model, all by default, and what they need.

    Metadata are left out, and with ``split`` the values of large tensors. With ``switch``, that optional input is true
    for good: onnxruntime then puts the branch that it chooses in place of the choice. With ``single``, inputs are of
    float32 instead of float64, of which the graph makes that.
    """
    graph = model.graph
    outputs = outputs or [str(entry.name) for entry in graph.output]
    needed, kept = set(outputs), []
    wide = set(outputs)  # what is read in another way than made float32
    for node in reversed(graph.node):
        if not needed.isdisjoint(node.output):
            kept.append(node)
            for name, is_narrow in _reads(node, wide):
                needed.add(name)
                if not is_narrow:
                    wide.add(name)
    tensors: dict[str, Tensor] = {}
    initializers = []
    for tensor in graph.initializer:
        if tensor.name == switch:
            tensor = replace(tensor, raw_data=memoryview(b"\1"))
        elif tensor.name not in needed:
            continue
        elif split and len(tensor.raw_data or b"") >= LARGE:
            tensor, tensors[str(tensor.name)] = _beside(tensor, tensor.name not in wide)
        initializers.append(tensor)
    inputs = [_single(entry) if single else entry for entry in graph.input if entry.name in needed - {switch}]
    cut = replace(
        graph,
        node=kept[::-1],
        initializer=initializers,
        input=inputs,
        output=[entry for entry in graph.output if entry.name in outputs],
    )
    return Pruned(b"".join(encode(replace(model.proto, graph=cut, metadata_props=[]))), tensors)


def _reads(node: NodeProto, wide: Set[str]) -> Iterator[tuple[str, bool]]:
    """Yield what a node and the graphs in it read, from the last node on, and whether only float32 is made of it.

    It is where it is cast to that, or where some of its rows are taken which, by what follows, are not ``wide``.
    """
    is_cast = node.op_type == "Cast" and any(one.i == FLOAT for one in node.attribute)
    is_narrow = is_cast or (node.op_type == "Gather" and not wide & {*node.output})
    yield from ((name, is_narrow and place == 0) for place, name in enumerate(node.input))
    for graph in (one.g for one in node.attribute if one.g is not None):
        yield from ((str(entry.name), False) for entry in graph.output)
        for inner in reversed(graph.node):
            yield from _reads(inner, wide)


def _beside(tensor: TensorProto, narrow: bool) -> tuple[ExternalTensorProto, Tensor]:
    """Take the values out of a tensor, in float32 if that is all that is made of them."""
    values, data_type = array(tensor), tensor.data_type
    # Made by onnxruntime, float32 would take three times its memory while the session is opened.
    if narrow and data_type == DOUBLE:
        data_type = FLOAT
        with np.errstate(over="ignore"):
            values = values.astype(np.float32)
    return ExternalTensorProto(tensor.dims, data_type, name=tensor.name, external_data=[_BESIDE]), values


def _single(entry: ValueInfoProto) -> ValueInfoProto:
    """Make float32 of float64 in the description of an input."""
    if entry.type is None or entry.type.tensor_type is None or entry.type.tensor_type.elem_type != DOUBLE:
        return entry
    return replace(entry, type=replace(entry.type, tensor_type=replace(entry.type.tensor_type, elem_type=FLOAT)))
