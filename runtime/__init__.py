"""Online: artifact -> Selector. Needs numpy and onnxruntime, nothing else."""

from typing import TYPE_CHECKING, Any

from .artifact.metadata import Metadata
from .artifact.requirements import Contract
from .errors import ArtifactError, DocumentError, FeatureError, ModelpickError
from .features import FeatureBuilder
from .selector import Drift, Selector
from .serving.drift import DriftMonitor
from .serving.store import SelectorStore

if TYPE_CHECKING:
    from .serving.microbatching import BatchingSelector

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


def __getattr__(name: str) -> Any:
    """Import what needs asyncio when it is asked for: that takes as long as all else here."""
    if name == "BatchingSelector":
        from .serving.microbatching import BatchingSelector

        return BatchingSelector
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
