"""What the graphs share: appending a node or a constant, and registering a converter."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from onnx import TensorProto, numpy_helper
from skl2onnx import update_registered_converter
from skl2onnx.common.data_types import BooleanTensorType, DoubleTensorType, Int64TensorType

FLOAT, DOUBLE, INT64 = TensorProto.FLOAT, TensorProto.DOUBLE, TensorProto.INT64
VARIABLE_TYPES = {"double": DoubleTensorType, "int64": Int64TensorType, "bool": BooleanTensorType}


class Graph:
    """Appends nodes to the graph that skl2onnx is making; a node is called like a function."""

    def __init__(self, scope: Any, container: Any) -> None:
        self._scope, self._container = scope, container

    def constant(self, name: str, value: npt.NDArray[Any]) -> str:
        """Add an initializer and give its name."""
        unique: str = self._scope.get_unique_variable_name(name)
        tensor = numpy_helper.from_array(np.ascontiguousarray(value))
        self._container.add_initializer(unique, tensor.data_type, list(value.shape), tensor)
        return unique

    def nodes(self, op_type: str, inputs: Sequence[str], outputs: int, **attributes: Any) -> list[str]:
        """Add a node of several outputs and give their names."""
        names = [self._scope.get_unique_variable_name(op_type.lower()) for _ in range(outputs)]
        self._add(op_type, inputs, names, attributes)
        return names

    def node(self, op_type: str, *inputs: str, **attributes: Any) -> str:
        """Add a node of one output and give its name."""
        return self.nodes(op_type, inputs, 1, **attributes)[0]

    def output(self, name: str, op_type: str, *inputs: str, **attributes: Any) -> None:
        """Add a node whose output is an output of the estimator, of the given full name."""
        self._add(op_type, inputs, [name], attributes)

    def _add(self, op_type: str, inputs: Sequence[str], outputs: list[str], attributes: Any) -> None:
        name = self._scope.get_unique_operator_name(op_type)
        self._container.add_node(op_type, list(inputs), outputs, name=name, **attributes)

    def reduce_last(self, op_type: str, values: str, keepdims: int = 1) -> str:
        """Reduce over the last axis, which is an attribute of the node or, since opset 18, an input."""
        if self._container.target_opset < 18:
            return self.node(op_type, values, axes=[-1], keepdims=keepdims)
        return self.node(op_type, values, self.constant("last_axis", np.array([-1])), keepdims=keepdims)

    def squared_norm(self, vectors: str, keepdims: int = 1) -> str:
        """Sum of squares over the last axis."""
        return self.reduce_last("ReduceSumSquare", vectors, keepdims)


def register(
    estimator_class: type,
    outputs: dict[str, str],
    convert: Callable[[Graph, Any, str, dict[str, str]], None],
) -> None:
    """Register a converter with skl2onnx for an estimator, alone or as the last step of a Pipeline.

    Parameters
    ----------
    estimator_class
        The estimator's class.
    outputs
        Output names -> their type, one of ``VARIABLE_TYPES``.
    convert
        Called with the graph, the fitted estimator, the name of the float64 features, and the full
        name of each output.
    """
    alias = f"Modelpick{estimator_class.__name__}"

    def parse(scope: Any, estimator: Any, inputs: Any, custom_parsers: Any = None) -> Any:
        operator = scope.declare_local_operator(alias, estimator)
        operator.inputs = inputs
        for name, kind in outputs.items():
            operator.outputs.append(scope.declare_local_variable(name, VARIABLE_TYPES[kind]()))
        return operator.outputs

    def shape(operator: Any) -> None:
        width = operator.inputs[0].type.shape[1]
        expected = operator.raw_operator.n_features_in_
        if width is not None and width != expected:
            raise ValueError(f"expected {expected} features, got {width}")

    def convert_operator(scope: Any, operator: Any, container: Any) -> None:
        graph = Graph(scope, container)
        features = graph.node("Cast", operator.inputs[0].full_name, to=DOUBLE)
        names = {output.raw_name: output.full_name for output in operator.outputs}
        convert(graph, operator.raw_operator, features, names)

    update_registered_converter(estimator_class, alias, shape, convert_operator, parser=parse)
