"""The estimator of an artifact, without the JSON model's file."""

import warnings
from pathlib import Path

from modelpick.runtime import ArtifactError, Metadata
from modelpick.runtime.artifact.seal import read_sealed
from modelpick.runtime.loading import read_contents

from ..algorithms import TABLE
from ..algorithms.base import Estimator
from ..artifact.restore import to_json
from ..formats.decoding import DocumentWarning
from ..load import load_as_recorded


def restored_estimator(artifact: Path) -> Estimator:
    """Rebuild the estimator of an artifact from the JSON model that it restores.

    Raises
    ------
    ArtifactError
        When it was not converted from a JSON model, or no more artifacts of its semantics are made.
    """
    model = to_json(artifact).encode()
    metadata = read_contents(*read_sealed(artifact)).metadata
    check_is_made(str(artifact), metadata)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DocumentWarning)  # warnings were shown at conversion
        return load_as_recorded(model, metadata)


def is_made(metadata: Metadata) -> bool:
    """Whether artifacts of these semantics are still made, so that there is an estimator to compare with."""
    return (metadata.algorithm, metadata.semantics) in TABLE


def check_is_made(name: str, metadata: Metadata) -> None:
    """Refuse an artifact that has no estimator to compare it with; ``name`` is for messages.

    Raises
    ------
    ArtifactError
        When no more artifacts of its semantics are made.
    """
    if not is_made(metadata):
        made = ", ".join(semantics for algorithm, semantics in TABLE if algorithm == metadata.algorithm)
        raise ArtifactError(
            f"{name}: expected semantics of which artifacts are still made, {made}, got {metadata.semantics}: it "
            "can be run and restored, but not compared with its model"
        )
