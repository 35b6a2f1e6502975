"""The end of an encoder's graph: one vector of those of the tokens, scaled to unit length where that is asked."""

from typing import Any

import numpy as np
import numpy.typing as npt
from onnx import GraphProto, TensorProto, helper, numpy_helper

from modelpick.runtime.schema import EncoderPort

from .folder import Reference

POOLINGS = ("mean", "cls", "last")
# As torch's normalize, and sentence-transformers' mean, which divide by no less.
_LEAST_NORM, _LEAST_COUNT = 1e-12, 1e-9
# Opset from which on axes are an input instead of an attribute.
_AXES_ARE_INPUTS = {"ReduceSum": 13, "ReduceL2": 18}


class Tail:
    """Appends nodes to a graph of some opset; a node is called like a function and returns the name of its output."""

    def __init__(self, graph: GraphProto, opset: int) -> None:
        self._graph, self._opset = graph, opset

    def node(self, op_type: str, *inputs: str, named: str | None = None, **attributes: Any) -> str:
        """Add a node of one output, named as given."""
        output = named or f"pooling/{op_type}_{len(self._graph.node)}"
        self._graph.node.append(helper.make_node(op_type, list(inputs), [output], name=output, **attributes))
        return output

    def constant(self, value: npt.ArrayLike, kind: npt.DTypeLike) -> str:
        """Add an initializer."""
        name = f"pooling/constant_{len(self._graph.initializer)}"
        self._graph.initializer.append(numpy_helper.from_array(np.array(value, kind), name))
        return name

    def stored(self, values: npt.NDArray[Any], name: str) -> str:
        """Add an initializer of a name."""
        self._graph.initializer.append(numpy_helper.from_array(values, name))
        return name

    def floats(self, values: str) -> str:
        """Cast to float32."""
        return self.node("Cast", values, to=TensorProto.FLOAT)

    def reduced(self, op_type: str, values: str, axis: int) -> str:
        """Reduce along an axis, which stays."""
        if self._opset >= _AXES_ARE_INPUTS[op_type]:
            return self.node(op_type, values, self.constant([axis], np.int64), keepdims=1)
        return self.node(op_type, values, axes=[axis], keepdims=1)

    def pooled(self, vectors: str, mask: str, pooling: str) -> str:
        """Pool the vectors of the tokens, (b, t, e), to (b, e): a weighted mean.

        Where the mask is 1, all weigh the same for ``mean``, and one of them alone for ``cls`` and ``last``.
        """
        if pooling != "mean":
            place = self.node("CumSum", mask, self.constant(1, np.int64))
            sought = self.constant(1, np.int64) if pooling == "cls" else self.reduced("ReduceSum", mask, 1)
            found = self.node("Cast", self.node("Equal", place, sought), to=TensorProto.INT64)
            mask = self.node("Mul", mask, found)
        weights = self.node("Reshape", self.floats(mask), self.constant([0, 1, -1], np.int64))
        count = self.node("Max", self.reduced("ReduceSum", weights, 2), self.constant(_LEAST_COUNT, np.float32))
        mean = self.node("Div", self.node("MatMul", weights, vectors), count)
        return self.node("Reshape", mean, self.constant([0, -1], np.int64))

    def finished(self, embedding: str, normalised: bool) -> None:
        """Make the graph's output of an embedding, (b, e)."""
        if normalised:
            norm = self.node("Max", self.reduced("ReduceL2", embedding, 1), self.constant(_LEAST_NORM, np.float32))
            self.node("Div", embedding, norm, named=EncoderPort.EMBEDDING)
        else:
            self.node("Identity", embedding, named=EncoderPort.EMBEDDING)
        del self._graph.output[:]
        self._graph.output.append(
            helper.make_tensor_value_info(EncoderPort.EMBEDDING, TensorProto.FLOAT, ["batch", "columns"])
        )


def add_inputs(graph: GraphProto) -> None:
    """Let the graph take tokens and their mask alone."""
    del graph.input[:]
    for name in (EncoderPort.IDS, EncoderPort.MASK):
        graph.input.append(helper.make_tensor_value_info(name, TensorProto.INT64, ["batch", "tokens"]))


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
