"""Offline: JSON model -> scikit-learn estimator -> ONNX artifact.

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
    from .encoders.make import make_encoder
    from .evaluation.judge import evaluate
    from .formats.decoding import DocumentWarning
    from .formats.outcomes import Settings
    from .load import load_estimator
    from .report.write import write_report
    from .training.auto import choose
    from .training.records import read_records
    from .training.train import train, training_data
    from .training.tune import best_settings, compare, tune
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
    "Settings": ".formats.outcomes",
    "VerificationError": ".verification.report",
    "best_settings": ".training.tune",
    "choose": ".training.auto",
    "compare": ".training.tune",
    "convert": ".conversion",
    "evaluate": ".evaluation.judge",
    "load_estimator": ".load",
    "make_encoder": ".encoders.make",
    "read_records": ".training.records",
    "restore": ".artifact.restore",
    "to_artifact": ".artifact.writer",
    "to_json": ".artifact.restore",
    "train": ".training.train",
    "training_data": ".training.train",
    "tune": ".training.tune",
    "verify": ".verification.compare",
    "write_report": ".report.write",
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
    "Settings",
    "VerificationError",
    "best_settings",
    "choose",
    "compare",
    "convert",
    "evaluate",
    "load_estimator",
    "make_encoder",
    "read_records",
    "restore",
    "to_artifact",
    "to_json",
    "train",
    "training_data",
    "tune",
    "verify",
    "write_report",
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
