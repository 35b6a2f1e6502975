"""The errors of modelpick: one family, one line each, naming the place and what was expected there."""

MOST_CHARACTERS = 2_000
_CONTROL_CHARACTERS = {code: f"\\u{code:04x}" for code in (*range(32), 127, 0x85, 0x2028, 0x2029)}


def one_line(text: str) -> str:
    """Escape what would end a line, and what cannot be written as UTF-8."""
    return text.translate(_CONTROL_CHARACTERS).encode("utf-8", "backslashreplace").decode()


def shortened(text: str) -> str:
    """Cut what is longer than `MOST_CHARACTERS`, in its last third: the end often says what was expected."""
    if len(text) <= MOST_CHARACTERS:
        return text
    end = MOST_CHARACTERS // 3
    return f"{text[: MOST_CHARACTERS - end]} [{len(text) - MOST_CHARACTERS} characters] {text[-end:]}"


def first_line(cause: BaseException) -> str:
    """Return the first line of what an error says, or its kind where it says nothing."""
    return next(iter(str(cause).splitlines()), "") or type(cause).__name__


class ModelpickError(ValueError):
    """Base of every error that modelpick raises about what it was given.

    What it was given may be of any length: a message has about `MOST_CHARACTERS` at most, before they are escaped.
    """

    def __init__(self, message: str) -> None:
        super().__init__(one_line(shortened(message)))


class DocumentError(ModelpickError):
    """A JSON model that is malformed, inconsistent or not trained."""


class ArtifactError(ModelpickError):
    """An artifact that is cut, altered, not modelpick's, of a newer format version, or closed."""


class UnreadableError(ArtifactError):
    """An artifact that the system could not read: what is bad stays so, and this may be read later."""


class FeatureError(ModelpickError):
    """A query whose width, shape, type or values the selector cannot score."""
