"""The nodes around an encoder's graph: its inputs, and the pooling of the tokens' vectors."""

from typing import Any

import numpy as np
import numpy.typing as npt
from onnx import GraphProto, helper

from modelpick.runtime.schema import EncoderPort

from ..graphs.builder import FLOAT, INT64, Graph
from .folder import Reference

POOLINGS = ("mean", "cls", "last")
# The least divisor, as in torch's normalize and in sentence-transformers' mean.
_LEAST_NORM, _LEAST_COUNT = 1e-12, 1e-9


class _Places:
    """Names values by their position in the graph; digests of encoders depend on these names."""

    def __init__(self, proto: GraphProto) -> None:
        self._proto = proto

    def constant(self, hint: str) -> str:
        return f"pooling/constant_{len(self._proto.initializer)}"

    def output(self, op_type: str) -> str:
        return f"pooling/{op_type}_{len(self._proto.node)}"

    def node(self, op_type: str, output: str) -> str:
        return output


def around(proto: GraphProto, opset: int) -> Graph:
    """Return a builder that appends to an encoder's graph."""
    return Graph(proto.node, proto.initializer, opset, _Places(proto))


def floats(graph: Graph, values: str) -> str:
    """Cast to float32."""
    return graph.node("Cast", values, to=FLOAT)


def number(graph: Graph, value: float, kind: npt.DTypeLike = np.int64) -> str:
    """Add a number."""
    return graph.constant("number", np.array(value, kind))


def add_pooling(graph: Graph, vectors: str, mask: str, pooling: str) -> str:
    """Pool the vectors of the tokens, (b, t, e), to (b, e): a weighted mean.

    For ``mean``, all tokens where the mask is 1 have equal weights; for ``cls`` and ``last``, one token has all weight.
    """
    if pooling != "mean":
        place = graph.node("CumSum", mask, number(graph, 1))
        sought = number(graph, 1) if pooling == "cls" else graph.reduced("ReduceSum", mask, 1)
        found = graph.node("Cast", graph.node("Equal", place, sought), to=INT64)
        mask = graph.node("Mul", mask, found)
    weights = graph.node("Reshape", floats(graph, mask), graph.constant("row", np.array([0, 1, -1])))
    count = graph.node("Max", graph.reduced("ReduceSum", weights, 2), number(graph, _LEAST_COUNT, np.float32))
    mean = graph.node("Div", graph.node("MatMul", weights, vectors), count)
    return graph.node("Reshape", mean, graph.constant("vector", np.array([0, -1])))


def add_output(graph: Graph, proto: GraphProto, embedding: str, normalised: bool) -> None:
    """Make the graph's output of an embedding, (b, e)."""
    if normalised:
        norm = graph.node("Max", graph.reduced("ReduceL2", embedding, 1), number(graph, _LEAST_NORM, np.float32))
        graph.output(EncoderPort.EMBEDDING, "Div", embedding, norm)
    else:
        graph.output(EncoderPort.EMBEDDING, "Identity", embedding)
    del proto.output[:]
    proto.output.append(helper.make_tensor_value_info(EncoderPort.EMBEDDING, FLOAT, ["batch", "columns"]))


def add_inputs(proto: GraphProto) -> None:
    """Set the inputs of the graph: tokens and their mask."""
    del proto.input[:]
    for name in (EncoderPort.IDS, EncoderPort.MASK):
        proto.input.append(helper.make_tensor_value_info(name, INT64, ["batch", "tokens"]))


def pool(vectors: npt.NDArray[Any], pooling: str) -> Reference:
    """Pool the vectors of one text's tokens, (t, e), by numpy in float64."""
    if not len(vectors):
        return np.zeros(vectors.shape[1])
    vectors = vectors.astype(np.float64)
    pooled: Reference = {"mean": vectors.mean(axis=0), "cls": vectors[0], "last": vectors[-1]}[pooling]
    return pooled


def scale(vector: Reference) -> Reference:
    """Scale a vector to unit length, by numpy in float64; zero stays."""
    scaled: Reference = vector / max(float(np.linalg.norm(vector)), _LEAST_NORM)
    return scaled
