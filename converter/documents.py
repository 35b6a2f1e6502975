"""The JSON models of the router: their formats, and every check on them.

JSON is decoded into a *form* (a tagged msgspec Struct that mirrors the file, old spellings included) and
the form is checked into a *document* (one shape per algorithm, numpy arrays, nothing left to doubt).
"""

import hashlib
import warnings
from collections.abc import Callable, Sequence, Sized
from pathlib import Path
from typing import Annotated, Any, NoReturn, TypeVar

import msgspec
import numpy as np
import numpy.typing as npt
from msgspec import Meta, Raw, Struct

from modelpick.runtime.errors import DocumentError

from .paths import read_bytes

Matrix = npt.NDArray[np.float64]
Vector = npt.NDArray[np.float64]
ModelName = Annotated[str, Meta(min_length=1)]
Count = Annotated[int, Meta(ge=1, le=2**31 - 1)]
Nanoseconds = Annotated[int, Meta(ge=-(2**63), le=2**63 - 1)]
NANOSECONDS_PER_MILLISECOND = 1_000_000
DEFAULT_QUALITY = 0.5
LOW_QUALITY = 0.01


class DocumentWarning(UserWarning):
    """A JSON model that is accepted although part of it is odd."""


class KNNDocument(Struct, frozen=True, eq=False):
    """A checked KNN model: one row per recorded answer of a language model."""

    k: int
    """Number of neighbours, as in the file: may exceed the number of rows."""
    embeddings: Matrix
    """Feature vectors, float64, shape (n, d)."""
    labels: tuple[str, ...]
    """Language model of each row, length n."""
    qualities: Vector
    """Quality of each row, float64, shape (n,)."""
    latencies: npt.NDArray[np.int64]
    """Latency of each row in nanoseconds, int64, shape (n,), or (0,) where the file has none."""
    source_sha256: str


class KMeansDocument(Struct, frozen=True, eq=False):
    """A checked KMeans model: one language model per centroid."""

    centroids: Matrix
    """Float64, shape (c, d)."""
    cluster_models: tuple[str, ...]
    """Language model of each cluster, length c."""
    source_sha256: str


class LinearClassifier(Struct, frozen=True, eq=False):
    """One linear one-vs-rest classifier: ``weights . x - rho``."""

    model_name: str
    weights: Vector
    """Float64, shape (d,)."""
    rho: float


class RBFClassifier(Struct, frozen=True, eq=False):
    """One kernel machine: ``sum(alpha * exp(-gamma * |x - sv|^2)) - rho``."""

    model_name: str
    alpha: Vector
    """Float64, shape (s,)."""
    support_vectors: Matrix
    """Float64, shape (s, d)."""
    rho: float
    gamma: float


class SVMDocument(Struct, frozen=True, eq=False):
    """A checked SVM model: linear classifiers and kernel machines, in file order."""

    linear_classifiers: tuple[LinearClassifier, ...]
    rbf_classifiers: tuple[RBFClassifier, ...]
    source_sha256: str


Document = KNNDocument | KMeansDocument | SVMDocument


def load_document(source: str | Path | bytes) -> Document:
    """Decode and check a JSON model.

    Parameters
    ----------
    source
        Path of a JSON file, or its bytes.

    Returns
    -------
    KNNDocument, KMeansDocument or SVMDocument

    Raises
    ------
    DocumentError
        When the file cannot be read, is not JSON of a known algorithm, is not trained, or its parts
        disagree. The message names the file, the JSON path and what was expected, in one line.
    """
    name, data = read_bytes(source, DocumentError)
    try:
        data.decode()
        form: _Form = msgspec.json.decode(data, type=_Form)
        if not form.trained:
            _refuse("$.trained", "expected true: the model is not trained")
        return form.checked(hashlib.sha256(data).hexdigest())
    except UnicodeDecodeError as error:
        raise DocumentError(
            f"{name}: expected UTF-8, got byte 0x{data[error.start]:02x} at {error.start}"
        ) from None
    except msgspec.ValidationError as error:
        raise DocumentError(f"{name}: {_located(error)}") from None
    except (msgspec.DecodeError, RecursionError) as error:
        raise DocumentError(f"{name}: expected JSON: {error}") from None


def _located(error: msgspec.ValidationError, prefix: str = "$") -> str:
    """Rewrite msgspec's ``Expected ... - at `$.path` `` to ``$.path: expected ...``."""
    text, _, path = str(error).partition(" - at `$")
    if text.startswith("$"):
        return text
    return f"{prefix}{path.removesuffix('`')}: {text[:1].lower()}{text[1:]}"


def _refuse(path: str, message: str) -> NoReturn:
    raise msgspec.ValidationError(f"{path}: {message}")


def _warn(path: str, message: str) -> None:
    warnings.warn(f"{path}: {message}", DocumentWarning, stacklevel=4)


_T = TypeVar("_T")
_DECODERS: dict[Any, Callable[[Raw], Any]] = {
    kind: msgspec.json.Decoder(kind).decode for kind in (list[float], list[Raw])
}


def _decode(raw: Raw, kind: type[_T], path: str) -> _T:
    try:
        decoded: _T = _DECODERS[kind](raw)
    except msgspec.ValidationError as error:
        _refuse(*_located(error, path).split(": ", 1))
    return decoded


def _vector(values: Sequence[float], path: str) -> Vector:
    vector = np.array(values, dtype=np.float64)
    if not np.isfinite(vector).all():
        _refuse(f"{path}[{int(np.argmin(np.isfinite(vector)))}]", "expected a finite number")
    return vector


def _matrix(raw: Raw, path: str) -> Matrix:
    """Decode rows one by one: a list of lists would take four times the memory of the array."""
    rows = _decode(raw, list[Raw], path)
    matrix = np.empty((0, 0))
    for index, row in enumerate(rows):
        values = _decode(row, list[float], f"{path}[{index}]")
        if index == 0:
            matrix = np.empty((len(rows), len(values)))
        if len(values) != matrix.shape[1]:
            _refuse(f"{path}[{index}]", f"expected {matrix.shape[1]} numbers, got {len(values)}")
        matrix[index] = values
    _check_matrix(matrix, path)
    return matrix


def _check_matrix(matrix: Matrix, path: str) -> None:
    if matrix.size == 0:
        _refuse(path, "expected at least one row of at least one number")
    finite = np.isfinite(matrix).all(axis=1)
    if not finite.all():
        row = int(finite.argmin())
        _refuse(f"{path}[{row}][{int(np.isfinite(matrix[row]).argmin())}]", "expected a finite number")


def _check_length(values: Sized, length: int, path: str, of: str) -> None:
    if len(values) != length:
        _refuse(path, f"expected {length} values, one per {of}, got {len(values)}")


class _FormBase(Struct, tag_field="algorithm"):
    trained: bool


class _Sample(Struct):
    feature_vector: list[float]
    model_name: ModelName
    quality: float = DEFAULT_QUALITY
    latency_ms: float | None = None


class _KNNForm(_FormBase, tag="knn"):
    k: Count
    embeddings: Raw = Raw(b"[]")
    labels: list[ModelName] = []
    qualities: list[float] | None = None
    latencies: list[Nanoseconds] | None = None
    samples: list[_Sample] | None = None

    def checked(self, source_sha256: str) -> KNNDocument:
        if self.samples and self.embeddings in (b"[]", b"null"):
            embeddings = _sample_matrix(self.samples)
            labels = [sample.model_name for sample in self.samples]
            qualities, where = [sample.quality for sample in self.samples], "$.samples"
            latencies = _sample_latencies(self.samples)
        else:
            embeddings = _matrix(self.embeddings, "$.embeddings")
            labels = self.labels
            qualities, where = self.qualities or [], "$.qualities"
            latencies = self.latencies or []
        n = len(embeddings)
        _check_length(labels, n, "$.labels", "row of $.embeddings")
        if qualities:
            _check_length(qualities, n, where, "row of $.embeddings")
        if latencies:
            _check_length(latencies, n, "$.latencies", "row of $.embeddings")
        quality = _vector(qualities or [DEFAULT_QUALITY] * n, where)
        if (quality < LOW_QUALITY).any():
            _warn(
                where,
                f"{int((quality < LOW_QUALITY).sum())} values below {LOW_QUALITY} count as {LOW_QUALITY}",
            )
        if self.k > n:
            _warn("$.k", f"{self.k} neighbours asked of {n} rows: all rows vote")
        return KNNDocument(
            k=self.k,
            embeddings=embeddings,
            labels=tuple(labels),
            qualities=quality,
            latencies=np.array(latencies, dtype=np.int64),
            source_sha256=source_sha256,
        )


def _sample_matrix(samples: list[_Sample]) -> Matrix:
    width = len(samples[0].feature_vector)
    for index, sample in enumerate(samples):
        if len(sample.feature_vector) != width:
            _refuse(
                f"$.samples[{index}].feature_vector",
                f"expected {width} numbers, got {len(sample.feature_vector)}",
            )
    matrix = np.array([sample.feature_vector for sample in samples], dtype=np.float64)
    _check_matrix(matrix, "$.samples")
    return matrix


def _sample_latencies(samples: list[_Sample]) -> list[int]:
    known = [sample.latency_ms is not None for sample in samples]
    if not any(known):
        return []
    latencies = []
    for index, sample in enumerate(samples):
        path = f"$.samples[{index}].latency_ms"
        if sample.latency_ms is None:
            _refuse(path, "expected a number: other samples have one")
        nanoseconds = sample.latency_ms * NANOSECONDS_PER_MILLISECOND
        if not abs(nanoseconds) < 2**63:
            _refuse(path, "expected milliseconds that fit 64-bit nanoseconds")
        latencies.append(round(nanoseconds))
    return latencies


class _KMeansForm(_FormBase, tag="kmeans"):
    num_clusters: Count
    centroids: Raw
    cluster_models: list[ModelName] | dict[str, ModelName]

    def checked(self, source_sha256: str) -> KMeansDocument:
        centroids = _matrix(self.centroids, "$.centroids")
        _check_length(centroids, self.num_clusters, "$.centroids", "cluster of $.num_clusters")
        models = _cluster_models(self.cluster_models, len(centroids))
        return KMeansDocument(centroids, tuple(models), source_sha256)


def _cluster_models(models: list[str] | dict[str, str], clusters: int) -> list[str]:
    path = "$.cluster_models"
    if isinstance(models, dict):
        missing = next((key for key in map(str, range(clusters)) if key not in models), None)
        if missing is not None:
            _refuse(path, f'expected a model for each of {clusters} clusters, got none for "{missing}"')
        found, models = len(models), [models[str(cluster)] for cluster in range(clusters)]
    else:
        found = len(models)
        if found < clusters:
            _refuse(path, f"expected at least {clusters} values, one per centroid, got {found}")
    if found > clusters:
        _warn(path, f"{found} models for {clusters} centroids: the rest is ignored")
    return models[:clusters]


class _LinearForm(Struct):
    model_name: ModelName
    weights: list[float]
    rho: float


class _RBFForm(Struct):
    model_name: ModelName
    alpha: list[float]
    support_vectors: Raw
    rho: float
    gamma: Annotated[float, Meta(ge=0)]


class _SVMForm(_FormBase, tag="svm"):
    kernel_type: str | None = None
    linear_classifiers: list[_LinearForm] | None = None
    rbf_classifiers: list[_RBFForm] | None = None

    def checked(self, source_sha256: str) -> SVMDocument:
        linear = [
            _linear_classifier(form, f"$.linear_classifiers[{index}]")
            for index, form in enumerate(self.linear_classifiers or [])
        ]
        rbf = [
            _rbf_classifier(form, f"$.rbf_classifiers[{index}]")
            for index, form in enumerate(self.rbf_classifiers or [])
        ]
        widths = [
            (f"$.linear_classifiers[{index}].weights", len(classifier.weights))
            for index, classifier in enumerate(linear)
        ] + [
            (f"$.rbf_classifiers[{index}].support_vectors", classifier.support_vectors.shape[1])
            for index, classifier in enumerate(rbf)
        ]
        if not widths:
            _refuse("$", "expected at least one of linear_classifiers or rbf_classifiers")
        for path, width in widths:
            if width != widths[0][1]:
                _refuse(path, f"expected {widths[0][1]} columns as in {widths[0][0]}, got {width}")
        held = {"Linear": bool(linear), "Rbf": bool(rbf)}
        if self.kernel_type is not None and held != {kernel: kernel == self.kernel_type for kernel in held}:
            _warn("$.kernel_type", f"{self.kernel_type!r} disagrees with the classifiers, which are scored")
        return SVMDocument(tuple(linear), tuple(rbf), source_sha256)


def _finite(value: float, path: str) -> float:
    if not np.isfinite(value):
        _refuse(path, "expected a finite number")
    return value


def _linear_classifier(form: _LinearForm, path: str) -> LinearClassifier:
    weights = _vector(form.weights, f"{path}.weights")
    if weights.size == 0:
        _refuse(f"{path}.weights", "expected at least one number")
    return LinearClassifier(form.model_name, weights, _finite(form.rho, f"{path}.rho"))


def _rbf_classifier(form: _RBFForm, path: str) -> RBFClassifier:
    support_vectors = _matrix(form.support_vectors, f"{path}.support_vectors")
    _check_length(form.alpha, len(support_vectors), f"{path}.alpha", "row of support_vectors")
    return RBFClassifier(
        form.model_name,
        _vector(form.alpha, f"{path}.alpha"),
        support_vectors,
        _finite(form.rho, f"{path}.rho"),
        _finite(form.gamma, f"{path}.gamma"),
    )


_Form = _KNNForm | _KMeansForm | _SVMForm
