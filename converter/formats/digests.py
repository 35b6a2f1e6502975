"""Identifiers in the original's files: short digests of the identified content."""

from collections.abc import Iterable
from hashlib import blake2b


def digest(parts: Iterable[str]) -> str:
    """Return 16 hex digits: the first half of the 16-byte BLAKE2b of the parts, each in UTF-8 and followed by NUL."""
    hashed = blake2b(digest_size=16)
    for part in parts:
        hashed.update(part.encode() + b"\0")
    return hashed.hexdigest()[:16]
