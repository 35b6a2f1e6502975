"""Graphs that a function writes by the builder, exported by skl2onnx and run by onnxruntime."""

import onnxruntime
from skl2onnx import to_onnx
from skl2onnx.common.data_types import DoubleTensorType
from sklearn.base import BaseEstimator

from modelpick.converter.graphs.exporting import register


def exported(write, outputs, width):
    """Export an estimator of that many features, whose graph ``write`` adds."""

    class Probe(BaseEstimator):
        n_features_in_ = width

    register(Probe, outputs, lambda graph, _, features, names: write(graph, features, names))
    return to_onnx(Probe(), initial_types=[("features", DoubleTensorType([None, width]))], target_opset={"": 17})


def run(model, features, **given):
    """Run a model, and return its outputs by their names."""
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    return dict(zip(names, session.run(names, {"features": features, **given}), strict=True))
