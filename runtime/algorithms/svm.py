"""SVM: the classifier of the highest score.

``native/1`` has a classifier for each model. scikit-learn's SVC has a classifier for each pair of classes: the score of
a class is the number of comparisons that it wins, and only comparisons between two candidates count.
"""

from functools import partial

import numpy as np
import numpy.typing as npt

from ..artifact.tables import FLOATS, Spec, Specs, optional
from ..schema import Output, Stored
from ..search.best_choice import SUBGRAPHS, search_tables
from .base import CANDIDATES, Row, Rows
from .choices import CLASSIFIERS, Choices

TABLES: Specs = search_tables("choices") | optional(
    {
        Stored.WEIGHTS: Spec(FLOATS, ("classifiers", "features")),
        Stored.SUPPORT_VECTORS: Spec(FLOATS, ("support", "features")),
    }
)


def _comparisons_won(pairs: npt.NDArray[np.float64], among: npt.NDArray[np.bool_]) -> npt.NDArray[np.float64]:
    """Count the comparisons that each class wins against classes that may win; minus infinity for other classes."""
    first, second = np.triu_indices(len(among), 1)
    better = np.where(pairs > 0.0, first, second)
    counts = (better[:, :, None] == np.arange(len(among))) & (among[first] & among[second])[:, None]
    return np.where(among, counts.sum(axis=1), -np.inf)


_COMPARED = CLASSIFIERS._replace(values=Output.PAIR, recount=_comparisons_won)
_ROW = Row(partial(Choices, CLASSIFIERS), CANDIDATES, TABLES, SUBGRAPHS)

ROWS: Rows = {
    ("svm", "native/1"): _ROW,
    ("svm", "native/2"): _ROW._replace(make=partial(Choices, _COMPARED)),
    ("svm", "trainer/1"): _ROW,
}
