"""The errors of modelpick: one family, one line each, naming the place and what was expected there."""

import re
from collections.abc import Sequence

MOST_CHARACTERS = 2_000
# Most models that an error names; the others are counted.
MOST_NAMED = 12
# Control characters of both sets, with which terminals are driven, and ends of lines and paragraphs.
CONTROLS = r"\x00-\x1f\x7f-\x9f\u2028\u2029"
# Marks, embeddings, overrides and isolates of direction, which change the order in which the text behind them is shown;
# halves of surrogates, which UTF-8 cannot hold; and code points that are no characters, which XML cannot hold.
_MARKS = rf"{CONTROLS}\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069\ufeff\ud800-\udfff\ufffe\uffff"
# A first strong isolate that is closed turns nothing outside of it: names stand so in reports.
_UNPRINTABLE = re.compile(rf"\u2068[^{_MARKS}]*(\u2069)|[{_MARKS}]")


def some_of(names: Sequence[str]) -> str:
    """Join names by commas; of more than `MOST_NAMED`, the others are counted."""
    shown, more = names[:MOST_NAMED], len(names) - MOST_NAMED
    return ", ".join(shown) + (f" and {more:,} more" if more > 0 else "")


def one_line(text: str) -> str:
    """Make any foreign text printable, on one line.

    Characters are escaped as in JSON if they end a line, control a terminal, turn the direction of the text behind
    them, or cannot be written as UTF-8 or in XML. Escaped JSON means what it meant before.
    """
    return _UNPRINTABLE.sub(lambda found: found[0] if found[1] else f"\\u{ord(found[0]):04x}", text)


def shortened(text: str) -> str:
    """Cut a text longer than `MOST_CHARACTERS` in its last third: the end often says what was expected."""
    if len(text) <= MOST_CHARACTERS:
        return text
    end = MOST_CHARACTERS // 3
    return f"{text[: MOST_CHARACTERS - end]} [{len(text) - MOST_CHARACTERS} characters] {text[-end:]}"


def first_line(cause: BaseException) -> str:
    """Return the first line of an error's message, or the error's class where the message is empty."""
    return next(iter(str(cause).splitlines()), "") or type(cause).__name__


class ModelpickError(ValueError):
    """Base of every error that modelpick raises about its input.

    Input may be of any length: a message has at most about `MOST_CHARACTERS` characters, before they are escaped.
    """

    def __init__(self, message: str) -> None:
        super().__init__(one_line(shortened(message)))


class DocumentError(ModelpickError):
    """A JSON model that is malformed, inconsistent or not trained."""


class ArtifactError(ModelpickError):
    """An artifact that is cut, altered, not modelpick's, of a newer format version, or closed."""


class UnreadableError(ArtifactError):
    """An artifact that the system could not read. Unlike a bad artifact, it may be readable later."""


class FeatureError(ModelpickError):
    """A query whose width, shape, type or values the selector cannot score."""
