"""KMeans: the model of the nearest centroid, or the model that scores highest in its cluster."""

from .rows import ROWS

__all__ = ["ROWS"]
