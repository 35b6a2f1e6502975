"""KMeans: the model of the nearest centroid, or the one that scores highest there."""

from .rows import ROWS

__all__ = ["ROWS"]
