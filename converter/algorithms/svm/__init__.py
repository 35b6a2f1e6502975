"""SVM: one classifier for each model, or a machine for each two models."""

from .rows import ROWS

__all__ = ["ROWS"]
