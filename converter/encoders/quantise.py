"""8-bit weights, by onnxruntime's dynamic quantisation."""

import logging
import tempfile
from pathlib import Path

import onnx
from onnx import ModelProto

from modelpick.runtime import DocumentError

from .hoisting import hoist


def quantised(model: ModelProto) -> ModelProto:
    """Store the weights of matrix products and look-ups in 8 bits, about a quarter of their size.

    Unsigned, as signed ones saturate on processors without VNNI; a scale a column, as one a matrix loses four times as
    much. What is multiplied by them is scaled to 8 bits in each run, by its largest value there.

    Raises
    ------
    DocumentError
        When onnxruntime cannot do that with the graph.
    """
    from onnxruntime.quantization import QuantType, quantize_dynamic

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
