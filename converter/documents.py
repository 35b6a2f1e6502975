"""The JSON models of the router: their formats, and every check on them.

JSON is decoded into a *form* (a tagged msgspec Struct that mirrors the file, old spellings included) and
the form is checked into a *document* (one shape per algorithm, numpy arrays, nothing left to doubt).
"""

import hashlib
import re
import warnings
from codecs import BOM_UTF8
from collections.abc import Callable, Sized
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, Literal, NoReturn, TypeVar

import msgspec
import numpy as np
import numpy.typing as npt
from msgspec import UNSET, Meta, Raw, Struct, UnsetType

from modelpick.runtime.errors import DocumentError

from .algorithms.layers import DenseLayer, Layer, ReluLayer, ScaleLayer, fold
from .files.io import read_bytes

Matrix = npt.NDArray[np.float64]
Vector = npt.NDArray[np.float64]
# A name is printed on a line of its own, and crosses C strings: no control characters, no ends of lines.
Name = Annotated[str, Meta(pattern=r"\A[^\x00-\x1f\x7f\x85\u2028\u2029]+\Z")]
Count = Annotated[int, Meta(ge=1, le=2**63 - 1)]
Nanoseconds = Annotated[int, Meta(ge=-(2**63), le=2**63 - 1)]
NANOSECONDS_PER_MILLISECOND = 1_000_000
DEFAULT_QUALITY = 0.5
LOW_QUALITY = 0.01
# Stands for each feature vector that `Source.fields` leaves out; no string of a document holds it.
VECTOR = "\0"


class DocumentWarning(UserWarning):
    """A JSON model that is accepted although part of it is odd."""


class Semantics(StrEnum):
    """How a model picks."""

    native = "native"
    """As the original library does."""
    queries = "queries"
    """KNN: the neighbours are the nearest queries, each with the outcomes of all its models."""
    trainer = "trainer"
    """As the Python code that trains the models predicts: KNN by cosine distance, SVM by the SVC in the file."""


class Source(Struct, frozen=True, eq=False):
    """What a document was made from."""

    sha256: str
    """SHA-256 of the JSON, in hex."""
    fields: dict[str, Any]
    """Every field that a selector reads, as in the JSON, with `VECTOR` for each feature vector."""
    semantics: Semantics = Semantics.native


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
    source: Source


class KMeansDocument(Struct, frozen=True, eq=False):
    """A checked KMeans model: one language model per centroid."""

    centroids: Matrix
    """Float64, shape (c, d)."""
    cluster_models: tuple[str, ...]
    """Language model of each cluster, length c."""
    source: Source


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
    source: Source


class SVCDocument(Struct, frozen=True, eq=False):
    """A checked scikit-learn SVC: a machine for each two of n language models, which share their support vectors."""

    model_names: tuple[str, ...]
    """Language model of each class, length n."""
    kernel: Literal["rbf", "linear"]
    gamma: float
    support_vectors: Matrix
    """Float64, shape (s, d), class after class."""
    n_support: tuple[int, ...]
    """Support vectors of each class, length n."""
    dual_coef: Matrix
    """Float64, shape (n - 1, s)."""
    intercept: Vector
    """Float64, shape (n * (n - 1) / 2,)."""
    source: Source


class MLPDocument(Struct, frozen=True, eq=False):
    """A checked MLP model: dense layers with a ReLU between each two, and one output per language model."""

    model_names: tuple[str, ...]
    layers: tuple[DenseLayer, ...]
    source: Source


Document = KNNDocument | KMeansDocument | SVMDocument | SVCDocument | MLPDocument


def load_document(source: str | Path | bytes, *, semantics: str = Semantics.native) -> Document:
    """Decode and check a JSON model.

    Parameters
    ----------
    source
        Path of a JSON file, or its bytes.
    semantics
        How the model shall pick, see `Semantics`.

    Returns
    -------
    KNNDocument, KMeansDocument, SVMDocument, SVCDocument or MLPDocument

    Raises
    ------
    DocumentError
        When the file cannot be read, is not JSON of a known algorithm, is not trained, or its parts
        disagree. The message names the file, the JSON path and what was expected, in one line.
    """
    name, data = read_bytes(source, DocumentError)

    def warn(path: str, message: str) -> None:
        warnings.warn(f"{name}: {path}: {message}", DocumentWarning, stacklevel=4)

    if data.startswith(BOM_UTF8):
        raise DocumentError(f"{name}: expected UTF-8 without a byte order mark")
    try:
        if not data.isascii():
            data.decode()
        _check_fields_once(data, "$")
        form = msgspec.json.decode(data, type=_FORMS[Semantics(semantics)])
        if not form.trained:
            _refuse("$.trained", "expected true: the model is not trained")
        if semantics == Semantics.queries and not isinstance(form, _KNNForm):
            _refuse("$.algorithm", f"expected knn, which alone has the semantics {semantics!s}")
        document: Document = form.checked(hashlib.sha256(data).hexdigest(), warn)
        if isinstance(document, KNNDocument | SVCDocument):  # the others pick alike by all that they know
            document = msgspec.structs.replace(
                document, source=msgspec.structs.replace(document.source, semantics=Semantics(semantics))
            )
        return document
    except UnicodeDecodeError as error:
        raise DocumentError(f"{name}: expected UTF-8, got byte 0x{data[error.start]:02x} at {error.start}") from None
    except msgspec.ValidationError as error:
        raise DocumentError(f"{name}: {_located(error)}") from None
    except (msgspec.DecodeError, RecursionError) as error:
        raise DocumentError(f"{name}: expected JSON: {error}") from None


def _located(error: msgspec.ValidationError, prefix: str = "$") -> str:
    """Rewrite msgspec's ``Expected ... - at `$.path` `` to ``$.path: expected ...``."""
    text, _, path = str(error).partition(" - at `$")
    if text.startswith("$"):
        return text
    text = _CLEARER.get(text, text)
    if text.startswith("Invalid enum value"):
        text = f"Expected rbf or linear, got{text.removeprefix('Invalid enum value')}"
    if text.startswith("Invalid value"):  # only the tags have lists of values
        tags = next(tags for field, tags in _TAGS.items() if path.endswith(f"{field}`"))
        text = f"Expected one of {tags}, got{text.removeprefix('Invalid value')}"
    return f"{prefix}{path.removesuffix('`')}: {text[:1].lower()}{text[1:]}"


def _refuse(path: str, message: str) -> NoReturn:
    raise msgspec.ValidationError(f"{path}: {message}")


_Warn = Callable[[str, str], None]


_CLEARER = {
    "Number out of range": "Expected a finite number",
    "Integer value out of range": f"Expected `int` <= {2**63 - 1}",
}
# An object, or an array that starts with one.
_OBJECTS = re.compile(rb"\s*(?:\[\s*)?\{")


class _FieldName:
    """A field's name, hashed by identity: a dict keeps every occurrence."""

    def __init__(self, name: str) -> None:
        self.name = name


_T = TypeVar("_T")
_DECODERS: dict[Any, Callable[[Raw], Any]] = {
    kind: msgspec.json.Decoder(kind, dec_hook=lambda to, value: to(value)).decode
    for kind in (list[float], list[Raw], dict[_FieldName, Raw])
} | {str: msgspec.json.Decoder(Name).decode}


def _decode(raw: Raw, kind: type[_T], path: str) -> _T:
    try:
        decoded: _T = _DECODERS[kind](raw)
    except msgspec.ValidationError as error:
        _refuse(*_located(error, path).split(": ", 1))
    return decoded


def _check_fields_once(value: Raw | bytes, path: str) -> None:
    """Refuse an object that names a field twice: parsers differ on which of the two counts."""
    found = _OBJECTS.match(memoryview(value))
    if not found:
        return
    if b"[" in found[0]:
        for index, inner in enumerate(_decode(Raw(value), list[Raw], path)):
            _check_fields_once(inner, f"{path}[{index}]")
        return
    seen = set()
    for field, inner in _decode(Raw(value), dict[_FieldName, Raw], path).items():
        if field.name in seen:
            _refuse(f"{path}.{field.name}", "expected once, found again")
        seen.add(field.name)
        _check_fields_once(inner, f"{path}.{field.name}")


def _matrix(rows: list[Raw], path: str, field: str = "") -> Matrix:
    """Decode rows one by one: a list of lists would take four times the memory of the array."""
    matrix = np.empty((0, 0))
    for index, row in enumerate(rows):
        place = f"{path}[{index}]{field}"
        values = _decode(row, list[float], place)
        if index == 0:
            if not values:
                _refuse(place, "expected at least one number")
            matrix = np.empty((len(rows), len(values)))
        if len(values) != matrix.shape[1]:
            _refuse(place, f"expected {matrix.shape[1]} numbers, got {len(values)}")
        matrix[index] = values
    if not rows:
        _refuse(path, "expected at least one row")
    return matrix


def _check_length(values: Sized, length: int, path: str, of: str) -> None:
    if len(values) != length:
        _refuse(path, f"expected {length} values, one per {of}, got {len(values)}")


class _Form(Struct, tag_field="algorithm"):
    trained: bool

    def source(self, sha256: str) -> Source:
        return Source(sha256, msgspec.to_builtins(self, enc_hook=lambda raw: VECTOR))


class _Sample(Struct):
    feature_vector: Raw
    model_name: Name
    quality: float | UnsetType = UNSET
    latency_ms: float | UnsetType | None = UNSET


class _KNNForm(_Form, tag="knn"):
    k: Count
    embeddings: list[Raw] | UnsetType | None = UNSET
    labels: list[Name] | UnsetType | None = UNSET
    qualities: list[float] | UnsetType | None = UNSET
    latencies: list[Nanoseconds] | UnsetType | None = UNSET
    samples: list[_Sample] | UnsetType | None = UNSET

    def checked(self, sha256: str, warn: _Warn) -> KNNDocument:
        if self.samples and not self.embeddings:
            embeddings = _matrix([s.feature_vector for s in self.samples], "$.samples", ".feature_vector")
            labels = [sample.model_name for sample in self.samples]
            qualities = [DEFAULT_QUALITY if s.quality is UNSET else s.quality for s in self.samples]
            latencies = _sample_latencies(self.samples)
        else:
            embeddings = _matrix(self.embeddings or [], "$.embeddings")
            labels = self.labels or []
            qualities = self.qualities or [DEFAULT_QUALITY] * len(embeddings)
            latencies = self.latencies or []
        n = len(embeddings)
        lengths: dict[str, Sized] = {"labels": labels, "qualities": qualities, "latencies": latencies or labels}
        for field, values in lengths.items():
            _check_length(values, n, f"$.{field}", "row of $.embeddings")
        low = sum(quality < LOW_QUALITY for quality in qualities)
        if low:
            warn("$", f"{low} qualities below {LOW_QUALITY} count as {LOW_QUALITY}")
        if self.samples and self.embeddings:
            warn("$.samples", "ignored beside $.embeddings")
            self.samples = UNSET
        if self.k > n:
            warn("$.k", f"{self.k} neighbours asked of {n} rows: all rows vote")
        return KNNDocument(
            k=self.k,
            embeddings=embeddings,
            labels=tuple(labels),
            qualities=np.array(qualities, dtype=np.float64),
            latencies=np.array(latencies, dtype=np.int64),
            source=self.source(sha256),
        )


def _sample_latencies(samples: list[_Sample]) -> list[int]:
    if all(sample.latency_ms is UNSET or sample.latency_ms is None for sample in samples):
        return []
    latencies = []
    for index, sample in enumerate(samples):
        path = f"$.samples[{index}].latency_ms"
        if sample.latency_ms is UNSET or sample.latency_ms is None:
            _refuse(path, "expected a number: other samples have one")
        nanoseconds = sample.latency_ms * NANOSECONDS_PER_MILLISECOND
        if not abs(nanoseconds) < 2**63:
            _refuse(path, "expected milliseconds that fit 64-bit nanoseconds")
        latencies.append(round(nanoseconds))
    return latencies


class _KMeansForm(_Form, tag="kmeans"):
    num_clusters: Count
    centroids: list[Raw]
    cluster_models: list[Name] | dict[str, Raw]

    def checked(self, sha256: str, warn: _Warn) -> KMeansDocument:
        centroids = _matrix(self.centroids, "$.centroids")
        _check_length(centroids, self.num_clusters, "$.centroids", "cluster of $.num_clusters")
        path, source = "$.cluster_models", self.source(sha256)
        if isinstance(self.cluster_models, dict):
            models = {key: _decode(raw, str, f"{path}.{key}") for key, raw in self.cluster_models.items()}
            source.fields["cluster_models"] = models
        else:
            models = {str(cluster): model for cluster, model in enumerate(self.cluster_models)}
        clusters = [str(cluster) for cluster in range(len(centroids))]
        missing = next((cluster for cluster in clusters if cluster not in models), None)
        if missing is not None:
            _refuse(path, f'expected a model for each of {len(clusters)} centroids, got none for "{missing}"')
        if len(models) > len(clusters):
            warn(path, f"{len(models)} models for {len(clusters)} centroids: the rest is ignored")
        return KMeansDocument(centroids, tuple(models[cluster] for cluster in clusters), source)


class _LinearForm(Struct):
    model_name: Name
    weights: Raw
    rho: float

    def checked(self, path: str) -> LinearClassifier:
        weights = np.array(_decode(self.weights, list[float], f"{path}.weights"), dtype=np.float64)
        if weights.size == 0:
            _refuse(f"{path}.weights", "expected at least one number")
        return LinearClassifier(self.model_name, weights, self.rho)


class _RBFForm(Struct):
    model_name: Name
    alpha: list[float]
    support_vectors: list[Raw]
    rho: float
    gamma: Annotated[float, Meta(ge=0)]

    def checked(self, path: str) -> RBFClassifier:
        support_vectors = _matrix(self.support_vectors, f"{path}.support_vectors")
        _check_length(self.alpha, len(support_vectors), f"{path}.alpha", "row of support_vectors")
        alpha = np.array(self.alpha, dtype=np.float64)
        return RBFClassifier(self.model_name, alpha, support_vectors, self.rho, self.gamma)


class _SVMForm(_Form, tag="svm"):
    model_names: list[Name] | UnsetType | None = UNSET
    kernel_type: Name | UnsetType | None = UNSET
    gamma: float | UnsetType | None = UNSET
    linear_classifiers: list[_LinearForm] | UnsetType | None = UNSET
    rbf_classifiers: list[_RBFForm] | UnsetType | None = UNSET

    def checked(self, sha256: str, warn: _Warn) -> SVMDocument:
        linear = [
            form.checked(f"$.linear_classifiers[{index}]") for index, form in enumerate(self.linear_classifiers or [])
        ]
        rbf = [form.checked(f"$.rbf_classifiers[{index}]") for index, form in enumerate(self.rbf_classifiers or [])]
        widths = {f"$.linear_classifiers[{i}].weights": c.weights.shape[0] for i, c in enumerate(linear)}
        widths |= {f"$.rbf_classifiers[{i}].support_vectors": c.support_vectors.shape[1] for i, c in enumerate(rbf)}
        if not widths:
            _refuse("$", "expected at least one of linear_classifiers or rbf_classifiers")
        first, expected = next(iter(widths.items()))
        for path, width in widths.items():
            if width != expected:
                _refuse(path, f"expected {expected} columns as in {first}, got {width}")
        held = {"Linear": bool(linear), "Rbf": bool(rbf)}
        if self.kernel_type and held != {kernel: kernel == self.kernel_type for kernel in held}:
            warn("$.kernel_type", f"{self.kernel_type!r} disagrees with the classifiers, which are scored")
        return SVMDocument(tuple(linear), tuple(rbf), self.source(sha256))


class _SVCForm(_Form, tag="svm"):
    model_names: Annotated[list[Name], Meta(min_length=2)]
    kernel: Literal["rbf", "linear"]
    gamma: Annotated[float, Meta(ge=0)]
    support_vectors: list[Raw]
    dual_coef: list[list[float]]
    intercept: list[float]
    n_support: list[Count]
    classes: list[int]

    def checked(self, sha256: str, warn: _Warn) -> SVCDocument:
        n = len(self.classes)
        if n < 2 or len(set(self.classes)) != n or not all(0 <= c < len(self.model_names) for c in self.classes):
            _refuse("$.classes", f"expected two or more indices of the {len(self.model_names)} $.model_names")
        support_vectors = _matrix(self.support_vectors, "$.support_vectors")
        _check_length(self.n_support, n, "$.n_support", "class")
        _check_length(support_vectors, sum(self.n_support), "$.support_vectors", "vector that $.n_support counts")
        _check_length(self.dual_coef, n - 1, "$.dual_coef", "class but one")
        for index, row in enumerate(self.dual_coef):
            _check_length(row, len(support_vectors), f"$.dual_coef[{index}]", "row of $.support_vectors")
        _check_length(self.intercept, n * (n - 1) // 2, "$.intercept", "pair of classes")
        return SVCDocument(
            model_names=tuple(self.model_names[c] for c in self.classes),
            kernel=self.kernel,
            gamma=self.gamma,
            support_vectors=support_vectors,
            n_support=tuple(self.n_support),
            dual_coef=np.array(self.dual_coef, dtype=np.float64),
            intercept=np.array(self.intercept, dtype=np.float64),
            source=self.source(sha256),
        )


class _LayerForm(Struct, tag_field="type"):
    def checked(self, path: str, width: int) -> tuple[Layer | None, int]:
        """Check the layer behind ``width`` values: what it computes, if anything, and how many values."""
        raise NotImplementedError


class _DenseForm(_LayerForm, tag="linear"):
    weight: list[list[float]]
    bias: list[float]

    def checked(self, path: str, width: int) -> tuple[Layer | None, int]:
        for index, row in enumerate(self.weight):
            _check_length(row, width, f"{path}.weight[{index}]", "output of the layer before")
        if not self.weight:
            _refuse(f"{path}.weight", "expected at least one row")
        _check_length(self.bias, len(self.weight), f"{path}.bias", "row of weight")
        return DenseLayer(np.array(self.weight, dtype=np.float64), np.array(self.bias, dtype=np.float64)), len(
            self.bias
        )


class _ReluForm(_LayerForm, tag="relu"):
    def checked(self, path: str, width: int) -> tuple[Layer | None, int]:
        return ReluLayer(), width


class _DropoutForm(_LayerForm, tag="dropout"):
    p: float | UnsetType = UNSET

    def checked(self, path: str, width: int) -> tuple[Layer | None, int]:
        return None, width


class _BatchNormForm(_LayerForm, tag="batch_norm"):
    weight: list[float]
    bias: list[float]
    running_mean: list[float]
    running_var: list[Annotated[float, Meta(ge=0)]]
    eps: Annotated[float, Meta(gt=0)]

    def checked(self, path: str, width: int) -> tuple[Layer | None, int]:
        vectors = {name: getattr(self, name) for name in ("weight", "bias", "running_mean", "running_var")}
        for name, values in vectors.items():
            _check_length(values, width, f"{path}.{name}", "output of the layer before")
        weight, bias, mean, variance = (np.array(values, dtype=np.float64) for values in vectors.values())
        scale = weight / np.sqrt(variance + self.eps)
        return ScaleLayer(scale, bias - mean * scale), width


class _MLPForm(_Form, tag="mlp"):
    model_names: Annotated[list[Name], Meta(min_length=1)]
    feature_dim: Annotated[int, Meta(ge=1, le=2**31 - 1)]
    layers: list[_DenseForm | _ReluForm | _DropoutForm | _BatchNormForm]

    def checked(self, sha256: str, warn: _Warn) -> MLPDocument:
        layers, width = [], self.feature_dim
        for index, form in enumerate(self.layers):
            layer, width = form.checked(f"$.layers[{index}]", width)
            if layer is not None:
                layers.append(layer)
        if not any(isinstance(layer, DenseLayer) for layer in layers):
            _refuse("$.layers", "expected at least one linear layer")
        if width != len(self.model_names):
            _refuse("$.layers", f"expected {len(self.model_names)} outputs, one per $.model_names, got {width}")
        try:
            folded = fold(layers)
        except ValueError as error:
            _refuse("$.layers", str(error))
        return MLPDocument(tuple(self.model_names), tuple(folded), self.source(sha256))


_FORMS: dict[Semantics, Any] = dict.fromkeys(Semantics, _KNNForm | _KMeansForm | _SVMForm | _MLPForm)
_FORMS[Semantics.trainer] = _KNNForm | _KMeansForm | _SVCForm | _MLPForm
_TAGS = {".algorithm": "knn, kmeans, svm, mlp", ".type": "linear, relu, batch_norm, dropout"}
