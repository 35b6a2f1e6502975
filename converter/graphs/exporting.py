"""The link between the builder and skl2onnx, which exports estimators: registration, names, and the order of nodes."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from onnx import GraphProto, NodeProto, helper
from skl2onnx import update_registered_converter
from skl2onnx.common.data_types import BooleanTensorType, DoubleTensorType, FloatTensorType, Int64TensorType

from .builder import BOOL, DOUBLE, FLOAT, INT64, KINDS, LARGE_TENSORS, Graph

_VARIABLES: Mapping[int, Any] = {
    FLOAT: FloatTensorType,
    DOUBLE: DoubleTensorType,
    INT64: Int64TensorType,
    BOOL: BooleanTensorType,
}
# An operator that makes an ``If`` wait for a value that only nodes of its branches read.
_WAIT = "CastLike"


class _ScopeNames:
    """Names that skl2onnx makes, in its scope."""

    def __init__(self, scope: Any) -> None:
        self._scope = scope

    def constant(self, hint: str) -> str:
        name: str = self._scope.get_unique_variable_name(hint)
        return name

    def output(self, op_type: str) -> str:
        return self.constant(op_type.lower())

    def node(self, op_type: str, output: str) -> str:
        name: str = self._scope.get_unique_operator_name(op_type)
        return name


def register(
    estimator_class: type,
    outputs: Mapping[str, str] | Callable[[Any], Mapping[str, str]],
    convert: Callable[[Graph, Any, str, dict[str, str]], None],
    options: Mapping[str, list[str]] | None = None,
) -> None:
    """Register a converter with skl2onnx for an estimator, alone or as the last step of a Pipeline.

    Parameters
    ----------
    estimator_class
        The estimator's class.
    outputs
        Output names -> their type, one of ``KINDS``; or returns them for a fitted estimator.
    convert
        Called with the graph, the fitted estimator, the name of the float64 features, and the full
        name of each output.
    options
        Options that a caller of skl2onnx may set for an estimator, in addition to `LARGE_TENSORS` -> their values.
    """
    alias = f"Modelpick{estimator_class.__name__}"

    def parse(scope: Any, estimator: Any, inputs: Any, custom_parsers: Any = None) -> Any:
        operator = scope.declare_local_operator(alias, estimator)
        operator.inputs = inputs
        for name, kind in (outputs(estimator) if callable(outputs) else outputs).items():
            shape = [None] * KINDS[kind].rank
            operator.outputs.append(scope.declare_local_variable(name, _VARIABLES[KINDS[kind].element_type](shape)))
        return operator.outputs

    def shape(operator: Any) -> None:
        width = operator.inputs[0].type.shape[1]
        expected = operator.raw_operator.n_features_in_
        if width is not None and width != expected:
            raise ValueError(f"expected {expected} features, got {width}")

    def convert_operator(scope: Any, operator: Any, container: Any) -> None:
        names, options = _ScopeNames(scope), container.get_options(operator.raw_operator, {})
        graph = Graph([], container.initializers, container.target_opset, names, options)
        features = operator.inputs[0].full_name
        if not isinstance(operator.inputs[0].type, DoubleTensorType):
            features = graph.node("Cast", features, to=DOUBLE)
        full_names = {output.raw_name: output.full_name for output in operator.outputs}
        convert(graph, operator.raw_operator, features, full_names)
        for node in _waiting(graph.proto_nodes, names):
            attributes = {one.name: helper.get_attribute_value(one) for one in node.attribute}
            container.add_node(node.op_type, [*node.input], [*node.output], name=node.name, **attributes)

    update_registered_converter(
        estimator_class, alias, shape, convert_operator, parser=parse, options={**(options or {}), LARGE_TENSORS: None}
    )


def _waiting(nodes: Iterable[NodeProto], names: _ScopeNames) -> list[NodeProto]:
    """Let each ``If`` wait for the values that its branches read: skl2onnx sorts nodes by their own inputs only."""
    waiting = Graph([], [], 0, names)
    made: set[str] = set()
    for node in nodes:
        if node.op_type == "If":
            awaited = sorted(made & set().union(*(_read_in(one.g) for one in node.attribute)))
            for value in awaited:
                node.input[0] = waiting.node(_WAIT, node.input[0], value)
            if awaited:
                node.input[0] = waiting.node("Cast", node.input[0], to=BOOL)
        waiting.proto_nodes.append(node)
        made.update(node.output)
    return list(waiting.proto_nodes)


def _read_in(graph: GraphProto) -> set[str]:
    """Return the names that a branch reads."""
    names = {one.name for one in graph.output}
    for node in graph.node:
        names.update(node.input, *(_read_in(one.g) for one in node.attribute if one.HasField("g")))
    return names


def drop_waiting(graph: GraphProto) -> None:
    """Let each ``If`` read its condition directly, once nodes are in order.

    Where a condition is constant, onnxruntime then replaces the ``If`` by its branch.
    """
    conditions: dict[str, str] = {}
    kept = []
    for node in graph.node:
        if node.op_type == _WAIT or (node.op_type == "Cast" and node.input[0] in conditions):
            conditions[node.output[0]] = conditions.get(node.input[0], node.input[0])
            continue
        if node.op_type == "If":
            node.input[0] = conditions.get(node.input[0], node.input[0])
        kept.append(node)
    del graph.node[:]
    graph.node.extend(kept)
