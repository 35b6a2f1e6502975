"""KMeans: the model of the nearest centroid, or the one that scores highest there."""

from . import nearest, scores

ROWS = (*nearest.ROWS, *scores.ROWS)
