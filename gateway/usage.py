"""The token counts of an answer, read from its bytes as they pass, or estimated from its text."""

import json
import re
from collections.abc import Mapping
from itertools import pairwise
from typing import Any

# Most bytes that are kept: the beginning of a whole answer, or the end of a stream, where the usage is.
WHOLE, END = 1_000_000, 16_384
# Characters of a token of an answer whose tokens nobody counted.
TOKEN = 4.0
# Texts of messages, deltas and arguments of tools, as JSON writes them.
_TEXT = re.compile(rb'"(?:content|arguments|text|reasoning_content)"\s*:\s*"((?:[^"\\]|\\.)*)"')
_END_OF_EVENT = re.compile(rb"\r\n\r\n|\n\n|\r\r")


class Passing:
    """Keeps the part of an answer from which its usage is read.

    Parameters
    ----------
    streams
        Whether the answer is a stream of events.
    hides_counts
        Whether the event of the token counts, for which the client did not ask, is kept from the client.
    """

    def __init__(self, streams: bool, hides_counts: bool = False) -> None:
        self._streams, self._hides = streams, streams and hides_counts
        self._kept, self._begun, self._characters = bytearray(), bytearray(), 0

    def pass_on(self, chunk: bytes) -> bytes:
        """Read bytes as they pass, and return those for the client.

        Where an event may be hidden, the beginning of an event waits for its end.
        """
        if not self._streams:
            if len(self._kept) <= WHOLE:
                self._kept += chunk
            return chunk
        self._kept += chunk[-END:]
        del self._kept[:-END]
        events = self._events(chunk)
        return b"".join(event for event in events if not _is_of_counts(event)) if self._hides else chunk

    def rest(self) -> bytes:
        """Return the bytes for the client that waited for the end of an event."""
        return bytes(self._begun) if self._hides else b""

    def _events(self, chunk: bytes) -> list[bytes]:
        """Return the events that a chunk completes, and count their text."""
        self._begun += chunk
        ends = [0, *(end.end() for end in _END_OF_EVENT.finditer(self._begun))]
        events = [bytes(self._begun[start:end]) for start, end in pairwise(ends)]
        del self._begun[: ends[-1]]
        self._characters += sum(map(_characters, events))
        return events

    @property
    def is_done(self) -> bool:
        """Whether a stream has announced its end: clients may leave then."""
        return self._streams and self._kept.rstrip().endswith(b"[DONE]")

    @property
    def estimate(self) -> int:
        """Estimated tokens of the text that has passed."""
        characters = self._characters if self._streams else _characters(bytes(self._kept))
        return round(characters / TOKEN)

    def usage(self) -> Mapping[str, int]:
        """Return the token counts of the answer under the names of `Answered`; empty where it has none."""
        if b'"usage"' not in self._kept:
            return {}
        if not self._streams:
            return _usage_of(bytes(self._kept))
        for line in reversed(re.findall(rb"^data:(.*)", bytes(self._kept), re.MULTILINE)):
            if b'"usage"' in line and (found := _usage_of(line)):
                return found
        return {}


def _characters(text: bytes) -> int:
    return sum(map(len, _TEXT.findall(text)))


def _is_of_counts(event: bytes) -> bool:
    """Whether an event holds the token counts, and no part of the answer."""
    if b'"usage"' not in event:
        return False
    try:
        value = json.loads(b"".join(re.findall(rb"^data:(.*)", event, re.MULTILINE)))
    except (ValueError, RecursionError):
        return False
    return isinstance(value, dict) and isinstance(value.get("usage"), dict) and value.get("choices") == []


def _usage_of(text: bytes) -> Mapping[str, int]:
    try:
        answer: Any = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    usage = answer.get("usage") if isinstance(answer, dict) else None
    if not isinstance(usage, dict):
        return {}
    details = usage.get("prompt_tokens_details")
    counts = {
        "prompt_tokens": usage.get("prompt_tokens"),
        "completion_tokens": usage.get("completion_tokens"),
        "cached_tokens": details.get("cached_tokens") if isinstance(details, dict) else None,
    }
    return {name: count for name, count in counts.items() if type(count) is int and 0 <= count < 2**53}
