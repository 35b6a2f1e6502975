"""MLP: a neural network of dense layers."""

from .rows import ROWS

__all__ = ["ROWS"]
