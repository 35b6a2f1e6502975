"""Trains selectors on benchmark records: the JSON model of an algorithm, by the row of the table that trains it."""

import warnings
from collections.abc import Iterable, Sequence

import numpy as np
from threadpoolctl import threadpool_limits

from modelpick.runtime import DocumentError, ModelpickError
from modelpick.runtime.decision.shrinkage import OWN
from modelpick.runtime.decision.voting import vote_weights
from modelpick.runtime.features import CATEGORIES, FeatureBuilder

from ..algorithms import TABLE
from ..algorithms.knn.estimators import NATIVE_1
from ..algorithms.row import AnyRow, Semantics
from ..algorithms.speeds import decaying_speeds
from ..categories import FIELD, train_classifier
from ..formats.decoding import DocumentWarning
from ..formats.outcomes import NANOSECONDS, Benchmark, Settings, Training
from ..formats.questions import TRAINING_QUESTIONS, to_field
from ..formats.source import ENCODER, JSON_FORMATS
from ..statistics.estimation import CONFOUNDED
from .crossvalidation import best_single, judged, learnable
from .points import operating_points
from .records import required_embeddings

# Algorithms that can be trained, in the order of the table.
TRAINED = tuple(dict.fromkeys(row.algorithm for row in TABLE.values() if row.fit))
# Default version of the files that are written.
JSON_FORMAT = JSON_FORMATS[-1]


def training_data(benchmark: Benchmark, settings: Settings | None = None, *, one_hot: bool = True) -> Training:
    """Prepare benchmark records for training.

    Where an encoder embedded the records, a request has only its text later: where vectors end in the one-hot of a
    category, the classifier that predicts it is trained here.

    Parameters
    ----------
    settings
        Settings of the user; the defaults if None.
    one_hot
        Whether the one-hot of the category stands behind the embedding.

    Raises
    ------
    DocumentError
        When a query has no embedding.

    Warns
    -----
    DocumentWarning
        When a model has so few answers that its outcomes cannot be learned.
    """
    embeddings = required_embeddings(benchmark)
    for line in unlearnable(benchmark):
        warnings.warn(line, DocumentWarning, stacklevel=2)
    settings = settings or Settings()
    features, classifier = embeddings, None
    if one_hot:
        width = embeddings.shape[1] + len(CATEGORIES)
        features = FeatureBuilder(width).build_batch(embeddings, benchmark.categories)
        if benchmark.encoder is not None:
            classifier = train_classifier(embeddings, benchmark.categories, settings.seed)
    known = ~np.isnan(benchmark.quality)
    nanoseconds = benchmark.filled_seconds() * NANOSECONDS
    speeds = decaying_speeds(nanoseconds.astype(np.int64))
    shares = NATIVE_1 if settings.quality_weight is None else NATIVE_1.with_quality(settings.quality_weight)
    weights = vote_weights(np.where(known, benchmark.quality, 0.0), speeds, shares)
    least = np.where(known & ~benchmark.failed, weights, np.inf).min(axis=1, keepdims=True)
    weights = np.where(benchmark.failed, np.minimum(weights, least), weights)  # however fast it failed
    return Training(benchmark, features, np.where(known, weights, -np.inf), settings, classifier)


def unlearnable(benchmark: Benchmark) -> list[str]:
    """Say which models have too few answers: in a model's mean, `OWN` answers of all models count too."""
    answers = (~np.isnan(benchmark.quality)).sum(axis=0).tolist()
    few = [count < min(OWN, len(benchmark.queries)) for count in answers]
    return [
        f"{count} answer{'s' if count > 1 else ''} of {model}: its predictions are nearly the mean of all models"
        for model, count, is_few in zip(benchmark.model_names, answers, few, strict=True)
        if is_few and not all(few)
    ]


def trainer(algorithm: str, format_version: int = JSON_FORMAT, semantics: str = Semantics.native) -> AnyRow:
    """Return the row of the table by which an algorithm, of `TRAINED`, is trained.

    Parameters
    ----------
    format_version
        Version of the original's files; modelpick's own files have one version.
    semantics
        "native", or "queries" for KNN.

    Raises
    ------
    DocumentError
        When the algorithm cannot be trained by these semantics.
    """
    if algorithm not in TRAINED:
        raise DocumentError(f"algorithm: expected one of {', '.join(TRAINED)}, got '{algorithm}'")
    able = [row for row in TABLE.values() if row.fit and row.algorithm == algorithm]
    wanted = f"{Semantics.native}/{format_version}" if semantics == Semantics.native else semantics
    found = [row for row in able if wanted in (row.semantics, row.unversioned)]
    if not found and semantics == Semantics.native:
        found = able
    if not found:
        known = ", ".join(row.semantics for row in able)
        raise DocumentError(f"semantics: expected one of {known} to train {algorithm}, got '{semantics}'")
    return found[-1]


def trainers(algorithms: Iterable[str], format_version: int, semantics: str) -> list[AnyRow]:
    """Return the `trainer` of each algorithm; only KNN has several semantics, to which ``semantics`` applies."""
    return [trainer(name, format_version, semantics if name == "knn" else Semantics.native) for name in algorithms]


def check_settings(settings: Settings, trained: Sequence[AnyRow], *, tuned: bool) -> None:
    """Refuse a setting that none of the algorithms reads, and weights of outcomes where nothing is weighed.

    Raises
    ------
    ModelpickError
        When such a setting is not the default.
    """
    read = {"seed", "objective"}.union(*(row.settings for row in trained))
    for name, value in settings._asdict().items():
        if value != Settings._field_defaults[name] and name not in read:
            able = [f"{row.algorithm} {row.semantics}" for row in TABLE.values() if name in row.settings]
            raise ModelpickError(f"--{name.replace('_', '-')}: expected an algorithm that takes it, {', '.join(able)}")
    swept = {"cost_weight"}  # by operating points
    for name, weight in settings.objective.keywords().items():
        if weight and not tuned and (name in swept or not any(row.predicts for row in trained)):
            raise ModelpickError(f"--{name.replace('_', '-')}: expected --tune or --algorithm auto")


def file_name(algorithm: str) -> str:
    """Return the name under which the original looks for the model of an algorithm."""
    return f"{algorithm}_model.json"


def row_of(algorithm: str | AnyRow) -> AnyRow:
    """Return a row unchanged, or the `trainer` of the name of an algorithm."""
    return trainer(algorithm) if isinstance(algorithm, str) else algorithm


def train(training: Training, algorithm: str | AnyRow, *, digests: bool = True) -> dict[str, object]:
    """Train a selector; returns the JSON model, as the original library writes it, or as only modelpick does.

    Deterministic: the same records and settings give the same model. A selector that predicts outcomes records its
    operating points, from cross-validation. Trained on a log, its operating points and its default come from the
    estimates of `modelpick.converter.evaluation.estimation`.

    Parameters
    ----------
    training
        See `training_data`.
    algorithm
        Name of an algorithm, one of `TRAINED`; or its row, see `trainer`.
    digests
        Whether to record which questions it was trained on, 8 bytes of a hash each, so that evaluation knows them.

    Returns
    -------
    Fields of the JSON model: `json.dumps` makes a file of them, which `modelpick.converter.convert` reads.

    Raises
    ------
    DocumentError
        When the algorithm is unknown, or cannot be trained on these records.

    Warns
    -----
    DocumentWarning
        When the records are a log that does not tell what operating points achieve: it has no propensities, and which
        model answered depends on the question.
    """
    row = row_of(algorithm)
    assert row.fit is not None
    assert row.write is not None
    with threadpool_limits(1):
        learned = learnable(training, row)
        fields: dict[str, object] = {
            "algorithm": row.algorithm,
            "trained": True,
            **row.write(row.fit(learned), learned),
        }
        if row.predicts:
            by = judged(training)
            if training.benchmark.is_log:
                fields["default"] = training.benchmark.model_names[best_single(by.singles.quality, by.errors)]
            if by.confounded:
                warnings.warn(f"{CONFOUNDED}: no operating points are recorded", DocumentWarning, stacklevel=2)
            else:
                fields |= operating_points(training, row, by)
    encoder = training.benchmark.encoder
    made_with: dict[str, object] = {ENCODER: encoder._asdict()} if encoder else {}
    if training.categories is not None:
        made_with[FIELD] = training.categories
    if digests:
        made_with[TRAINING_QUESTIONS] = to_field(training.benchmark.queries)
    return fields | {"feature_dim": training.features.shape[1]} | made_with
