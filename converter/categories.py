"""The classifier of categories, from top to bottom: it predicts the category of an embedding, so that text suffices.

A multinomial logistic regression, which is trained, read from JSON models, exported, and verified here.
"""

import base64
import json
import warnings
from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import numpy as np
import numpy.typing as npt
from msgspec import UNSET, Meta, Struct, UnsetType
from onnx import ModelProto
from skl2onnx import to_onnx
from skl2onnx.common.data_types import DoubleTensorType
from skl2onnx.helpers.onnx_helper import select_model_inputs_outputs
from sklearn.dummy import DummyClassifier
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from threadpoolctl import threadpool_limits

from modelpick.runtime import DocumentError
from modelpick.runtime.artifact.metadata import Metadata
from modelpick.runtime.features import CATEGORIES, OTHER
from modelpick.runtime.schema import EncoderPort, Entry, Output
from modelpick.runtime.text.categories import CategoryPredictor

from .algorithms.base import Matrix
from .algorithms.row import TOLERANCE
from .formats.decoding import Name, check_length, refuse
from .formats.source import Source
from .statistics.folds import splits

# Field of the JSON models that hold a classifier; only modelpick writes it.
FIELD = "category_classifier"
# Inverse of the penalty, for embeddings of unit length.
C = 4.0
ITERATIONS = 1_000
DIGITS = 6
# The largest coefficients, so that no sum of products with float32 overflows.
Coefficient = Annotated[float, Meta(ge=-1e100, le=1e100)]


class CategoryClassifier(Struct, frozen=True, eq=False):
    """Coefficients as in scikit-learn's LogisticRegression, for e columns of an embedding."""

    classes: Annotated[list[Name], Meta(min_length=2)]
    """Categories, n of them."""
    coef: list[list[Coefficient]]
    """Shape (n, e); for two classes (1, e), where a score above 0 picks the second class."""
    intercept: list[Coefficient]
    """A value for each row of ``coef``."""
    accuracy: Annotated[float, Meta(ge=0, le=1)] | UnsetType = UNSET
    """Accuracy in cross-validation over the training queries."""


def check_classifier(classifier: CategoryClassifier, path: str = f"$.{FIELD}") -> None:
    """Refuse a classifier whose parts disagree, or whose categories have no column in feature vectors."""
    for index, name in enumerate(classifier.classes):
        if name not in CATEGORIES:
            refuse(f"{path}.classes[{index}]", f"expected one of {', '.join(CATEGORIES)}, got {name!r}")
        if name in classifier.classes[:index]:
            refuse(f"{path}.classes[{index}]", f"expected each category once, got {name!r} again")
    count = len(classifier.classes)
    rows, of = (count, "class") if count > 2 else (1, "two classes")
    check_length(classifier.coef, rows, f"{path}.coef", of)
    check_length(classifier.intercept, rows, f"{path}.intercept", of)
    width = len(classifier.coef[0])
    if not width:
        refuse(f"{path}.coef[0]", "expected at least one number")
    for index, row in enumerate(classifier.coef):
        if len(row) != width:
            refuse(f"{path}.coef[{index}]", f"expected {width} numbers, got {len(row)}")


def train_classifier(embeddings: Matrix, categories: Sequence[str], seed: int = 0) -> dict[str, Any] | None:
    """Train a classifier of categories, and measure it by cross-validation; deterministic.

    Parameters
    ----------
    embeddings
        Float64, shape (n, e).
    categories
        Category of each embedding; unknown categories count as "other", as in features.
    seed
        Seed of the folds.

    Returns
    -------
    The field of the JSON model, see `CategoryClassifier`; None where there is nothing to learn: with fewer than two
    categories, or fewer than two distinct embeddings.
    """
    labels = np.array([category if category in CATEGORIES else OTHER for category in categories])
    if len(np.unique(labels)) < 2 or len(np.unique(embeddings, axis=0)) < 2:
        return None
    with threadpool_limits(1), warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # near enough, and measured
        fitted = _fitted(embeddings, labels)
        return {
            "classes": fitted.classes_.tolist(),
            "coef": [_rounded(row) for row in fitted.coef_],
            "intercept": _rounded(fitted.intercept_),
            "accuracy": _accuracy(embeddings, labels, seed),
        }


def _fitted(embeddings: Matrix, labels: npt.NDArray[np.str_]) -> LogisticRegression | DummyClassifier:
    """Fit a classifier; with a single category, it always predicts this category."""
    estimator = LogisticRegression(C=C, max_iter=ITERATIONS) if len(np.unique(labels)) > 1 else DummyClassifier()
    return estimator.fit(embeddings, labels)


def _accuracy(embeddings: Matrix, labels: npt.NDArray[np.str_], seed: int) -> float:
    right = 0
    for learned, held_out in splits(embeddings, seed):
        answers = _fitted(embeddings[learned], labels[learned]).predict(embeddings[held_out])
        right += int((answers == labels[held_out]).sum())
    return round(right / len(labels), DIGITS)


def _rounded(values: npt.NDArray[np.float64]) -> list[float]:
    return [float(f"{value:.{DIGITS}g}") for value in values]


def load_classifier(source: Source | None) -> LogisticRegression | None:
    """Rebuild the fitted estimator of a JSON model, if it holds one; ``predict`` returns categories."""
    field = source and source.fields.get(FIELD)
    if not field:
        return None
    estimator = LogisticRegression()
    estimator.classes_ = np.array(field["classes"])
    estimator.coef_, estimator.intercept_ = np.array(field["coef"]), np.array(field["intercept"])
    estimator.n_features_in_ = estimator.coef_.shape[1]
    return estimator


def classifier_entries(source: Source, n_features_in: int, target_opset: int) -> Mapping[str, str]:
    """Return the metadata entries of a classifier: its description, as JSON, and its graph, in base64.

    Raises
    ------
    DocumentError
        When the classifier's embeddings, with the one-hot of a category, are not as wide as the artifact's vectors.
    """
    estimator = load_classifier(source)
    if estimator is None:
        return {}
    if estimator.n_features_in_ + len(CATEGORIES) != n_features_in:
        raise DocumentError(
            f"{source.name}: $.{FIELD}.coef[0]: expected {len(CATEGORIES)} numbers fewer than the "
            f"{n_features_in} features, got {estimator.n_features_in_}"
        )
    described = {name: value for name, value in source.fields[FIELD].items() if name not in ("coef", "intercept")}
    graph = base64.b64encode(to_graph(estimator, target_opset)).decode()
    return {Entry.CATEGORY_CLASSIFIER: json.dumps(described), Entry.CATEGORY_GRAPH: graph}


def to_graph(estimator: LogisticRegression, target_opset: int) -> bytes:
    """Export the estimator: embeddings, float64, (b, e) -> the score of each class, float64, (b, n).

    The highest is picked. skl2onnx computes float64 by operators of ONNX itself. The operators that turn scores into
    labels are of another domain, and are cut off.
    """
    model: ModelProto = to_onnx(
        estimator,
        initial_types=[(EncoderPort.EMBEDDING, DoubleTensorType([None, estimator.n_features_in_]))],
        target_opset={"": target_opset, "ai.onnx.ml": 1},
        name="categories",
        options={id(estimator): {"zipmap": False, "raw_scores": True}},
    )
    scores = model.graph.output[1].name
    cut = select_model_inputs_outputs(model, outputs=[scores])
    for node in cut.graph.node:
        node.output[:] = [Output.SCORE if name == scores else name for name in node.output]
    cut.graph.output[0].name = Output.SCORE
    data: bytes = cut.SerializeToString(deterministic=True)
    return data


def differing_categories(metadata: Metadata, source: Source | None, queries: Matrix) -> dict[int, tuple[str, str]]:
    """Return the queries whose categories differ: row -> (the artifact's, the estimator's), in words.

    Where float64's rounding decides between two categories, either counts as the estimator's.
    """
    estimator = load_classifier(source)
    if metadata.category_classifier is None or estimator is None:
        return {}
    largest = np.finfo(np.float32).max
    embeddings = np.clip(queries[:, : estimator.n_features_in_], -largest, largest)
    embeddings = embeddings.astype(np.float32).astype(np.float64)  # encoders give float32
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
