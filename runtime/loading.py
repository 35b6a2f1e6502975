"""From the bytes of an artifact to what answers by it: its contents, checked by its row, and its algorithm."""

from collections.abc import Mapping
from typing import NamedTuple

import onnxruntime

from .algorithms import TABLE, format_1, takers
from .algorithms.base import Algorithm, Artifact, Row
from .artifact.encoder import EncoderMetadata, encoder_of
from .artifact.entries import Entries, read_entries
from .artifact.metadata import Metadata, metadata_of
from .artifact.onnx_reader import Model, Tensor
from .artifact.protobuf import MalformedError
from .artifact.requirements import Requirements
from .artifact.tables import check_tables
from .decision.outcomes import n_held
from .errors import ArtifactError, ModelpickError
from .events import Observer
from .features import FeatureBuilder
from .queries import QueryChecks
from .request import Given, PreferenceChecks, UnknownCandidates
from .schema import PREFIX, Entry
from .session import Providers, cannot_run, open_subgraphs


class Contents(NamedTuple):
    """What an artifact holds."""

    row: Row
    """How queries to the artifact are answered."""
    metadata: Metadata
    tables: Mapping[str, Tensor]
    """Initializers by name: views of the artifact's bytes."""
    model: Model


class Loading(Given, total=False):
    """Keywords of `Selector.load` in addition to the artifact, for callers that pass them on."""

    providers: Providers | None
    sess_options: onnxruntime.SessionOptions | None
    unknown_candidates: UnknownCandidates | None
    expect: Requirements | None
    observer: Observer | None


class Source(NamedTuple):
    """The arguments that a selector was loaded with, and that its copies are loaded with in this process or another."""

    name: str
    data: bytes
    providers: Providers | None
    sess_options: onnxruntime.SessionOptions | None
    unknown_candidates: UnknownCandidates | None
    expect: Requirements | None
    observer: Observer | None
    given: Given


class Opened(NamedTuple):
    """What a selector is made of."""

    metadata: Metadata
    features: FeatureBuilder
    queries: QueryChecks
    preferences: PreferenceChecks
    algorithm: Algorithm


def open_artifact(source: Source) -> Opened:
    """Read and check an artifact, open its sessions, and make its algorithm.

    Raises
    ------
    ArtifactError
        See `modelpick.runtime.Selector.load`.
    FeatureError
        When a preference is invalid, or the algorithm does not take it.
    """
    name = source.name
    if source.expect is not None:
        source.expect.check_bytes(name, source.data)
    row, metadata, tables, model = read_contents(name, source.data)
    if source.expect is not None:
        source.expect.check(name, metadata)
    features = FeatureBuilder(metadata.n_features_in, metadata.embedding_dim)
    single = any(subgraph.is_single(tables) for subgraph in row.subgraphs)
    preferences = PreferenceChecks(
        metadata, row.takes, takers, row.skips_unknown, source.unknown_candidates, source.given
    )
    run = open_subgraphs(name, model, source.providers, source.sess_options, row.subgraphs, tables)
    try:
        algorithm = row.make(Artifact(run, metadata, tables, preferences.default))
    except Exception as cause:  # an artifact that does not hold what its metadata say fails in any way
        raise cannot_run(name, cause) from None
    return Opened(metadata, features, QueryChecks(features, single), preferences, algorithm)


def read_contents(name: str, data: bytes) -> Contents:
    """Read an artifact and check all of it.

    Raises
    ------
    ArtifactError
        When the file is malformed or holds a graph that must not be run, an entry or a table is missing or malformed,
        the algorithm is unknown, or the format version is newer than this runtime.
    """
    found = read_either(name, data)
    if isinstance(found, EncoderMetadata):
        raise ArtifactError(f"{name}: expected a selector, got an encoder: see modelpick.runtime.text")
    return found


def read_either(name: str, data: bytes) -> Contents | EncoderMetadata:
    """Read a selector, or the metadata of an encoder, whichever the file is; raises the errors of `read_contents`."""
    try:
        entries = read_entries(name, data)
        return encoder_of(entries)[0] if entries.is_encoder else _contents(name, entries)
    except ModelpickError:
        raise
    except MalformedError as cause:
        raise ArtifactError(f"{name}: malformed: {cause}") from None
    except Exception as cause:  # metadata of any shape fail in any way
        raise ArtifactError(f"{name}: malformed: {cause!r:.200}") from None


def _contents(name: str, entries: Entries) -> Contents:
    metadata, model = metadata_of(entries), entries.model
    table = format_1.TABLE if metadata.format_version == 1 else TABLE
    if table is TABLE and format_1.KEPT in model.tensors:
        raise ArtifactError(f"{name}: expected format version 1 of an artifact with the input {format_1.KEPT}")
    row = table.get((metadata.algorithm, metadata.semantics))
    if row is None:
        rows = ", ".join(f"{algorithm} of {semantics}" for algorithm, semantics in table)
        raise ArtifactError(f"{name}: expected {rows}, got {metadata.algorithm} of {metadata.semantics}")
    if "quality_weight" in row.takes and metadata.weights is None:
        lacking = " and ".join(PREFIX + key for key in (Entry.QUALITY_WEIGHT, Entry.SPEED_WEIGHT))
        raise ArtifactError(f"{name}: expected the metadata entries {lacking}")
    if row.metric and metadata.metric != row.metric:
        raise ArtifactError(f"{name}: {PREFIX}{Entry.METRIC}: expected {row.metric}, got {metadata.metric!r:.80}")
    lengths = {
        "rows": metadata.rows,
        "features": metadata.n_features_in,
        "models": len(metadata.model_names),
        "kinds": n_held(metadata.outcomes),
        "choices": len(metadata.choices),
        "k": metadata.k,
    }
    check_tables(row.tables, lengths, model.tensors)
    return Contents(row, metadata, model.tensors, model)
