"""The metadata entries of an artifact or an encoder, each checked when it is read."""

import json
import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from ..errors import CONTROLS, ArtifactError
from ..schema import PREFIX, EncoderEntry, Entry
from .format_1 import upgraded
from .onnx_reader import Model
from .protobuf import MalformedError

# The seal, graphs and tokenizers are not JSON; the other entries can be large, and only restoring needs them.
_UNDECODED = {Entry.SEAL, Entry.CATEGORY_GRAPH, Entry.DOCUMENT, Entry.VECTORS, EncoderEntry.TOKENIZER}
# A name is printed on a line of its own, and written as UTF-8.
_NO_NAME = re.compile(rf"[{CONTROLS}\ud800-\udfff]")
MOST = sys.float_info.max
_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Entries:
    """Metadata entries; each method raises an `ArtifactError` that names the entry, when it is missing or invalid."""

    name: str
    """Name of the file, for messages."""
    raw: Mapping[str, Any]
    """Those that are JSON, decoded, without the ``modelpick.`` prefix."""
    texts: Mapping[str, str]
    """All of them as they are, likewise."""
    model: Model
    """The file."""

    @property
    def is_encoder(self) -> bool:
        """Whether they are an encoder's."""
        return EncoderEntry.VERSION in self.raw

    def refusal(self, key: str, reason: str) -> ArtifactError:
        """Return the error of an entry."""
        return ArtifactError(f"{self.name}: {PREFIX}{key}: {reason}")

    def version(self, key: str, newest: int, of: str) -> int:
        """Return the version of a format, which is no newer than this runtime knows."""
        version = self.required(key, int)
        if version > newest:
            raise ArtifactError(f"{self.name}: expected {of} {newest} or older, got {version}: upgrade modelpick")
        return version

    def required(self, key: str, kind: type[_T]) -> _T:
        """Return an entry of a type; an integer is 0 or more."""
        if key not in self.raw:
            raise ArtifactError(f"{self.name}: expected the metadata entry {PREFIX}{key}")
        value = self.raw[key]
        if type(value) is not kind:
            raise self.refusal(key, f"expected {kind.__name__}, got {type(value).__name__}")
        if isinstance(value, int) and value < 0:
            raise self.refusal(key, f"expected 0 or more, got {value}")
        return value

    def optional(self, key: str, kind: type[_T]) -> _T | None:
        """Return the same, or None where there is no such entry."""
        return self.required(key, kind) if key in self.raw else None

    def names(self, key: str) -> tuple[str, ...]:
        """Return names, at least one."""
        values = self.required(key, list)
        if not values or not all(isinstance(value, str) for value in values):
            raise self.refusal(key, "expected names")
        if any(not value or _NO_NAME.search(value) for value in values):
            raise self.refusal(key, "expected names without control characters, ends of lines and halves of surrogates")
        return tuple(values)

    def number(self, key: str, least: float = -MOST, most: float = MOST) -> float | None:
        """Return a number within bounds, or None where there is none."""
        value = self.raw.get(key)
        if value is None:
            return None
        if type(value) not in (int, float):
            raise self.refusal(key, f"expected a number, got {type(value).__name__}")
        if not least <= value <= most:
            raise self.refusal(key, f"expected a number from {least} to {most}")
        return float(value)

    def numbers(self, key: str) -> tuple[float, ...]:
        """Return finite numbers, perhaps none."""
        values = self.optional(key, list) or []
        if not all(map(is_number, values)):
            raise self.refusal(key, "expected finite numbers")
        return tuple(map(float, values))


def is_number(value: object) -> bool:
    """Whether a value is a finite number."""
    return isinstance(value, (int, float)) and abs(value) <= MOST


def read_entries(name: str, data: bytes) -> Entries:
    """Decode the metadata of an artifact or an encoder.

    Raises
    ------
    ArtifactError
        When the file is malformed or holds a graph that must not be run.
    """
    try:
        model = Model(data)
        texts = {key.removeprefix(PREFIX): value for key, value in model.properties.items()}
        raw = {key: json.loads(value) for key, value in texts.items() if key not in _UNDECODED}
    except (MalformedError, ValueError, RecursionError) as cause:
        raise ArtifactError(f"{name}: malformed: {cause}") from None
    return Entries(name, upgraded(raw), texts, model)
