"""Adds models to a trained selector, from their records alone: JSON in, JSON out."""

from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from msgspec import Struct

from modelpick.runtime import DocumentError
from modelpick.runtime.features import CATEGORIES

from ..algorithms.row import Semantics
from ..files.io import read_bytes
from ..formats.outcomes import Benchmark, Settings
from ..formats.questions import TRAINING_QUESTIONS, digests, from_field, written
from ..formats.source import ENCODER
from ..load import load_estimator
from .records import required_embeddings
from .train import training_data

# What was measured without the new models.
_OUTDATED = ("operating_points",)


class _Trained(Struct):
    """What tells by which semantics a selector was trained: of KNN, only files by queries name a default."""

    algorithm: str
    default: str | None = None


def add_models(source: str | Path | bytes, records: Benchmark) -> dict[str, object]:
    """Add the models of records that a trained kernel ridge or KNN selector does not know.

    Its other models predict as before, by KNN nearly so. What its training measured, the operating points, is left out:
    train again for them, once the new models have as many records as the others.

    Parameters
    ----------
    source
        Path of a JSON model, or its bytes.
    records
        Records with embeddings, some dozens of each new model; records of known models are not read.

    Returns
    -------
    Fields of the JSON model: `json.dumps` makes a file of them.

    Raises
    ------
    DocumentError
        When the file is refused, is of another algorithm, or expects other embeddings; when the records have
        no new model, or not all kinds of outcomes that the file predicts; or when a query has no embedding.
    """
    name, data = read_bytes(source, DocumentError)
    semantics = _semantics(data)
    estimator = load_estimator(data if isinstance(source, bytes) else source, semantics=semantics)
    row = estimator.row
    if row.add is None:
        raise DocumentError(f"{name}: expected kernel_ridge or knn, got {row.algorithm} {row.semantics}")
    new = [model for model in records.model_names if model not in set(estimator.classes_)]
    if not new:
        known = ", ".join(estimator.classes_)
        raise DocumentError(f"{name}: expected records of a model that it does not know, got {known}")
    fields: dict[str, Any] = {key: value for key, value in msgspec.json.decode(data).items() if key not in _OUTDATED}
    width, wanted = required_embeddings(records).shape[1], estimator.n_features_in_
    if wanted not in (width, width + len(CATEGORIES)):
        raise DocumentError(f"{name}: expected embeddings for vectors of {wanted}, got {width} numbers")
    encoder = fields.get(ENCODER)
    if encoder and records.encoder and encoder["digest"] != records.encoder.digest:
        raise DocumentError(f"{name}: expected embeddings of the encoder {encoder['name']}, got {records.encoder}")
    training = training_data(records._replace(encoder=None), Settings(), one_hot=wanted > width)
    for place, model in enumerate(new):
        if place:
            estimator = load_estimator(msgspec.json.encode(fields), semantics=semantics)
        part = training.only(records.model_names.index(model))
        try:
            fields = row.add(estimator, fields, part)
        except DocumentError as refusal:
            raise DocumentError(f"{name}: {refusal}") from None
        if TRAINING_QUESTIONS in fields:
            both = np.concatenate([from_field(fields[TRAINING_QUESTIONS]), digests(part.benchmark.queries)])
            fields[TRAINING_QUESTIONS] = written(both)
    return fields


def _semantics(data: bytes) -> str:
    """Return by which semantics a JSON model was trained; loading says what is wrong with it."""
    try:
        trained = msgspec.json.decode(data, type=_Trained)
    except (msgspec.DecodeError, RecursionError):
        return Semantics.native
    return Semantics.queries if trained.algorithm == "knn" and trained.default else Semantics.native
