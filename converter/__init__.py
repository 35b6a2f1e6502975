"""Offline: JSON model -> checked document -> scikit-learn estimator -> ONNX artifact.

What is named here is imported when it is first used: scikit-learn and skl2onnx take seconds.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .algorithms.row import Semantics
    from .artifact.restore import restore, to_json
    from .artifact.writer import to_artifact
    from .compat import HierShrinkSelector, KMeansSelector, KNNSelector, MLPSelector, SVMSelector
    from .conversion import convert
    from .documents import load_document
    from .estimators import build_estimator
    from .formats.decoding import DocumentWarning
    from .training.records import read_records
    from .verification.compare import verify
    from .verification.report import Report, VerificationError

_HOMES = {
    "DocumentWarning": ".formats.decoding",
    "HierShrinkSelector": ".compat",
    "KMeansSelector": ".compat",
    "KNNSelector": ".compat",
    "MLPSelector": ".compat",
    "Report": ".verification.report",
    "SVMSelector": ".compat",
    "Semantics": ".algorithms.row",
    "VerificationError": ".verification.report",
    "build_estimator": ".estimators",
    "convert": ".conversion",
    "load_document": ".documents",
    "read_records": ".training.records",
    "restore": ".artifact.restore",
    "to_artifact": ".artifact.writer",
    "to_json": ".artifact.restore",
    "verify": ".verification.compare",
}

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
    "read_records",
    "restore",
    "to_artifact",
    "to_json",
    "verify",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    try:
        found = getattr(import_module(_HOMES[name], __name__), name)
    except ModuleNotFoundError as missing:
        hint = f"modelpick.converter needs {missing.name}: pip install 'modelpick[converter]'"
        raise ModuleNotFoundError(hint, name=missing.name) from None
    globals()[name] = found
    return found
