"""KNN: the nearest rows vote, or the outcomes of the nearest questions predict."""

from . import outcomes, regression, vote

ROWS = (*vote.ROWS, *regression.ROWS, *outcomes.ROWS)
