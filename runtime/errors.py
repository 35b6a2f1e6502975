"""The errors of modelpick: one family, one line each, naming the place and what was expected there."""


class ModelpickError(ValueError):
    """Base of every error that modelpick raises about what it was given."""


class DocumentError(ModelpickError):
    """A JSON model that is malformed, inconsistent or not trained."""


class ArtifactError(ModelpickError):
    """An artifact that is cut, altered, not modelpick's, of a newer contract, or closed."""


class FeatureError(ModelpickError):
    """A query whose width, shape, type or values the selector cannot score."""
