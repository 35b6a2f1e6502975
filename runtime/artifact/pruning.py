"""An ONNX model reduced to the nodes that some of its outputs need, with its large tensors kept outside of it."""

from collections.abc import Collection, Set
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from .messages import ExternalTensorProto, NodeProto, StringStringEntryProto, TensorProto, ValueInfoProto
from .onnx_reader import Model, Tensor, array, inputs_of
from .operators import DOUBLE, FLOAT
from .protobuf import encode

# Smaller tensors stay: onnxruntime reads shapes and numbers of nodes when it opens a session.
LARGE = 2**14
_OUTSIDE = StringStringEntryProto("location", "outside")


class Pruned(NamedTuple):
    """A model and the tensors that it refers to."""

    model: bytes
    tensors: dict[str, Tensor]
    """Name -> array: a view of the artifact's bytes; or float32, where all that reads float64 makes that of it."""


def pruned(
    model: Model,
    outputs: Collection[str] = (),
    split: bool = True,
    enables: str | None = None,
    single: bool = False,
) -> Pruned:
    """Write only some outputs of a model, all by default, and what they need.

    Parameters
    ----------
    model
        The model.
    outputs
        Names of the outputs.
    split
        Whether the values of large tensors are left out. Metadata always are.
    enables
        Name of an optional input that becomes true: onnxruntime then puts the branch that it enables in place of the
        choice.
    single
        Whether inputs become float32 where they are float64: nodes cast them to float32 in any case.
    """
    graph = model.graph
    outputs = outputs or [str(entry.name) for entry in graph.output]
    needed, kept = set(outputs), []
    wide = set(outputs)  # what is read in another way than made float32
    for node in reversed(graph.node):
        if not needed.isdisjoint(node.output):
            kept.append(node)
            for reader, name in inputs_of(node):
                needed.add(name)
                if not _is_narrow(reader, wide):
                    wide.add(name)
    tensors: dict[str, Tensor] = {}
    initializers = []
    for tensor in graph.initializer:
        if tensor.name == enables:
            tensor = replace(tensor, raw_data=memoryview(b"\1"))
        elif tensor.name not in needed:
            continue
        elif split and len(tensor.raw_data or b"") >= LARGE:
            tensor, tensors[str(tensor.name)] = _beside(tensor, tensor.name not in wide)
        initializers.append(tensor)
    inputs = [_single(entry) if single else entry for entry in graph.input if entry.name in needed - {enables}]
    cut = replace(
        graph,
        node=kept[::-1],
        initializer=initializers,
        input=inputs,
        output=[entry for entry in graph.output if entry.name in outputs],
    )
    return Pruned(b"".join(encode(replace(model.proto, graph=cut, metadata_props=[]))), tensors)


def _is_narrow(node: NodeProto, wide: Set[str]) -> bool:
    """Return whether a node makes float32 of what it reads, or takes rows of it that are not wide by what follows."""
    is_cast = node.op_type == "Cast" and any(one.i == FLOAT for one in node.attribute)
    return is_cast or (node.op_type == "Gather" and wide.isdisjoint(node.output))


def _beside(tensor: TensorProto, narrow: bool) -> tuple[ExternalTensorProto, Tensor]:
    """Take the values out of a tensor, in float32 if that is all that is made of them."""
    values, data_type = array(tensor), tensor.data_type
    # Made by onnxruntime, float32 would take three times its memory while the session is opened.
    if narrow and data_type == DOUBLE:
        data_type = FLOAT
        with np.errstate(over="ignore"):
            values = values.astype(np.float32)
    return ExternalTensorProto(tensor.dims, data_type, name=tensor.name, external_data=[_OUTSIDE]), values


def _single(entry: ValueInfoProto) -> ValueInfoProto:
    """Make float32 of float64 in the description of an input."""
    if entry.type is None or entry.type.tensor_type is None or entry.type.tensor_type.elem_type != DOUBLE:
        return entry
    return replace(entry, type=replace(entry.type, tensor_type=replace(entry.type.tensor_type, elem_type=FLOAT)))
