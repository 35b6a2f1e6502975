"""The metadata of an artifact, read and checked."""

import base64
from collections.abc import Mapping
from dataclasses import dataclass, field
from math import inf
from typing import Any, NamedTuple

from ..decision.operating_points import OperatingPoint, Single, read_point, read_single
from ..decision.outcomes import OUTCOMES
from ..decision.voting import Weights
from ..schema import ARTIFACT_FORMAT, PREFIX, Entry
from .entries import Entries


class EncoderIdentity(NamedTuple):
    """Which encoder made embeddings."""

    name: str
    digest: str
    """SHA-256, in hex, of everything that the encoder's embeddings depend on."""

    def __str__(self) -> str:
        return f"{self.name} ({self.digest[:12]})"


@dataclass(frozen=True, slots=True)
class CategoryClassifier:
    """A classifier of embeddings, for requests without a category; `modelpick.runtime.text` runs it."""

    classes: tuple[str, ...]
    """Categories that it can predict."""
    accuracy: float | None
    """Accuracy in cross-validation over the training queries, if it was recorded."""
    graph: bytes = field(repr=False)
    """Its ONNX file."""


@dataclass(frozen=True, slots=True)
class Metadata:
    """The metadata of an artifact."""

    format_version: int
    """Version of the file format."""
    algorithm: str
    """``knn``, ``kmeans``, ``svm``, ``mlp``, ``hiershrink`` or ``kernel_ridge``."""
    semantics: str
    """How it picks: ``native``, ``queries`` or ``trainer``, a slash, and a version."""
    model_names: tuple[str, ...]
    """Language models that can be picked."""
    n_features_in: int
    """Width of a query."""
    rows: int
    """Rows, clusters or support vectors of the JSON model."""
    source_sha256: str
    """SHA-256 of the JSON model, in hex; empty when the estimator did not come from one."""
    choices: tuple[str, ...]
    """Model of each cluster or classifier, in file order; for KNN the models themselves."""
    k: int
    """Number of neighbours; 0 where the algorithm has none."""
    metric: str
    """Distance by which neighbours are ranked, see `modelpick.runtime.schema.Metric`; empty where there is none."""
    weights: Weights | None
    """Shares of quality and speed in a neighbour's weight; None where the algorithm has none."""
    shrinkage: float
    """How many neighbours, or records, the more general mean of a model counts for."""
    cost_weight: float
    """HierShrink: weight of the relative mean latency."""
    outcomes: tuple[str, ...]
    """Kinds of outcomes that are predicted, see `modelpick.runtime.decision.outcomes.KINDS`; mostly none."""
    least_price: float
    """The least cost and seconds, that a lower prediction counts as; minus infinity where there is none."""
    default: str | None
    """Model that is best on average over the training queries, if it was recorded."""
    evidence: float
    """Standard errors by which another model must exceed the default model, unless given by a caller."""
    points: tuple[OperatingPoint, ...]
    """Operating points that training recorded."""
    best_single: Single | None
    """The best single model that the operating points are compared with."""
    values_per_query: int
    """Values that the graph holds at once for a query, by which large batches are split."""
    embedding_model: str | None
    """Model whose embeddings it was trained with, if it was recorded."""
    embedding_dim: int | None
    """Width of these embeddings, if it was recorded."""
    encoder: EncoderIdentity | None
    """Encoder whose embeddings it was trained with, if it was recorded."""
    category_classifier: CategoryClassifier | None
    """Classifier for requests without a category, if the artifact holds one."""
    distances: tuple[float, ...]
    """Evenly spaced quantiles of the distance from a row to its nearest neighbour; empty where there are none."""
    raw: Mapping[str, Any]
    """Each metadata entry except those for restoring, decoded, without the prefix ``modelpick.``."""


def metadata_of(entries: Entries) -> Metadata:
    """Check the entries of a selector.

    Raises
    ------
    ArtifactError
        When an entry is missing or malformed, or the format version is newer than this runtime.
        Metadata of unexpected shapes may raise other errors.
    """
    version = entries.version(Entry.FORMAT_VERSION, ARTIFACT_FORMAT, "format version")
    model_names = entries.names(Entry.MODEL_NAMES)
    choices = entries.names(Entry.CHOICES)
    if len(set(model_names)) != len(model_names):
        raise entries.refusal(Entry.MODEL_NAMES, "expected each name once")
    if not set(choices) <= set(model_names):
        raise entries.refusal(Entry.CHOICES, f"expected names of {PREFIX}{Entry.MODEL_NAMES}")
    default = entries.optional(Entry.DEFAULT, str)
    if default is not None and default not in model_names:
        raise entries.refusal(Entry.DEFAULT, f"expected a name of {PREFIX}{Entry.MODEL_NAMES}")
    outcomes = entries.optional(Entry.OUTCOMES, list) or []
    if not all(kind in OUTCOMES for kind in outcomes):
        raise entries.refusal(Entry.OUTCOMES, f"expected some of {', '.join(OUTCOMES)}")
    points, best_single = _operating_points(entries)
    values_per_query = entries.required(Entry.VALUES_PER_QUERY, int)
    if not values_per_query:
        raise entries.refusal(Entry.VALUES_PER_QUERY, "expected 1 or more, got 0")
    return Metadata(
        format_version=version,
        algorithm=entries.required(Entry.ALGORITHM, str),
        semantics=entries.required(Entry.SEMANTICS, str),
        model_names=model_names,
        n_features_in=entries.required(Entry.N_FEATURES_IN, int),
        rows=entries.required(Entry.ROWS, int),
        source_sha256=entries.required(Entry.SOURCE_SHA256, str),
        choices=choices,
        k=entries.required(Entry.K, int),
        metric=entries.optional(Entry.METRIC, str) or "",
        weights=_weights(entries),
        shrinkage=entries.number(Entry.SHRINKAGE, least=0.0) or 0.0,
        cost_weight=entries.number(Entry.COST_WEIGHT) or 0.0,
        outcomes=tuple(outcomes),
        least_price=-inf if (least := entries.number(Entry.LEAST_PRICE)) is None else least,
        default=default,
        evidence=entries.number(Entry.EVIDENCE, least=0.0) or 0.0,
        points=points,
        best_single=best_single,
        values_per_query=values_per_query,
        embedding_model=entries.optional(Entry.EMBEDDING_MODEL, str),
        embedding_dim=entries.optional(Entry.EMBEDDING_DIM, int),
        encoder=_encoder(entries),
        category_classifier=_category_classifier(entries),
        distances=entries.numbers(Entry.DISTANCES),
        raw=entries.raw,
    )


def _weights(entries: Entries) -> Weights | None:
    quality, speed = (entries.number(key, 0.0, 1.0) for key in (Entry.QUALITY_WEIGHT, Entry.SPEED_WEIGHT))
    if quality is None or speed is None:
        return None
    return Weights(quality, speed, entries.number(Entry.MIN_QUALITY))


def _encoder(entries: Entries) -> EncoderIdentity | None:
    recorded = entries.optional(Entry.ENCODER, dict)
    if recorded is None:
        return None
    name, digest = recorded.get("name"), recorded.get("digest")
    if not isinstance(name, str) or not isinstance(digest, str):
        raise entries.refusal(Entry.ENCODER, "expected name and digest, which are strings")
    return EncoderIdentity(name, digest)


def _category_classifier(entries: Entries) -> CategoryClassifier | None:
    recorded = entries.optional(Entry.CATEGORY_CLASSIFIER, dict)
    if recorded is None:
        return None
    classes, accuracy = recorded.get("classes"), recorded.get("accuracy")
    if not isinstance(classes, list) or not classes or not all(isinstance(name, str) for name in classes):
        raise entries.refusal(Entry.CATEGORY_CLASSIFIER, "expected classes, which are names")
    if not isinstance(accuracy, (int, float, type(None))):
        raise entries.refusal(Entry.CATEGORY_CLASSIFIER, "expected accuracy, which is a number")
    try:
        graph = base64.b64decode(entries.texts[Entry.CATEGORY_GRAPH], validate=True)
    except (KeyError, ValueError) as cause:
        raise entries.refusal(Entry.CATEGORY_GRAPH, f"malformed: {cause}") from None
    return CategoryClassifier(tuple(classes), accuracy, graph)


def _operating_points(entries: Entries) -> tuple[tuple[OperatingPoint, ...], Single | None]:
    recorded = entries.optional(Entry.OPERATING_POINTS, dict)
    if not recorded:
        return (), None
    try:
        return tuple(map(read_point, recorded["points"])), read_single(recorded["best_single"])
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as cause:
        raise entries.refusal(Entry.OPERATING_POINTS, f"malformed: {cause!r}") from None
