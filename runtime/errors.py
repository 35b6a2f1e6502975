"""The errors of modelpick: one family, one line each, naming the place and what was expected there."""

_CONTROL_CHARACTERS = {code: f"\\u{code:04x}" for code in (*range(32), 127, 0x85, 0x2028, 0x2029)}


def one_line(text: str) -> str:
    """Escape what would end a line, and what cannot be written as UTF-8."""
    return text.translate(_CONTROL_CHARACTERS).encode("utf-8", "backslashreplace").decode()


class ModelpickError(ValueError):
    """Base of every error that modelpick raises about what it was given."""

    def __init__(self, message: str) -> None:
        super().__init__(one_line(message))


class DocumentError(ModelpickError):
    """A JSON model that is malformed, inconsistent or not trained."""


class ArtifactError(ModelpickError):
    """An artifact that is cut, altered, not modelpick's, of a newer format version, or closed."""


class FeatureError(ModelpickError):
    """A query whose width, shape, type or values the selector cannot score."""
