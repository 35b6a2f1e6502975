"""Offline: JSON model -> scikit-learn estimator -> ONNX artifact.

Public names are imported on first use, since scikit-learn and skl2onnx take seconds to import.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .algorithms.row import Semantics as Semantics
    from .artifact.restore import restore as restore
    from .artifact.restore import to_json as to_json
    from .artifact.writer import to_artifact as to_artifact
    from .compat import HierShrinkSelector as HierShrinkSelector
    from .compat import KMeansSelector as KMeansSelector
    from .compat import KNNSelector as KNNSelector
    from .compat import MLPSelector as MLPSelector
    from .compat import SVMSelector as SVMSelector
    from .conversion import convert as convert
    from .encoders.make import make_encoder as make_encoder
    from .evaluation.judge import evaluate as evaluate
    from .evaluation.power import needed_questions as needed_questions
    from .evaluation.slices import evaluate_slices as evaluate_slices
    from .fitting import fit as fit
    from .formats.decoding import DocumentWarning as DocumentWarning
    from .formats.outcomes import Settings as Settings
    from .load import load_estimator as load_estimator
    from .report.write import write_report as write_report
    from .training.adding import add_models as add_models
    from .training.auto import choose as choose
    from .training.records import read_records as read_records
    from .training.train import train as train
    from .training.train import training_data as training_data
    from .training.tune import best_settings as best_settings
    from .training.tune import compare as compare
    from .training.tune import tune as tune
    from .verification.compare import verify as verify
    from .verification.report import Report as Report
    from .verification.report import VerificationError as VerificationError

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
    "add_models": ".training.adding",
    "best_settings": ".training.tune",
    "choose": ".training.auto",
    "compare": ".training.tune",
    "convert": ".conversion",
    "evaluate": ".evaluation.judge",
    "evaluate_slices": ".evaluation.slices",
    "fit": ".fitting",
    "load_estimator": ".load",
    "make_encoder": ".encoders.make",
    "needed_questions": ".evaluation.power",
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

__all__ = sorted(_HOMES)


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
