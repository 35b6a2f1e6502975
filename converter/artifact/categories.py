"""The category classifier: its scikit-learn estimator, rebuilt, and the ONNX graph that stands in an artifact."""

import numpy as np
from onnx import ModelProto
from skl2onnx import to_onnx
from skl2onnx.common.data_types import DoubleTensorType
from skl2onnx.helpers.onnx_helper import select_model_inputs_outputs
from sklearn.linear_model import LogisticRegression

from modelpick.runtime.schema import EncoderPort, Output

from ..formats.categories import CategoryClassifier


def build_classifier(classifier: CategoryClassifier) -> LogisticRegression:
    """Rebuild the fitted estimator; ``predict`` returns categories."""
    estimator = LogisticRegression()
    estimator.classes_ = np.array(classifier.classes)
    estimator.coef_, estimator.intercept_ = np.array(classifier.coef), np.array(classifier.intercept)
    estimator.n_features_in_ = estimator.coef_.shape[1]
    return estimator


def to_graph(estimator: LogisticRegression, target_opset: int) -> bytes:
    """Export the estimator: embeddings, float64, (b, e) -> the score of each class, float64, (b, n).

    The highest is picked. skl2onnx computes float64 by operators of ONNX itself; what makes labels of the scores, by
    those of a domain of its own, is cut off.
    """
    model: ModelProto = to_onnx(
        estimator,
        initial_types=[(EncoderPort.EMBEDDING, DoubleTensorType([None, estimator.n_features_in_]))],
        target_opset={"": target_opset, "ai.onnx.ml": 1},
        name="categories",
        options={id(estimator): {"zipmap": False, "raw_scores": True}},
    )
    scores = model.graph.output[1].name
    cut = select_model_inputs_outputs(model, outputs=[scores])
    for node in cut.graph.node:
        node.output[:] = [Output.SCORE if name == scores else name for name in node.output]
    cut.graph.output[0].name = Output.SCORE
    data: bytes = cut.SerializeToString(deterministic=True)
    return data
