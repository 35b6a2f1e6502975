"""Offline: JSON model -> checked document -> scikit-learn estimator -> ONNX artifact."""

from .artifact import convert, to_artifact
from .compat import KMeansSelector, KNNSelector, SVMSelector
from .documents import DocumentWarning, load_document
from .estimators import build_estimator

__all__ = [
    "DocumentWarning",
    "KMeansSelector",
    "KNNSelector",
    "SVMSelector",
    "build_estimator",
    "convert",
    "load_document",
    "to_artifact",
]
