"""Kernel ridge regression: outcomes that a kernel predicts."""

from .rows import ROWS

__all__ = ["ROWS"]
