"""Format 1 of artifacts: what it lacks of the entries of format 2."""

from typing import Any

from ..schema import Entry

_VERSION = "contract"


def upgraded(raw: dict[str, Any]) -> dict[str, Any]:
    """Add the entries of format 2 to entries of format 1; the weights of votes in format 1 were only in the code."""
    if _VERSION not in raw or Entry.FORMAT_VERSION in raw:
        return raw
    raw = {Entry.FORMAT_VERSION: raw[_VERSION], **raw}
    if raw.get(Entry.ALGORITHM) == "knn":
        raw |= {Entry.QUALITY_WEIGHT: 0.9, Entry.SPEED_WEIGHT: 0.1, Entry.MIN_QUALITY: 0.01}
    return raw
