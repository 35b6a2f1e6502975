"""The one builder of ONNX graphs: nodes and constants, branches and their outputs.

It appends to a list of nodes and a list of initializers. For an estimator, skl2onnx makes a graph from the lists, see
`exporting`; for an encoder, the lists belong to the graph of its folder.
"""

from collections.abc import Mapping, MutableSequence, Sequence
from types import MappingProxyType
from typing import Any, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt
from onnx import NodeProto, TensorProto, helper, numpy_helper

from modelpick.runtime.schema import Input, Output

from .tensors import LARGE, Values, are_single, in_type

FLOAT, DOUBLE = TensorProto.FLOAT, TensorProto.DOUBLE
UINT8, INT64, BOOL = TensorProto.UINT8, TensorProto.INT64, TensorProto.BOOL
# Option of all estimators: a dict that takes the values of large tensors by name, instead of the graph.
LARGE_TENSORS = "large_tensors"
# The opset from which on axes are an input instead of an attribute.
_AXES_ARE_INPUTS = {"ReduceSum": 13, "ReduceL2": 18, "ReduceMax": 18}


class Kind(NamedTuple):
    """The type of an output."""

    element_type: int
    rank: int


KINDS = {
    "float": Kind(FLOAT, 2),
    "double": Kind(DOUBLE, 2),
    "int64": Kind(INT64, 2),
    "bool": Kind(BOOL, 2),
    "index": Kind(INT64, 1),
    "flag": Kind(BOOL, 1),
}


class Names(Protocol):
    """Makes unique names in a graph."""

    def constant(self, hint: str) -> str:
        """Name an initializer."""

    def output(self, op_type: str) -> str:
        """Name an output of a node."""

    def node(self, op_type: str, output: str) -> str:
        """Name a node, given its first output."""


class Graph:
    """Appends nodes and initializers to a graph; a node is added like a call of a function.

    Parameters
    ----------
    nodes, initializers
        Lists to append to.
    opset
        Version of the operators.
    names
        Makes names of nodes and values.
    options
        Options that a caller of the exporter set for an estimator, by name.
    """

    def __init__(
        self,
        nodes: MutableSequence[NodeProto],
        initializers: MutableSequence[TensorProto],
        opset: int,
        names: Names,
        options: Mapping[str, Any] = MappingProxyType({}),
    ) -> None:
        self.proto_nodes, self._initializers, self._opset, self._names = nodes, initializers, opset, names
        self._options = options
        self._large: dict[str, Values] | None = options.get(LARGE_TENSORS)

    def initializer(self, name: str, value: npt.NDArray[Any], dtype: npt.DTypeLike | None = None) -> str:
        """Add an initializer under exactly this name, with the value's type or another, and return the name."""
        values = Values(value, np.dtype(value.dtype if dtype is None else dtype))
        if self._large is not None and len(values) >= LARGE:
            self._large[name] = values
            tensor = values.named(name)
        else:
            tensor = numpy_helper.from_array(in_type(value, values.dtype), name)
        self._initializers.append(tensor)
        return name

    def constant(self, hint: str, value: npt.NDArray[Any], dtype: npt.DTypeLike | None = None) -> str:
        """Add an initializer, with the value's type or another, and return its name: the hint, where it is free.

        This does not use ``add_initializer`` of skl2onnx, which merges equal initializers: some initializers are read
        or overridden by name.
        """
        return self.initializer(self._names.constant(hint), value, dtype)

    def nodes(self, op_type: str, inputs: Sequence[str], outputs: int, *names: str, **attributes: Any) -> list[str]:
        """Add a node with several outputs and return their names; the first name may be given."""
        found = [*names, *(self._names.output(op_type) for _ in range(outputs - len(names)))]
        node = helper.make_node(op_type, inputs, found, self._names.node(op_type, found[0]), **attributes)
        self.proto_nodes.append(node)
        return found

    def node(self, op_type: str, *inputs: str, **attributes: Any) -> str:
        """Add a node with one output and return the output's name."""
        return self.nodes(op_type, inputs, 1, **attributes)[0]

    def output(self, name: str, op_type: str, *inputs: str, **attributes: Any) -> None:
        """Add a node with one output of the given name."""
        self.nodes(op_type, inputs, 1, name, **attributes)

    def branch(self) -> "Graph":
        """Start the graph of a branch of an ``If``, which reads this graph's values, and adds its constants to it."""
        return Graph([], self._initializers, self._opset, self._names, self._options)

    def choose(
        self,
        condition: str,
        outputs: Sequence[str],
        kinds: Sequence[str],
        then_branch: tuple["Graph", list[str]],
        else_branch: tuple["Graph", list[str]],
    ) -> None:
        """Add an ``If`` with outputs of the given kinds; each branch comes with the names of its results."""
        branches = {}
        for name, (branch, results) in (("then_branch", then_branch), ("else_branch", else_branch)):
            infos = [
                helper.make_tensor_value_info(result, KINDS[kind].element_type, [None] * KINDS[kind].rank)
                for result, kind in zip(results, kinds, strict=True)
            ]
            branches[name] = helper.make_graph(branch.proto_nodes, name, [], infos)
        self.nodes("If", [condition], len(outputs), *outputs, **branches)

    def in_float64(
        self, outputs: dict[str, str], kinds: Mapping[str, str], branch: "Graph", results: dict[str, str]
    ) -> None:
        """Add the `optional_branch` that computes in float64 unless a caller overrides `Input.REFINE` with false."""
        self.optional_branch(Input.REFINE, True, outputs, kinds, branch, results)

    def optional_branch(
        self,
        wanted: str,
        default: bool,
        outputs: dict[str, str],
        kinds: Mapping[str, str],
        branch: "Graph",
        results: dict[str, str],
    ) -> None:
        """Add a branch that is run where an initializer, which a caller may override, is true.

        Parameters
        ----------
        wanted, default
            Name of the initializer, and its value.
        outputs, kinds
            Output names -> their full names, and their types.
        branch, results
            The branch, and output names -> its results. Where the branch is not run, these outputs are empty.
        """
        empty = self.branch()
        of_results = [kinds[name] for name in results]
        nothing = {kind: empty.node("Identity", empty.nothing(KINDS[kind])) for kind in dict.fromkeys(of_results)}
        self.choose(
            self.constant(wanted, np.array(default)),
            [outputs[name] for name in results],
            of_results,
            (branch, list(results.values())),
            (empty, [nothing[kind] for kind in of_results]),
        )

    def nothing(self, kind: Kind) -> str:
        """Add an initializer without values."""
        return self.constant("empty", np.empty((0,) * kind.rank, helper.tensor_dtype_to_np_dtype(kind.element_type)))

    def argmax_with_margin(self, scores: str, count: int, largest: int, margin: str, outputs: dict[str, str]) -> None:
        """Output the best of scores, (b, count), as `Output.CANDIDATE`, and whether it is proven, as `Output.CERTAIN`.

        Parameters
        ----------
        scores, count
            Name of the scores, and their number for a query.
        largest
            1 where the largest score is the best, 0 where the lowest is.
        margin
            Name of the margin by which the best must differ from the second to be proven, float64, (b,).
        """
        if count == 1:
            self.output(outputs[Output.CANDIDATE], "ArgMax", scores, axis=1, keepdims=0)
            self.output(outputs[Output.CERTAIN], "Equal", margin, margin)
            return
        two = self.constant("two", np.array([2]))
        values, places = self.nodes("TopK", [scores, two], 2, axis=1, largest=largest, sorted=1)
        first, second = (self.constant("place", np.array(place)) for place in range(2))
        best, next_best = (self.node("Gather", values, place, axis=1) for place in (first, second))
        apart = self.node("Abs", self.node("Sub", best, next_best))
        self.output(outputs[Output.CANDIDATE], "Gather", places, first, axis=1)
        self.output(outputs[Output.CERTAIN], "Greater", self.node("Cast", apart, to=DOUBLE), margin)

    def option(self, name: str, default: str) -> str:
        """Return an option that the caller of skl2onnx may have set for the estimator."""
        return str(self._options.get(name, default))

    def stored_exactly(self, name: str, values: npt.NDArray[np.float64]) -> str:
        """Add an initializer of float32 where float32 holds each value exactly, else of float64."""
        return self.constant(name, values, np.float32 if are_single(values) else np.float64)

    def in_float32(self, name: str, values: npt.NDArray[Any]) -> str:
        """Add an initializer of float32 with the values rounded, or infinity where they overflow."""
        return self.constant(name, values, np.float32)

    def single_number(self, value: float) -> str:
        """Add a number in float32."""
        return self.in_float32("number", np.array(value))

    def reduced(self, op_type: str, vectors: str, axis: int = -1, keepdims: int = 1) -> str:
        """Reduce along the last axis: -1, or its number."""
        if self._opset >= _AXES_ARE_INPUTS[op_type]:
            return self.node(op_type, vectors, self.constant("last_axis", np.array([axis])), keepdims=keepdims)
        return self.node(op_type, vectors, axes=[axis], keepdims=keepdims)

    def squared_norm(self, vectors: str, keepdims: int = 1) -> str:
        """Sum of squares over the last axis; faster than ``ReduceSumSquare``."""
        return self.reduced("ReduceSum", self.node("Mul", vectors, vectors), keepdims=keepdims)

    def largest(self, vectors: str) -> str:
        """Largest absolute value over the last axis, which is kept."""
        return self.reduced("ReduceMax", self.node("Abs", vectors))
