"""Online: artifact -> Selector. Needs numpy and onnxruntime, nothing else."""

from .artifact import Metadata
from .errors import ArtifactError, DocumentError, FeatureError, ModelpickError
from .selector import Selector

__all__ = ["ArtifactError", "DocumentError", "FeatureError", "Metadata", "ModelpickError", "Selector"]
