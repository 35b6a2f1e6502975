"""The metadata of an artifact, read and checked. Older versions of the format are upgraded in one place."""

import base64
import json
import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from math import inf
from typing import Any, NamedTuple, TypeVar

from ..decision.operating_points import OperatingPoint, Single, read_point, read_single
from ..decision.outcomes import OUTCOMES
from ..decision.voting import Weights
from ..errors import CONTROLS, ArtifactError
from ..schema import ARTIFACT_FORMAT, PREFIX, EncoderEntry, Entry
from .onnx_reader import Model
from .protobuf import MalformedError

# The seal, graphs and tokenizers are not JSON; the other entries can be large, and only restoring needs them.
_UNDECODED = {Entry.SEAL, Entry.CATEGORY_GRAPH, Entry.DOCUMENT, Entry.VECTORS, EncoderEntry.TOKENIZER}
_VERSION_1 = "contract"
# A name is printed on a line of its own, and written as UTF-8.
_NO_NAME = re.compile(rf"[{CONTROLS}\ud800-\udfff]")
MOST = sys.float_info.max
_T = TypeVar("_T")


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


def read_metadata(name: str, data: bytes) -> tuple[Metadata, Model]:
    """Read an artifact, and check its metadata.

    Raises
    ------
    ArtifactError
        When the file is malformed or holds a graph that must not be run, an entry is missing or malformed, or the
        format version is newer than this runtime. Metadata of unexpected shapes may raise other errors.
    """
    entries, texts, model = read_entries(name, data)
    if EncoderEntry.VERSION in entries.raw:
        raise ArtifactError(f"{name}: expected a selector, got an encoder: see modelpick.runtime.text")
    version = entries.required(Entry.FORMAT_VERSION, int)
    if version > ARTIFACT_FORMAT:
        raise ArtifactError(
            f"{name}: expected format version {ARTIFACT_FORMAT} or older, got {version}: upgrade modelpick"
        )
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
    points, best_single = entries.operating_points()
    values_per_query = entries.required(Entry.VALUES_PER_QUERY, int)
    if not values_per_query:
        raise entries.refusal(Entry.VALUES_PER_QUERY, "expected 1 or more, got 0")
    metadata = Metadata(
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
        weights=entries.weights(),
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
        encoder=entries.encoder(),
        category_classifier=entries.category_classifier(texts),
        distances=entries.numbers(Entry.DISTANCES),
        raw=entries.raw,
    )
    return metadata, model


def read_entries(name: str, data: bytes) -> tuple["_Entries", Mapping[str, str], Model]:
    """Return the decoded metadata that are JSON, all metadata as they are in the file, and the model.

    Raises
    ------
    ArtifactError
        When the file is malformed or holds a graph that must not be run.
    """
    try:
        model = Model(data)
        texts = {key.removeprefix(PREFIX): value for key, value in model.properties.items()}
        raw = {key: json.loads(value) for key, value in texts.items() if key not in _UNDECODED}
    except (MalformedError, ValueError, RecursionError) as cause:
        raise ArtifactError(f"{name}: malformed: {cause}") from None
    return _Entries(name, _upgraded(raw)), texts, model


def _upgraded(raw: dict[str, Any]) -> dict[str, Any]:
    """Add to the entries of version 1 those of version 2; the weights of version 1 were only in the code."""
    if _VERSION_1 not in raw or Entry.FORMAT_VERSION in raw:
        return raw
    raw = {Entry.FORMAT_VERSION: raw[_VERSION_1], **raw}
    if raw.get(Entry.ALGORITHM) == "knn":
        raw |= {Entry.QUALITY_WEIGHT: 0.9, Entry.SPEED_WEIGHT: 0.1, Entry.MIN_QUALITY: 0.01}
    return raw


class _Entries:
    """Metadata entries, each checked when it is read; an `ArtifactError` names an invalid entry."""

    def __init__(self, name: str, raw: dict[str, Any]) -> None:
        self.name, self.raw = name, raw

    def refusal(self, key: str, reason: str) -> ArtifactError:
        return ArtifactError(f"{self.name}: {PREFIX}{key}: {reason}")

    def required(self, key: str, kind: type[_T]) -> _T:
        if key not in self.raw:
            raise ArtifactError(f"{self.name}: expected the metadata entry {PREFIX}{key}")
        value = self.raw[key]
        if type(value) is not kind:
            raise self.refusal(key, f"expected {kind.__name__}, got {type(value).__name__}")
        if isinstance(value, int) and value < 0:
            raise self.refusal(key, f"expected 0 or more, got {value}")
        return value

    def optional(self, key: str, kind: type[_T]) -> _T | None:
        return self.required(key, kind) if key in self.raw else None

    def names(self, key: str) -> tuple[str, ...]:
        values = self.required(key, list)
        if not values or not all(isinstance(value, str) for value in values):
            raise self.refusal(key, "expected names")
        if any(not value or _NO_NAME.search(value) for value in values):
            raise self.refusal(key, "expected names without control characters, ends of lines and halves of surrogates")
        return tuple(values)

    def number(self, key: str, least: float = -MOST, most: float = MOST) -> float | None:
        value = self.raw.get(key)
        if value is None:
            return None
        if type(value) not in (int, float):
            raise self.refusal(key, f"expected a number, got {type(value).__name__}")
        if not least <= value <= most:
            raise self.refusal(key, f"expected a number from {least} to {most}")
        return float(value)

    def numbers(self, key: str) -> tuple[float, ...]:
        values = self.optional(key, list) or []
        if not all(map(_is_number, values)):
            raise self.refusal(key, "expected finite numbers")
        return tuple(map(float, values))

    def weights(self) -> Weights | None:
        quality, speed = (self.number(key, 0.0, 1.0) for key in (Entry.QUALITY_WEIGHT, Entry.SPEED_WEIGHT))
        if quality is None or speed is None:
            return None
        return Weights(quality, speed, self.number(Entry.MIN_QUALITY))

    def encoder(self) -> EncoderIdentity | None:
        recorded = self.optional(Entry.ENCODER, dict)
        if recorded is None:
            return None
        name, digest = recorded.get("name"), recorded.get("digest")
        if not isinstance(name, str) or not isinstance(digest, str):
            raise self.refusal(Entry.ENCODER, "expected name and digest, which are strings")
        return EncoderIdentity(name, digest)

    def category_classifier(self, texts: Mapping[str, str]) -> CategoryClassifier | None:
        recorded = self.optional(Entry.CATEGORY_CLASSIFIER, dict)
        if recorded is None:
            return None
        classes, accuracy = recorded.get("classes"), recorded.get("accuracy")
        if not isinstance(classes, list) or not classes or not all(isinstance(name, str) for name in classes):
            raise self.refusal(Entry.CATEGORY_CLASSIFIER, "expected classes, which are names")
        if not isinstance(accuracy, (int, float, type(None))):
            raise self.refusal(Entry.CATEGORY_CLASSIFIER, "expected accuracy, which is a number")
        try:
            graph = base64.b64decode(texts[Entry.CATEGORY_GRAPH], validate=True)
        except (KeyError, ValueError) as cause:
            raise self.refusal(Entry.CATEGORY_GRAPH, f"malformed: {cause}") from None
        return CategoryClassifier(tuple(classes), accuracy, graph)

    def operating_points(self) -> tuple[tuple[OperatingPoint, ...], Single | None]:
        recorded = self.optional(Entry.OPERATING_POINTS, dict)
        if not recorded:
            return (), None
        try:
            return tuple(map(read_point, recorded["points"])), read_single(recorded["best_single"])
        except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as cause:
            raise self.refusal(Entry.OPERATING_POINTS, f"malformed: {cause!r}") from None


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and abs(value) <= MOST
