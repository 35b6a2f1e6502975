"""Preferences of a request: in the name of its model, ``auto:0.95``, or in headers."""

from collections.abc import Mapping

from pydantic import ValidationError

from .config import AUTO, Preference
from .errors import invalid

# Header -> key of `Preference`.
HEADERS = {f"x-modelpick-{key.replace('_', '-')}": key for key in Preference.model_fields}


def is_auto(model: str) -> bool:
    """Return whether a model's name asks for a pick."""
    return model.partition(":")[0] == AUTO


def preference_of(model: str, headers: Mapping[str, str], default: Preference) -> Preference:
    """Return the preferences of a request, which replace all preferences of the configuration.

    Raises
    ------
    RefusedError
        When a preference is invalid.
    """
    asked = {key: headers[header] for header, key in HEADERS.items() if header in headers}
    _, colon, keep = model.partition(":")
    if colon:
        asked["keep"] = keep
    if not asked:
        return default
    try:
        return Preference.model_validate(asked)
    except ValidationError as error:
        raise invalid(400, error) from None
