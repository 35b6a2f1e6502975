"""What a selector and a store report to an observer."""

import logging
import traceback
from collections.abc import Callable
from dataclasses import dataclass

from .deciding import Decision
from .errors import one_line


def printable(record: logging.LogRecord) -> bool:
    """Make the arguments of a line of the log printable: names of files and models, categories, messages of others.

    The line's template and its numbers are not changed.
    """
    if isinstance(record.args, tuple):
        record.args = tuple(arg if isinstance(arg, (int, float)) else one_line(str(arg)) for arg in record.args)
    if record.exc_info and record.exc_info[0] is not None and not record.exc_text:
        lines = "".join(traceback.format_exception(*record.exc_info)).rstrip("\n").split("\n")
        record.exc_text = "\n".join(map(one_line, lines))
    return True


logger = logging.getLogger("modelpick")
logger.addFilter(printable)
MOST_NAMES, NAME_LENGTH = 100, 100
UNKNOWN = "unknown"
# Bounds in seconds by which observers count durations: one request takes microseconds, a large batch seconds.
BUCKETS = (10e-6, 25e-6, 50e-6, 100e-6, 250e-6, 500e-6, 1e-3, 2.5e-3, 10e-3, 100e-3, 1.0, 10.0)


@dataclass(frozen=True, slots=True)
class Selection:
    """Models were picked."""

    selector: str
    """Name of the selector: its file's, without the suffix."""
    models: tuple[str, ...]
    """The model picked for each query; `UNKNOWN` where the only candidate is no model of the artifact."""
    seconds: float
    """Duration of the call."""
    decisions: tuple[Decision, ...] = ()
    """The decision on each query, where `Selector.decide` or a similar method picked. A name in it may be any text of
    any user where the only candidate is no model of the artifact."""


@dataclass(frozen=True, slots=True)
class Far:
    """Queries that are far from the training questions got the default model, see `modelpick.runtime.request.Given`."""

    selector: str
    queries: int
    """Number of them in a call."""


@dataclass(frozen=True, slots=True)
class Swap:
    """A store replaced a selector, or loaded the first one of a name."""

    selector: str
    sha256: str
    """SHA-256 of the JSON model that the new one was converted from."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """A store refused a file; the old selector, if there is one, keeps serving."""

    selector: str
    reason: str


class Remembered:
    """Names that a warning was logged for: at most `MOST_NAMES`, each by its first `NAME_LENGTH` characters.

    Names may be any text of any user. Once `MOST_NAMES` are remembered, no warning is logged for another name.
    """

    def __init__(self) -> None:
        self._names: set[str] = set()

    def is_new(self, name: str) -> bool:
        """Whether to log a warning for a name, which is remembered."""
        start = name[:NAME_LENGTH]
        if start in self._names or len(self._names) >= MOST_NAMES:
            return False
        self._names.add(start)
        return True


Event = Selection | Far | Swap | Refusal
Observer = Callable[[Event], None]


def notify(observer: Observer, event: Event) -> None:
    """Call an observer. An exception of the observer is logged, and never reaches a request."""
    try:
        observer(event)
    except Exception:
        logger.exception("an observer failed on %.200s", event)
