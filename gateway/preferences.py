"""What a request prefers: in the name of its model, ``auto:0.95``, or in headers."""

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
    """Return what a request prefers; what it says takes the place of all that the file says.

    Raises
    ------
    RefusedError
        When it says what cannot be preferred.
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
