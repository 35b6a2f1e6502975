"""The contents of an artifact, read and checked by the row of its algorithm."""

from collections.abc import Mapping
from typing import NamedTuple

from .algorithms import TABLE
from .algorithms.base import Row
from .artifact.metadata import Metadata, read_metadata
from .artifact.onnx_reader import Model, Tensor
from .artifact.protobuf import MalformedError
from .artifact.tables import check_tables
from .decision.outcomes import n_held
from .errors import ArtifactError, ModelpickError
from .schema import PREFIX, Entry


class Contents(NamedTuple):
    """What an artifact holds."""

    row: Row
    """How queries to the artifact are answered."""
    metadata: Metadata
    tables: Mapping[str, Tensor]
    """Initializers by name: views of the artifact's bytes."""
    model: Model


def read_contents(name: str, data: bytes) -> Contents:
    """Read an artifact and check all of it.

    Raises
    ------
    ArtifactError
        When the file is malformed or holds a graph that must not be run, an entry or a table is missing or malformed,
        the algorithm is unknown, or the format version is newer than this runtime.
    """
    try:
        return _contents(name, data)
    except ModelpickError:
        raise
    except MalformedError as cause:
        raise ArtifactError(f"{name}: malformed: {cause}") from None
    except Exception as cause:  # metadata of any shape fail in any way
        raise ArtifactError(f"{name}: malformed: {cause!r:.200}") from None


def _contents(name: str, data: bytes) -> Contents:
    metadata, model = read_metadata(name, data)
    row = TABLE.get((metadata.algorithm, metadata.semantics))
    if row is None:
        rows = ", ".join(f"{algorithm} of {semantics}" for algorithm, semantics in TABLE)
        raise ArtifactError(f"{name}: expected {rows}, got {metadata.algorithm} of {metadata.semantics}")
    if "quality_weight" in row.takes and metadata.weights is None:
        entries = " and ".join(PREFIX + key for key in (Entry.QUALITY_WEIGHT, Entry.SPEED_WEIGHT))
        raise ArtifactError(f"{name}: expected the metadata entries {entries}")
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
