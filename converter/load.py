"""The JSON models of the router: bytes -> the row of the table that they name -> a checked, fitted estimator."""

import hashlib
import warnings
from codecs import BOM_UTF8
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import msgspec
from msgspec import UNSET, Raw, Struct, UnsetType

from modelpick.runtime.artifact.metadata import Metadata
from modelpick.runtime.errors import DocumentError

from .algorithms import ALGORITHMS, OPTIONS, resolve
from .algorithms.base import Estimator
from .algorithms.row import AnyRow, Semantics
from .categories import FIELD, CategoryClassifier, check_classifier
from .files.io import read_contents
from .files.kinds import ARTIFACT, RECORDS, kind_of
from .files.text import not_utf8
from .formats.decoding import DocumentWarning, Refusal, check_fields_once, decode, decode_choice, refuse
from .formats.questions import TRAINING_QUESTIONS, from_field
from .formats.reader import Reader
from .formats.source import ENCODER, JSON_FORMATS, VECTOR, EncoderRecord, Source


class _Header(Struct):
    """The fields that determine how to read the others."""

    algorithm: Raw
    format_version: int | None = None
    encoder: EncoderRecord | None = None
    category_classifier: CategoryClassifier | None = None
    training_questions: str | None = None
    version: Any = None
    """Only in the router's earliest files."""
    training: Raw | UnsetType = UNSET


class _Named(Struct):
    algorithm: Raw | UnsetType = UNSET


class _Trained(Struct):
    trained: bool


# The router's first files of KNN, KMeans and SVM have "version" 1.0, and records instead of a model.
EARLIEST = (
    "expected a trained model: this is a file of the router's earliest form, with records of answers, which today's "
    "router does not pick by either; train one on these records"
)


def is_other_json(source: str | Path) -> bool:
    """Return whether a file is JSON that names no algorithm, such as a report: it is not meant to be a model."""
    try:
        _, data = read_contents(source, DocumentError)
        return msgspec.json.decode(data, type=_Named).algorithm is UNSET
    except msgspec.ValidationError:  # no object
        return True
    except (DocumentError, msgspec.DecodeError, RecursionError):
        return False


def load_estimator(
    source: str | Path | bytes,
    *,
    semantics: str = Semantics.native,
    k: int | None = None,
    shrinkage: float | None = None,
) -> Estimator:
    """Rebuild the fitted scikit-learn estimator that a JSON model describes.

    It answers in float64 exactly as the original library's selector does; ``predict`` returns model names.

    JSON is decoded into a *form*, a msgspec Struct that mirrors the file, old spellings included. The form is checked
    and becomes the estimator at once, by the row of `modelpick.converter.algorithms` that the file names.

    Parameters
    ----------
    source
        Path of a JSON file, or its bytes.
    semantics
        How the model picks: one of `Semantics`, or one with its version, such as "native/1". Without a version,
        "native" follows the file's ``format_version``, and the other semantics mean the newest version.
    k
        Number of neighbours of a KNN model, instead of the file's.
    shrinkage
        How many queries the mean of a model counts for; only for the semantics ``queries`` of a KNN model.

    Raises
    ------
    DocumentError
        When the file cannot be read, is not JSON of a known algorithm, is not trained, or its parts disagree: the
        message names the file, the JSON path and what was expected, in one line. When ``k`` or ``shrinkage`` is out of
        range, or the model does not take it.
    """
    given = {name: value for name, value in {"k": k, "shrinkage": shrinkage}.items() if value is not None}

    def checked(row: AnyRow) -> Mapping[str, Any]:
        for name, value in given.items():
            option = OPTIONS[name]
            if option not in row.options or not option.is_valid(value):
                raise DocumentError(f"{name}: expected {option.expected}, got {value}")
        return given

    return _load(source, semantics, checked)


def load_as_recorded(source: str | Path | bytes, metadata: Metadata) -> Estimator:
    """Rebuild the estimator of a JSON model with the semantics and the options that an artifact records.

    Raises
    ------
    DocumentError
        As `load_estimator` does.
    """
    return _load(
        source,
        metadata.semantics,
        lambda row: {option.name: metadata.raw[option.name] for option in row.options if option.name in metadata.raw},
    )


def _load(source: str | Path | bytes, semantics: str, options: Callable[[AnyRow], Mapping[str, Any]]) -> Estimator:
    name, data = read_contents(source, DocumentError)
    if data[: len(BOM_UTF8)] == BOM_UTF8:
        raise DocumentError(f"{name}: expected UTF-8 without a byte order mark")
    kind = kind_of(data)
    if kind in (ARTIFACT, RECORDS):
        made = "of which `modelpick convert` made it" if kind == ARTIFACT else "as `modelpick train` makes of them"
        raise DocumentError(f"{name}: expected a JSON model, {made}, got {kind}")
    if odd := not_utf8(data):
        raise DocumentError(f"{name}: {odd}")
    reader = Reader(data)
    try:
        check_fields_once(data)
        header = decode(data, _Header)
        algorithm = decode_choice(header.algorithm, ALGORITHMS, "$.algorithm")
        if header.format_version not in (None, *JSON_FORMATS):
            refuse("$.format_version", f"expected 1 or 2, got {header.format_version}")
        row = resolve(algorithm, semantics, header.format_version or 1)
        instead = row.instead(data) if row.instead else None
        if instead:
            reader.warn("$", f"lacks what {row.semantics} picks by, and picks by {instead}")
            row = resolve(algorithm, instead)
        fields: dict[str, Any] = {"algorithm": algorithm}
        if row.reads_trained:
            if not decode(data, _Trained).trained:
                refuse("$.trained", "expected true: the model is not trained")
            fields["trained"] = True
        if header.format_version is not None:
            fields["format_version"] = header.format_version
        if header.encoder is not None:
            fields[ENCODER] = msgspec.to_builtins(header.encoder)
        if header.category_classifier is not None:
            check_classifier(header.category_classifier)
            fields[FIELD] = msgspec.to_builtins(header.category_classifier)
        if header.training_questions is not None:
            from_field(header.training_questions)
            fields[TRAINING_QUESTIONS] = header.training_questions
        reads_records = "training" in row.form.__struct_fields__
        if isinstance(header.version, str) and header.training is not UNSET and not reads_records:
            refuse("$.training", EARLIEST)
        form = decode(data, row.form)
        fields |= msgspec.to_builtins(form, enc_hook=lambda raw: VECTOR)
        digest = hashlib.sha256(data).hexdigest()
        made_of = Source(name, digest, row.semantics, fields)
        estimator: Estimator = row.load(form, made_of, reader, **options(row))
        estimator.source_ = made_of
    except Refusal as refusal:
        raise DocumentError(f"{name}: {refusal}") from None
    except (msgspec.DecodeError, RecursionError) as error:
        raise DocumentError(f"{name}: expected JSON: {error}") from None
    for path, message in reader.odd:
        warnings.warn(f"{name}: {path}: {message}", DocumentWarning, stacklevel=3)
    return estimator
