"""Turns the trained model selectors of a semantic router into ONNX, and picks the language model for a query."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.2.0"

if TYPE_CHECKING:
    from .runtime import (
        ArtifactError,
        BatchingSelector,
        FeatureError,
        ModelpickError,
        Objective,
        Requirements,
        Selector,
        SelectorStore,
    )
    from .runtime.serving.text_store import TextStore
    from .runtime.text import Encoder, TextSelector

__all__ = [
    "ArtifactError",
    "BatchingSelector",
    "Encoder",
    "FeatureError",
    "ModelpickError",
    "Objective",
    "Requirements",
    "Selector",
    "SelectorStore",
    "TextSelector",
    "TextStore",
]
# What needs an extra, or longer to import.
_HOMES = {"Encoder": "text", "TextSelector": "text", "TextStore": "serving.text_store"}


def __getattr__(name: str) -> Any:
    """Import what a service needs when it is asked for: the command needs none of it."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    home = ".".join([f"{__name__}.runtime", *filter(None, [_HOMES.get(name)])])
    return getattr(import_module(home), name)
