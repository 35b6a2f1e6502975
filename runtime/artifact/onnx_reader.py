"""The gate before onnxruntime: a file is read and checked as a whole, and onnxruntime gets a newly written copy of it.

onnxruntime trusts a file more than a service may: it reads other files that a tensor refers to, and some operators stop
the process. Sessions are opened only of a `Model`, which only this module makes.
"""

from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from math import prod
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from ..schema import PREFIX, EncoderEntry, Stored, Table, names
from .messages import AttributeProto, GraphProto, ModelProto, NodeProto, TensorProto, ValueInfoProto
from .operators import (
    ARTIFACT,
    ATTRIBUTES,
    CONSTANT,
    COUNTS,
    DIVIDES,
    DOUBLE,
    DTYPES,
    ENCODER,
    FLOAT,
    FLOAT16,
    INT64,
    LAST_AXIS,
    MAY_LACK,
    REAL,
    SCALAR,
    STRING,
    Attribute,
)
from .protobuf import MalformedError, decode, varints

Tensor = npt.NDArray[Any]
# Domains of ONNX's own operators.
_OWN = {None, "", "ai.onnx"}
_DEEPEST, _MOST_DIMS, _MOST_VALUES = 4, 8, 2**31
# Tensors of an artifact that may hold NaN or infinity: outcomes that are not known, bounds where nothing is proven,
# and tensors that the JSON model gives. All other tensors may only overflow in float32.
_UNKNOWN, _UNPROVEN = {Table.OUTCOMES, Table.MEAN_OUTCOMES, "intercept"}, {Table.MARGIN, Table.COARSE_MARGIN}
_GIVEN = {*names(Stored), Table.ROW_QUALITY, Table.ROW_SPEED, Table.CENTER, Table.FACTOR, Table.OFFSETS, Table.SCORES}
_GIVEN |= {Table.COARSE_MEANS, Table.FINE_SUMS, Table.FINE_COUNTS, Table.LATENCIES}
# The fields of a tensor whose values are not raw.
_TYPED = ("float_data", "int32_data", "int64_data", "double_data")
_FIELDS = {FLOAT: "float_data", INT64: "int64_data", DOUBLE: "double_data"}
_MOST_TYPED = 2**20
# Number of values that are checked at once.
_AT_ONCE = 2**16


class _Value(NamedTuple):
    """A value within a graph."""

    type: int
    """Type of its elements; 0 where it is not known."""
    constant: Tensor | None = None


_NOTHING = _Value(0)


class Model:
    """An ONNX file that may be run: it has only known operators and fields, and needs no other file.

    Parameters
    ----------
    data
        Its bytes.

    Attributes
    ----------
    properties
        Its metadata.
    tensors
        Its initializers by their names, read-only: views of the bytes.
    graph, proto
        The graph, and the message that is written for onnxruntime.

    Raises
    ------
    MalformedError
        When the bytes are not an ONNX file, or hold a graph that must not be run.
    """

    def __init__(self, data: bytes) -> None:
        proto = decode(ModelProto, data)
        self.properties = {entry.key or "": entry.value or "" for entry in proto.metadata_props}
        if len(self.properties) < len(proto.metadata_props):
            raise MalformedError("it has a metadata entry twice")
        if proto.graph is None:
            raise MalformedError("it has no graph")
        # Exporters declare other domains without using them: no operator is of another domain.
        proto.opset_import = [opset for opset in proto.opset_import if opset.domain in _OWN]
        gate = _Gate(PREFIX + EncoderEntry.VERSION in self.properties)
        gate.check(proto.graph, 0)
        self.proto, self.graph, self.tensors = proto, proto.graph, gate.tensors


class _Gate:
    """Checks graphs, which may have more operators where they are of encoders."""

    def __init__(self, is_encoder: bool) -> None:
        self.tensors: dict[str, Tensor] = {}
        self._values: dict[str, _Value] = {}  # in sight
        self._operators, self._is_encoder = ENCODER if is_encoder else ARTIFACT, is_encoder

    def check(self, graph: GraphProto, depth: int) -> list[int]:
        """Check a graph within the values in scope, and return the types of its outputs.

        Each name must be defined exactly once. Nodes are sorted topologically.
        """
        if depth > _DEEPEST:
            raise MalformedError("its graphs are nested too deep")
        outside = len(self._values)
        # skl2onnx leaves the names of classes behind, which nothing reads.
        graph.initializer = [tensor for tensor in graph.initializer if tensor.data_type != STRING]
        for tensor in graph.initializer:
            _make_raw(tensor)
            stored = array(tensor)
            if not self._is_encoder and not _are_numbers(tensor.name, stored):
                raise MalformedError(f"its tensor {tensor.name!r:.80} holds what is no finite number")
            self._give(tensor.name, _Value(tensor.data_type or 0, stored))
            if not depth:
                self.tensors[tensor.name or ""] = stored
        for entry in graph.input:
            kind = _type_of(entry)
            stands = self._values.pop(entry.name or "", None)  # an initializer that a caller may override
            if depth or (stands is not None and (stands.constant is None or stands.type != kind)):
                raise MalformedError(f"its input {entry.name!r:.80} is of another type, or not expected")
            self._give(entry.name, _Value(kind))
        graph.node = _in_order(graph.node)
        for node in graph.node:
            self._check_node(node, depth)
        for entry in graph.output:
            if entry.type is not None:
                _type_of(entry)
        types = [self._taken(entry.name).type for entry in graph.output]
        while len(self._values) > outside:
            self._values.popitem()
        return types

    def _check_node(self, node: NodeProto, depth: int) -> None:
        operator = self._operators.get(node.op_type or "") if node.domain in _OWN else None
        if operator is None:
            raise MalformedError(f"it has the operator {node.op_type!r:.80}, which is none of an artifact's")
        _check_text(node.name)
        node.domain = None
        empty = {place for names in (node.input, node.output) for place, name in enumerate(names) if not name}
        if not empty <= MAY_LACK.get(node.op_type or "", frozenset()) or not node.output:
            raise MalformedError(f"its operator {node.op_type} lacks an input or output")
        inputs = [self._taken(name) if name else _NOTHING for name in node.input]
        attributes: dict[str | None, AttributeProto] = {one.name: one for one in node.attribute}
        if len(attributes) < len(node.attribute) or not attributes.keys() <= operator.attributes:
            raise MalformedError(f"its operator {node.op_type} has attributes that are not expected")
        for one in node.attribute:
            _check_attribute(one, ATTRIBUTES[one.name or ""])
        branches = [self.check(one.g, depth + 1) for one in node.attribute if one.g is not None]
        _refuse_traps(node, inputs)
        for place, name in enumerate(node.output):
            kind = operator.makes[min(place, len(operator.makes) - 1)]
            if kind < 0:
                kind = inputs[-kind - 1].type if -kind <= len(inputs) else 0
            elif node.op_type == "Cast" and "to" in attributes:
                kind = _element_type(attributes["to"].i)
            elif branches and place < len(branches[0]):
                kind = branches[0][place]
            if name:
                self._give(name, _Value(kind, _constant(node)))

    def _give(self, name: str | None, value: _Value) -> None:
        _check_text(name)
        if not name or name in self._values:
            raise MalformedError(f"its name {name!r:.80} is given twice, or none")
        self._values[name] = value

    def _taken(self, name: str | None) -> _Value:
        found = self._values.get(name or "")
        if found is None:
            raise MalformedError(f"its name {name!r:.80} is read before it is given")
        return found


def _refuse_traps(node: NodeProto, inputs: list[_Value]) -> None:
    """Refuse nodes that stop the process in some version of onnxruntime, see `CONSTANT`, `LAST_AXIS`, `DIVIDES`."""
    kind, constants = node.op_type or "", [value.constant for value in inputs]
    if kind in DIVIDES | COUNTS and not any(value.type in REAL for value in inputs):
        divisor = constants[1] if kind in DIVIDES and len(constants) > 1 else None
        if divisor is None or np.isin(divisor, (0, -1)).any():
            raise MalformedError(f"its operator {kind} may divide an integer by 0 or -1")
    vectors = [constants[place] for place in CONSTANT.get(kind, ()) if node.input[place : place + 1] not in ([], [""])]
    ranks = (0, 1) if kind in SCALAR else (1,)
    if any(stored is None or stored.ndim not in ranks or not stored.size for stored in vectors):
        raise MalformedError(f"its operator {kind} reads axes or weights that do not stand in the file")
    if kind in LAST_AXIS and any(one.name == "axis" and one.i != -1 for one in node.attribute):
        raise MalformedError(f"its operator {kind} has another axis than the last")


def _constant(node: NodeProto) -> Tensor | None:
    """Return the integers that a ``Constant`` holds."""
    held = [one for one in node.attribute if one.name in ("value_int", "value_ints")]
    return np.array(held[0].ints or held[0].i) if held else None


def _in_order(nodes: list[NodeProto]) -> list[NodeProto]:
    """Sort nodes behind the nodes whose outputs they read: skl2onnx does not look into branches."""
    places = {name: place for place, node in enumerate(nodes) for name in node.output}
    reads = {place: {places[name] for _, name in inputs_of(node) if name in places} for place, node in enumerate(nodes)}
    if all(max(before, default=-1) < place for place, before in reads.items()):
        return nodes
    try:
        return [nodes[place] for place in TopologicalSorter(reads).static_order()]
    except CycleError:
        raise MalformedError("its operators read one another") from None


def inputs_of(node: NodeProto) -> Iterator[tuple[NodeProto, str]]:
    """Yield the names that a node and the graphs in it read, each with its reader, from the last node to the first.

    The outputs of an inner graph are read by the node that holds the graph.
    """
    yield from ((node, name) for name in node.input)
    for graph in (one.g for one in node.attribute if one.g is not None):
        yield from ((node, entry.name or "") for entry in graph.output)
        for inner in reversed(graph.node):
            yield from inputs_of(inner)


def _check_text(text: str | None) -> None:
    """Refuse characters that onnxruntime's messages would carry to a terminal or a log."""
    if text and not text.isprintable():
        raise MalformedError(f"its name {text!r:.80} is not printable")


def _check_attribute(attribute: AttributeProto, held: Attribute) -> None:
    present = {name for name in ("f", "i", "s", "g", "floats", "ints") if getattr(attribute, name) not in (None, [])}
    # A list may be empty.
    if attribute.type != held.type or not present <= {held.field} or getattr(attribute, held.field) is None:
        raise MalformedError(f"its attribute {attribute.name} is of another type")


def _element_type(number: int | None) -> int:
    if number is None or number not in DTYPES:
        raise MalformedError(f"it has values of type {number}, which are none of an artifact's")
    return number


def _type_of(entry: ValueInfoProto) -> int:
    """Return the type of an input or output."""
    tensor = entry.type.tensor_type if entry.type else None
    for dim in tensor.shape.dim if tensor and tensor.shape else ():
        _check_text(dim.dim_param)
    return _element_type(tensor.elem_type if tensor else None)


def array(tensor: TensorProto) -> Tensor:
    """View the values of a tensor."""
    dtype, dims, raw = DTYPES.get(tensor.data_type or 0), tensor.dims, tensor.raw_data or memoryview(b"")
    known = dtype is not None and len(dims) <= _MOST_DIMS and all(dim >= 0 for dim in dims)
    if not known or prod(dim or 1 for dim in dims) > _MOST_VALUES or len(raw) != prod(dims) * int(str(dtype)[-1]):
        raise MalformedError(f"its tensor {tensor.name!r:.80} is of another type or size")
    return np.frombuffer(raw, dtype).reshape(dims)


def _make_raw(tensor: TensorProto) -> None:
    """Move the values of a tensor to the raw field, where most tensors have theirs."""
    present = [name for name in _TYPED if getattr(tensor, name)]
    if not present:
        return
    data_type = tensor.data_type or 0
    if present != [_FIELDS.get(data_type, "int32_data")] or data_type not in DTYPES or tensor.raw_data:
        raise MalformedError(f"its tensor {tensor.name!r:.80} has values of another type")
    values: memoryview = getattr(tensor, present[0])
    if data_type not in (FLOAT, DOUBLE):  # packed numbers; float16 as its bits
        kind = "<u2" if data_type == FLOAT16 else DTYPES[data_type]
        values = memoryview(np.array(varints(bytes(values), _MOST_TYPED), np.int64).astype(kind).tobytes())
    tensor.raw_data = values
    setattr(tensor, present[0], None)


def _are_numbers(name: str | None, values: Tensor) -> bool:
    """Whether a tensor of an artifact holds only finite numbers, or other values that a tensor of its name may hold."""
    if values.dtype.kind != "f" or name in _UNPROVEN:
        return True
    refused = np.isinf if name in _UNKNOWN else np.isnan
    flat = values.reshape(-1)
    for first in range(0, flat.size, _AT_ONCE):
        block = flat[first : first + _AT_ONCE]
        if not np.isfinite(block).all() and (name in _GIVEN or refused(block).any()):
            return False
    return True
