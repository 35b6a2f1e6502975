"""An artifact's category classifier, run in onnxruntime, beside its scikit-learn estimator."""

import numpy as np
import numpy.typing as npt

from modelpick.runtime.artifact.metadata import Metadata
from modelpick.runtime.text.categories import CategoryPredictor

from ..algorithms.base import Matrix
from ..algorithms.row import TOLERANCE
from ..artifact.categories import build_classifier
from ..formats.categories import CategoryClassifier


def differing_categories(
    metadata: Metadata, classifier: CategoryClassifier | None, queries: Matrix
) -> dict[int, tuple[str, str]]:
    """Return the queries whose embeddings get another category: row -> (the artifact's, the estimator's), in words.

    Where float64's rounding decides between two categories, either counts as the estimator's.
    """
    if metadata.category_classifier is None or classifier is None:
        return {}
    estimator = build_classifier(classifier)
    embeddings = _as_encoders_give(queries[:, : estimator.n_features_in_])
    predictor = CategoryPredictor("<bytes>", metadata.category_classifier, estimator.n_features_in_)
    found = np.array(predictor.predict(embeddings))
    scores = estimator.decision_function(embeddings)
    if scores.ndim == 1:
        scores = np.stack([-scores, scores], axis=1)
    places = {name: place for place, name in enumerate(estimator.classes_)}
    of_found = scores[np.arange(len(found)), [places[name] for name in found]]
    largest_sums = np.abs(embeddings) @ np.abs(estimator.coef_).max(axis=0)
    near = scores.max(axis=1) - of_found <= TOLERANCE * np.maximum(1.0, largest_sums)
    expected = estimator.predict(embeddings)
    wrong = np.flatnonzero((found != expected) & ~near)
    return {int(row): (f"category {found[row]}", f"category {expected[row]}") for row in wrong}


def _as_encoders_give(embeddings: Matrix) -> npt.NDArray[np.float64]:
    """Round to float32, which embeddings are."""
    largest = np.finfo(np.float32).max
    return np.clip(embeddings, -largest, largest).astype(np.float32).astype(np.float64)
