"""KNN: the nearest rows vote, or the outcomes of the nearest questions predict."""

from .rows import ROWS

__all__ = ["ROWS"]
