"""The tensors of a folder's graph, which may be in the graph, in its nodes, or in other files of the folder."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from onnx import GraphProto, ModelProto, NodeProto, TensorProto, helper, numpy_helper
from onnx.external_data_helper import uses_external_data

from modelpick.runtime import DocumentError

from ..files.io import reason
from .folder import check_within

Values = npt.NDArray[np.uint8]


def size(tensor: TensorProto) -> int:
    """Return the bytes of a tensor's values, which may be in another file."""
    return int(prod(tensor.dims) * helper.tensor_dtype_to_np_dtype(tensor.data_type).itemsize)


def take_in(model: ModelProto, read: Callable[[TensorProto], Values]) -> None:
    """Put external values into the tensors."""
    for tensor in external_tensors(model.graph.node, model.graph.initializer):
        _take_in(tensor, read)


def outside(model: ModelProto, read: Callable[[TensorProto], Values]) -> Mapping[str, npt.NDArray[Any]]:
    """Return name -> values of external initializers, and put external values of inner graphs into their tensors."""
    values = {}
    for tensor in model.graph.initializer:
        if uses_external_data(tensor):
            kind = helper.tensor_dtype_to_np_dtype(tensor.data_type)
            values[tensor.name] = read(tensor).view(kind).reshape(tensor.dims)
    for tensor in external_tensors(model.graph.node, ()):
        _take_in(tensor, read)
    return values


def external_tensors(nodes: Iterable[NodeProto], initializers: Iterable[TensorProto]) -> Iterator[TensorProto]:
    """Yield the tensors whose values are in other files, also within nodes and inner graphs."""
    yield from filter(uses_external_data, initializers)
    for node in nodes:
        for attribute in node.attribute:
            yield from filter(uses_external_data, [attribute.t, *attribute.tensors])
            graphs: list[GraphProto] = [attribute.g, *attribute.graphs]
            for graph in graphs:
                yield from external_tensors(graph.node, graph.initializer)


def reader(folder: Path, file: Path) -> Callable[[TensorProto], Values]:
    """Return a function that reads the values of external tensors from files within the folder.

    Links are followed where `check_within` allows it; onnx and onnxruntime follow none.
    """

    def read(tensor: TensorProto) -> Values:
        entries = {entry.key: entry.value for entry in tensor.external_data}
        place = f"{file}: {tensor.name}"
        try:
            source = file.parent / entries["location"]
            offset, length = int(entries.get("offset") or 0), int(entries.get("length") or size(tensor))
            check_within(folder, file, source)
            if offset < 0 or length != size(tensor):
                raise DocumentError(f"{place}: expected {size(tensor)} bytes of external data, got {length}")
            if not length:
                return np.zeros(0, np.uint8)
            return np.memmap(source.resolve(), np.uint8, "r", offset, (length,))
        except DocumentError:
            raise
        except OSError as cause:
            raise DocumentError(f"{place}: cannot be read: {source.name}: {reason(cause)}") from None
        except (KeyError, ValueError, OverflowError):
            raise DocumentError(
                f"{place}: expected external data in a file next to it, which holds all values"
            ) from None

    return read


def _take_in(tensor: TensorProto, read: Callable[[TensorProto], Values]) -> None:
    tensor.raw_data = read(tensor).tobytes()
    tensor.ClearField("external_data")
    tensor.ClearField("data_location")


def hoist(graph: GraphProto) -> None:
    """Turn the tensors that nodes hold, also in inner graphs, into initializers with their values in the graph.

    The runtime refuses nodes that hold tensors, whose values might be in another file.
    """
    for tensor in graph.initializer:
        tensor.ClearField("data_location")  # says that it is here, once external data were read
    nodes = list(graph.node)
    del graph.node[:]
    for node in nodes:
        for attribute in node.attribute:
            if attribute.HasField("g"):
                hoist(attribute.g)
        value = next((one.t for one in node.attribute if one.name == "value" and one.HasField("t")), None)
        if value is None:
            graph.node.append(node)
        elif node.op_type == "Constant":
            graph.initializer.append(numpy_helper.from_array(numpy_helper.to_array(value), node.output[0]))
        else:  # ConstantOfShape, the only other operator with such a tensor
            filler = f"{node.output[0]}_value"
            graph.initializer.append(numpy_helper.from_array(numpy_helper.to_array(value).reshape(()), filler))
            graph.node.append(helper.make_node("Expand", [filler, node.input[0]], node.output, node.name))
