"""Queries for the command, from a file or standard input."""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

from modelpick.runtime import FeatureError


def read_queries(path: Path | None) -> Iterator[tuple[str, Any]]:
    """Read queries, JSON arrays of numbers, one a line or an array of arrays: each with its place, for messages.

    Raises
    ------
    FeatureError
        When the file, standard input if None, cannot be read or holds anything else.
    """
    name = "<stdin>" if path is None else str(path)
    try:
        data = sys.stdin.buffer.read() if path is None else path.read_bytes()
    except (OSError, ValueError) as cause:
        raise FeatureError(f"{name}: cannot be read: {getattr(cause, 'strerror', None) or cause}") from None
    try:
        values = [(name, msgspec.json.decode(data))]
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        lines = ((f"{name}:{number}", line) for number, line in enumerate(data.splitlines(), 1) if line.strip())
        values = [(place, _query(place, line)) for place, line in lines]
    if not values:
        raise FeatureError(f"{name}: expected at least one query")
    for place, value in values:
        if isinstance(value, list) and value and all(isinstance(query, list) for query in value):
            yield from ((f"{place}: $[{i}]", query) for i, query in enumerate(value))
        else:
            yield place, value


def _query(place: str, line: bytes) -> Any:
    try:
        return msgspec.json.decode(line)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise FeatureError(f"{place}: expected a JSON array of numbers: {error}") from None
