"""KNN in JSON: rows of recorded answers."""

from collections.abc import Sized
from typing import Annotated, NamedTuple

import numpy as np
import numpy.typing as npt
from msgspec import UNSET, Meta, Raw, Struct, UnsetType

from modelpick.runtime import DocumentError
from modelpick.runtime.decision.outcomes import KINDS, PLACES, PRICES, QUALITY, SECONDS
from modelpick.runtime.schema import Metric

from ...formats.decoding import INT64, Count, IgnoredSize, Name, Nanoseconds, check_length, refuse
from ...formats.operating_points import OperatingPoints, checked_points
from ...formats.outcomes import NANOSECONDS
from ...formats.reader import Reader
from ...formats.source import Source
from ..base import Matrix
from .estimators import DEFAULT_QUALITY, DEFAULT_SHRINKAGE, NATIVE_1, KNNModelSelector, OutcomeModelSelector

NANOSECONDS_PER_MILLISECOND = 1_000_000


class _Sample(Struct):
    feature_vector: Raw
    model_name: Name
    quality: float | UnsetType = UNSET
    latency_ms: float | UnsetType | None = UNSET


class KNNForm(Struct):
    """Columns of rows, or an old spelling: a list of samples."""

    k: Count
    embeddings: list[Raw] | UnsetType | None = UNSET
    labels: list[Name] | UnsetType | None = UNSET
    qualities: list[float] | UnsetType | None = UNSET
    latencies: list[Nanoseconds] | UnsetType | None = UNSET
    samples: list[_Sample] | UnsetType | None = UNSET
    num_samples: IgnoredSize = UNSET
    feature_dim: IgnoredSize = UNSET


class KNNForm2(Struct):
    """Columns of rows, as the second generation reads them."""

    k: Count
    embeddings: list[Raw]
    labels: list[Name]
    qualities: list[float] | UnsetType | None = UNSET
    latencies: list[Annotated[int, Meta(ge=0, le=INT64[1])]] | UnsetType | None = UNSET
    num_samples: IgnoredSize = UNSET
    feature_dim: IgnoredSize = UNSET
    format_version: int | UnsetType | None = UNSET


class KNNOutcomesForm(KNNForm):
    """The original's columns, and modelpick's, which the original ignores."""

    costs: list[float | None] | UnsetType | None = UNSET
    seconds: list[float | None] | UnsetType | None = UNSET
    evidence: Annotated[float, Meta(ge=0)] | UnsetType | None = UNSET
    default: Name | UnsetType | None = UNSET
    added: list[Name] | UnsetType | None = UNSET
    operating_points: OperatingPoints | UnsetType | None = UNSET


class _Rows(NamedTuple):
    """Checked rows: one for each recorded answer of a language model."""

    embeddings: Matrix
    """Feature vectors, float64, shape (n, d)."""
    labels: list[str]
    """Language model of each row, length n."""
    qualities: npt.NDArray[np.float64]
    """Quality of each row, float64, shape (n,)."""
    latencies: npt.NDArray[np.int64]
    """Latency of each row in nanoseconds, int64, shape (n,), or (0,) where the file has none."""


def load_rows(form: KNNForm, source: Source, reader: Reader, k: int | None = None) -> KNNModelSelector:
    """Check a form whose low qualities are raised to the least one, and return the estimator."""
    rows = _rows(form, source, reader)
    low = int((NATIVE_1.floored(rows.qualities) > rows.qualities).sum())
    if low:
        reader.warn("$", f"{low} qualities below {NATIVE_1.min_quality} count as {NATIVE_1.min_quality}")
    return _voting(rows, form.k if k is None else k, source.semantics)


def load_rows_2(form: KNNForm2, source: Source, reader: Reader, k: int | None = None) -> KNNModelSelector:
    """Check a form of the second generation, and return the estimator."""
    embeddings = reader.matrix(form.embeddings, "$.embeddings")
    qualities = form.qualities or [DEFAULT_QUALITY] * len(embeddings)
    rows = _checked(form, embeddings, form.labels, qualities, form.latencies or [], reader)
    return _voting(rows, form.k if k is None else k, source.semantics)


def _voting(rows: _Rows, k: int, semantics: str) -> KNNModelSelector:
    estimator = KNNModelSelector(k, semantics)
    directed = rows.embeddings.any(axis=1)
    if estimator.ranking == Metric.COSINE and not directed.all():
        raise DocumentError(f"$.embeddings[{directed.argmin()}]: expected a vector that has a direction, got zeros")
    return estimator.fit(rows.embeddings, rows.labels, rows.qualities, rows.latencies if rows.latencies.size else None)


def load_outcomes(
    form: KNNOutcomesForm,
    source: Source,
    reader: Reader,
    k: int | None = None,
    shrinkage: float = DEFAULT_SHRINKAGE,
) -> OutcomeModelSelector:
    """Check a form of the semantics ``queries``, and return the estimator."""
    rows = _rows(form, source, reader)
    names = tuple(dict.fromkeys(rows.labels))
    outcomes = np.full((len(rows.labels), len(KINDS)), np.nan)
    outcomes[:, QUALITY] = rows.qualities
    if rows.latencies.size:
        outcomes[:, SECONDS] = rows.latencies / NANOSECONDS
    for kind in PRICES:
        values = getattr(form, kind.given)
        if values:
            check_length(values, len(rows.labels), f"$.{kind.given}", "row of $.embeddings")
            outcomes[:, PLACES[kind.name]] = np.array(values, dtype=np.float64)  # None becomes NaN
    if form.default and form.default not in names:
        refuse("$.default", f"expected one of {', '.join(names)}, got '{form.default}'")
    points = checked_points(form.operating_points or None, names, "$.operating_points")
    estimator = OutcomeModelSelector(
        form.k if k is None else k, float(shrinkage), form.evidence or 0.0, source.semantics
    )
    return estimator.fit(rows.embeddings, rows.labels, outcomes, form.default or None, points)


def _rows(form: KNNForm, source: Source, reader: Reader) -> _Rows:
    """Check the rows of either spelling."""
    if form.samples and not form.embeddings:
        embeddings = reader.matrix([s.feature_vector for s in form.samples], "$.samples", ".feature_vector")
        labels = [sample.model_name for sample in form.samples]
        qualities = [DEFAULT_QUALITY if s.quality is UNSET else s.quality for s in form.samples]
        latencies = _sample_latencies(form.samples)
    else:
        embeddings = reader.matrix(form.embeddings or [], "$.embeddings")
        labels = form.labels or []
        qualities = form.qualities or [DEFAULT_QUALITY] * len(embeddings)
        latencies = form.latencies or []
    if form.samples and form.embeddings:
        reader.warn("$.samples", "ignored, since there are $.embeddings")
        del source.fields["samples"]
    return _checked(form, embeddings, labels, qualities, latencies, reader)


def _checked(
    form: KNNForm | KNNForm2,
    embeddings: Matrix,
    labels: list[str],
    qualities: list[float],
    latencies: list[int],
    reader: Reader,
) -> _Rows:
    n = len(embeddings)
    lengths: dict[str, Sized] = {"labels": labels, "qualities": qualities, "latencies": latencies or labels}
    for field, values in lengths.items():
        check_length(values, n, f"$.{field}", "row of $.embeddings")
    reader.ignored_size(form.num_samples, n, "$.num_samples", "rows of $.embeddings")
    reader.ignored_size(form.feature_dim, embeddings.shape[1], "$.feature_dim", "columns of $.embeddings")
    if form.k > n:
        reader.warn("$.k", f"{form.k} neighbours asked of {n} rows: all rows vote")
    return _Rows(embeddings, labels, np.array(qualities, dtype=np.float64), np.array(latencies, dtype=np.int64))


def _sample_latencies(samples: list[_Sample]) -> list[int]:
    if all(sample.latency_ms is UNSET or sample.latency_ms is None for sample in samples):
        return []
    latencies = []
    for index, sample in enumerate(samples):
        path = f"$.samples[{index}].latency_ms"
        if sample.latency_ms is UNSET or sample.latency_ms is None:
            refuse(path, "expected a number: other samples have one")
        nanoseconds = sample.latency_ms * NANOSECONDS_PER_MILLISECOND
        if not abs(nanoseconds) <= INT64[1]:
            refuse(path, "expected milliseconds that fit 64-bit nanoseconds")
        latencies.append(round(nanoseconds))
    return latencies
