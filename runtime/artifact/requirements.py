"""Requirements of a service on an artifact, checked when it is loaded instead of at the first request."""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass

from ..errors import ArtifactError, FeatureError
from .metadata import Metadata


@dataclass(frozen=True, slots=True, kw_only=True)
class Requirements:
    """Requirements that an artifact must meet; those that are None are not checked.

    Raises
    ------
    FeatureError
        When the candidates are a single name, or are not all names.
    """

    embedding_model: str | None = None
    """Model whose embeddings it was trained with, as ``modelpick convert --embedding-model`` recorded it."""
    embedding_dim: int | None = None
    """Width of these embeddings."""
    candidates: Iterable[str] | None = None
    """Language models that it must know."""
    sha256: str | None = None
    """SHA-256, in hex, of the JSON model that the artifact names as its source."""
    artifact_sha256: str | None = None
    """SHA-256 of the artifact's file, in hex, as ``sha256sum`` prints it; checked before the file is parsed."""

    def __post_init__(self) -> None:
        given = self.candidates
        if given is None:
            return
        names = tuple(given) if isinstance(given, Iterable) and not isinstance(given, str) else (None,)
        if not all(isinstance(name, str) for name in names):
            raise FeatureError(f"candidates: expected a list of names, got {given!r}")
        object.__setattr__(self, "candidates", names)  # frozen; a generator would be empty at the second check

    def check_bytes(self, name: str, data: bytes) -> None:
        """Refuse a file other than the pinned one.

        Raises
        ------
        ArtifactError
            Names the artifact, and both digests.
        """
        if self.artifact_sha256 is None:
            return
        got = hashlib.sha256(data).hexdigest()
        if got != self.artifact_sha256.lower():
            raise ArtifactError(f"{name}: expected artifact_sha256 {self.artifact_sha256!r}, got {got!r}")

    def check(self, name: str, metadata: Metadata) -> None:
        """Refuse an artifact that does not meet the requirements.

        Raises
        ------
        ArtifactError
            Names the artifact, the requirement, and what the artifact has instead.
        """
        said = {
            "embedding_model": metadata.embedding_model,
            "embedding_dim": metadata.embedding_dim,
            "sha256": metadata.source_sha256,
        }
        for field, got in said.items():
            expected = getattr(self, field)
            if expected is not None and got != expected:
                raise ArtifactError(f"{name}: expected {field} {expected!r}, got {got!r}")
        unknown = sorted(set(self.candidates or ()) - set(metadata.model_names))
        if unknown:
            known = ", ".join(metadata.model_names)
            raise ArtifactError(f"{name}: expected candidates {', '.join(unknown)}, got an artifact of {known}")
