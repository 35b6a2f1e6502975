"""Whether a backend's answer serves, or the next best backend is asked: one table."""

import json
import re
from collections.abc import Mapping
from enum import Enum, auto
from typing import NamedTuple

# Most bytes of an answer that are searched for an error.
LOOKED_AT = 65_536
_CONTEXT = re.compile(
    rb"context[_ ](length|window|size)|maximum context|too many tokens|prompt is too long|(input|request) is too long"
    rb"|max(imum)?[_ ](input|prompt)[_ ]tokens|reduce the length",
    re.IGNORECASE,
)
_SAYS = re.compile(rb"^(data|event):", re.MULTILINE)
# The beginning of a JSON body with an error that is not null.
_ERROR = re.compile(rb'\s*\{\s*"error"\s*:\s*[^n\s]')


class Verdict(Enum):
    """What an answer means."""

    SERVES = auto()
    """The answer is passed on: success, or a fault of the client's that any backend would find."""
    FAILS = auto()
    """The next best backend is asked; where none serves, this answer may be passed on."""
    HIDDEN = auto()
    """The next best backend is asked; the client never sees this answer, which is meant for the gateway."""
    TOO_LONG = auto()
    """As `FAILS`, but the next backend is one that may hold a longer prompt."""


class Rule(NamedTuple):
    """A row of the table."""

    verdict: Verdict
    counts: bool
    """Whether the breaker counts the answer as a failure of the backend."""


_FAILS, _HIDDEN = Rule(Verdict.FAILS, True), Rule(Verdict.HIDDEN, True)
_SERVES, TOO_LONG = Rule(Verdict.SERVES, False), Rule(Verdict.TOO_LONG, False)
STATUSES: Mapping[int, Rule] = {
    401: _HIDDEN,  # the gateway's key, not the client's; some show parts of it
    402: _FAILS,
    403: _FAILS,
    404: _FAILS,  # the backend does not know its model any more
    407: _HIDDEN,
    408: _FAILS,
    413: TOO_LONG,
    425: _FAILS,
    429: _FAILS,
}
# By the first digit, where the status has no row of its own.
CLASSES: Mapping[int, Rule] = {2: _SERVES, 3: _HIDDEN, 4: _SERVES, 5: _FAILS}
# Statuses that no server can pass on.
NO_STATUS = _HIDDEN
# Statuses by which backends refuse what is too long for them.
_REFUSALS = (400, 422)


def rule(status: int, kind: bytes, first: bytes) -> Rule:
    """Return the row of an answer.

    Parameters
    ----------
    status
        Status of the answer.
    kind
        Content type of the answer.
    first
        The start of the body, up to `LOOKED_AT` bytes: the first event of a stream, else the bytes that have arrived.
    """
    if status in _REFUSALS and _CONTEXT.search(first):
        return TOO_LONG
    found = STATUSES.get(status) or CLASSES.get(status // 100, NO_STATUS)
    if status // 100 != 2:
        return found
    streams = kind.startswith(b"text/event-stream")
    if not (_SAYS.search(first) if streams else first.strip()):
        return _HIDDEN
    is_error = any(map(_is_error_event, events(first))) if streams else _ERROR.match(first) is not None
    return _FAILS if is_error else found


def events(stream: bytes | bytearray) -> list[bytes]:
    """Return the complete events of a stream, without comments."""
    whole = re.split(rb"\r\n\r\n|\n\n|\r\r", bytes(stream))[:-1]
    return [event for event in whole if _SAYS.search(event)]


def _is_error_event(event: bytes) -> bool:
    lines = event.splitlines()
    if any(line.startswith(b"event:") and line[6:].strip() == b"error" for line in lines):
        return True
    try:
        value = json.loads(b"\n".join(line[5:] for line in lines if line.startswith(b"data:")))
    except ValueError:
        return False
    return isinstance(value, dict) and bool(value.get("error")) and not value.get("choices")
