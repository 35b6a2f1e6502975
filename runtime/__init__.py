"""Online: artifact -> Selector. Needs numpy and onnxruntime, nothing else."""

from .artifact import Metadata
from .batching import BatchingSelector
from .contract import Contract
from .drift import DriftMonitor
from .errors import ArtifactError, DocumentError, FeatureError, ModelpickError
from .features import FeatureBuilder
from .selector import Drift, Selector
from .store import SelectorStore

__all__ = [
    "ArtifactError",
    "BatchingSelector",
    "Contract",
    "DocumentError",
    "Drift",
    "DriftMonitor",
    "FeatureBuilder",
    "FeatureError",
    "Metadata",
    "ModelpickError",
    "Selector",
    "SelectorStore",
]
