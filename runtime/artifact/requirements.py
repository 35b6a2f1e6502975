"""What a service expects of an artifact, checked when it is loaded instead of at the first request."""

from collections.abc import Collection
from dataclasses import dataclass

from ..errors import ArtifactError
from .metadata import Metadata


@dataclass(frozen=True, slots=True, kw_only=True)
class Requirements:
    """What an artifact must be; what is None is not checked."""

    embedding_model: str | None = None
    """Model whose embeddings it was trained with, as `modelpick convert --embedding-model` recorded it."""
    embedding_dim: int | None = None
    """Width of these embeddings."""
    candidates: Collection[str] | None = None
    """Language models that it must know."""
    sha256: str | None = None
    """SHA-256 of the JSON model that it was converted from, in hex."""

    def check(self, name: str, metadata: Metadata) -> None:
        """Refuse an artifact that does not meet them.

        Raises
        ------
        ArtifactError
            Names the artifact, what was expected, and what it says.
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
