"""Online: artifact -> Selector. Needs numpy and onnxruntime, nothing else."""

from typing import TYPE_CHECKING, Any

from .artifact.metadata import Metadata
from .artifact.requirements import Requirements
from .deciding import Decision, Exploring
from .decision.objective import Objective
from .decision.operating_points import OperatingPoint
from .errors import ArtifactError, DocumentError, FeatureError, ModelpickError
from .features import FeatureBuilder
from .selector import Drift, Selector
from .serving.drift import DriftMonitor
from .serving.store import SelectorStore

if TYPE_CHECKING:
    from .serving.microbatching import BatchingSelector

    Contract = Requirements

__all__ = [
    "ArtifactError",
    "BatchingSelector",
    "Decision",
    "DocumentError",
    "Drift",
    "DriftMonitor",
    "Exploring",
    "FeatureBuilder",
    "FeatureError",
    "Metadata",
    "ModelpickError",
    "Objective",
    "OperatingPoint",
    "Requirements",
    "Selector",
    "SelectorStore",
]


def __getattr__(name: str) -> Any:
    """Import what needs asyncio when it is asked for: that takes as long as all else here. Resolve former names."""
    if name == "BatchingSelector":
        from .serving.microbatching import BatchingSelector

        return BatchingSelector
    if name == "Contract":  # until 0.3
        import warnings

        warnings.warn("Contract is called Requirements now", DeprecationWarning, stacklevel=2)
        return Requirements
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
