"""8-bit weights, by onnxruntime's dynamic quantisation."""

import logging
import tempfile
from pathlib import Path

import onnx
from onnx import ModelProto, TensorProto

from modelpick.runtime import DocumentError

from .folder import FLOAT16, INT8
from .tensors import hoist

FLOAT32 = "float32"


def quantised(model: ModelProto) -> ModelProto:
    """Store the weights of matrix products and look-ups in 8 bits, about a quarter of their size.

    Weights are unsigned, since signed ones saturate on processors without VNNI. Each column has a scale of its own; one
    scale for a matrix would lose four times as much. In each run, activations are scaled to 8 bits by their largest
    value.

    Raises
    ------
    DocumentError
        When the weights already have another type, or onnxruntime cannot quantise the graph.
    """
    from onnxruntime.quantization import QuantType, quantize_dynamic

    if weights_type(model) != FLOAT32:
        raise DocumentError(f"expected weights in {FLOAT32} to store them in 8 bits, got {weights_type(model)}")

    with tempfile.TemporaryDirectory(prefix="modelpick-") as folder:
        target = Path(folder) / "quantised.onnx"
        silenced = logging.root.manager.disable
        logging.disable(logging.WARNING)  # it recommends steps that are for convolutions
        try:
            quantize_dynamic(
                model, target, weight_type=QuantType.QUInt8, per_channel=True, use_external_data_format=True
            )
        except Exception as cause:  # onnxruntime's errors have no common base
            raise DocumentError(f"cannot be stored in 8 bits: {str(cause).splitlines()[0]}") from None
        finally:
            logging.disable(silenced)
        smaller = onnx.load(str(target))
    hoist(smaller.graph)
    return smaller


def weights_type(model: ModelProto) -> str:
    """Return the type of the weights, which the runtime needs to know: a graph may already have 8-bit weights."""
    if any(node.op_type == "DynamicQuantizeLinear" for node in model.graph.node):
        return INT8
    sizes = {TensorProto.FLOAT: 0, TensorProto.FLOAT16: 0}
    for tensor in model.graph.initializer:
        if tensor.data_type in sizes:
            sizes[tensor.data_type] += len(tensor.raw_data)
    return FLOAT16 if sizes[TensorProto.FLOAT16] > sizes[TensorProto.FLOAT] else FLOAT32
