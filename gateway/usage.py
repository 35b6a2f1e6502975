"""The token counts of an answer, read from its bytes as they pass."""

import json
import re
from collections.abc import Mapping
from typing import Any

# Most bytes that are kept: the beginning of a whole answer, or the end of a stream, where the usage is.
WHOLE, END = 1_000_000, 16_384


class Passing:
    """Keeps the part of an answer from which its usage is read."""

    def __init__(self, streams: bool) -> None:
        self._streams, self._kept = streams, bytearray()

    def add(self, chunk: bytes) -> None:
        """Read bytes as they pass."""
        if self._streams:
            self._kept += chunk[-END:]
            del self._kept[:-END]
        elif len(self._kept) <= WHOLE:
            self._kept += chunk

    @property
    def is_done(self) -> bool:
        """Whether a stream has announced its end: clients may leave then."""
        return self._streams and self._kept.rstrip().endswith(b"[DONE]")

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
