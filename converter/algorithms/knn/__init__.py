"""KNN: the nearest rows vote, or the outcomes of the nearest questions predict."""

from . import outcomes, vote

ROWS = (*vote.ROWS, *outcomes.ROWS)
