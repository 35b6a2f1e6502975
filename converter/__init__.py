"""Offline: JSON model -> checked document -> scikit-learn estimator -> ONNX artifact."""

try:
    from .artifact.writer import to_artifact
except ModuleNotFoundError as missing:
    hint = f"modelpick.converter needs {missing.name}: pip install 'modelpick[converter]'"
    raise ModuleNotFoundError(hint, name=missing.name) from None

from .algorithms.rules import Semantics
from .artifact.restore import restore, to_json
from .compat import HierShrinkSelector, KMeansSelector, KNNSelector, MLPSelector, SVMSelector
from .convert import convert
from .documents import load_document
from .estimators import build_estimator
from .formats.decoding import DocumentWarning
from .verification.compare import verify
from .verification.report import Report, VerificationError

__all__ = [
    "DocumentWarning",
    "HierShrinkSelector",
    "KMeansSelector",
    "KNNSelector",
    "MLPSelector",
    "Report",
    "SVMSelector",
    "Semantics",
    "VerificationError",
    "build_estimator",
    "convert",
    "load_document",
    "restore",
    "to_artifact",
    "to_json",
    "verify",
]
