"""Kernel ridge regression: one kernel predicts the outcomes of all models."""

from .rows import ROWS

__all__ = ["ROWS"]
