"""SVM: a classifier for each model, or a machine for each pair of models."""

from .rows import ROWS

__all__ = ["ROWS"]
