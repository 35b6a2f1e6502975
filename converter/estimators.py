"""document -> estimator: a fitted scikit-learn estimator, rebuilt by the rules that the document names.

Each answers in float64 exactly as the original library's selector does; ``predict`` returns model names.
"""

from modelpick.runtime import DocumentError

from .algorithms import OPTIONS, TABLE
from .algorithms.base import Estimator
from .formats.document import Document


def build_estimator(document: Document, *, k: int | None = None, shrinkage: float | None = None) -> Estimator:
    """Rebuild the fitted estimator that a document describes.

    Parameters
    ----------
    document
        As `load_document` returns it.
    k
        Number of neighbours of a KNN model, instead of the document's.
    shrinkage
        See `modelpick.converter.algorithms.knn.outcomes.OutcomeModelSelector`, for the semantics ``queries``; 3 by
        default.

    Raises
    ------
    DocumentError
        When a row of a KNN model has no direction, for the semantics ``trainer``; when ``k`` or ``shrinkage`` is out of
        range, or not for this document.
    """
    rules = TABLE[document.source.algorithm, document.source.semantics]
    given = {name: value for name, value in {"k": k, "shrinkage": shrinkage}.items() if value is not None}
    for name, value in given.items():
        option = OPTIONS[name]
        if option not in rules.options or not option.is_valid(value):
            raise DocumentError(f"{name}: expected {option.expected}, got {value}")
    estimator: Estimator = rules.build(document, **given)
    return estimator
