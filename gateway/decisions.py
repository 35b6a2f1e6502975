"""What is written of a request for ``auto``: the decision, what came of it, and what was later said of it."""

import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass, field

QUALITY = "quality"
# Status of a request whose client left before its answer was complete.
LEFT = 499
# Names of outcomes that say how good an answer was -> their quality.
SIGNALS: Mapping[str, float] = {"thumbs_up": 1.0, "thumbs_down": 0.0, "accepted": 1.0, "regenerated": 0.0}


def new_id() -> str:
    """Return an id of 32 hexadecimal digits; later ones sort behind earlier ones."""
    return f"{time.time_ns():016x}{secrets.token_hex(8)}"


@dataclass(frozen=True, slots=True)
class Decision:
    """A model was picked."""

    id: str
    at: float
    """Seconds since 1970."""
    artifact: str
    encoder: str
    conversation: str
    """Digest of its key."""
    reason: str
    model: str
    default: str
    """What would have been asked without exploring."""
    propensity: float
    candidates: Mapping[str, Mapping[str, float | None]]
    """Name -> predicted outcomes."""
    excluded: Mapping[str, str]
    """Name -> why it was no candidate."""
    prompt_tokens: int
    """Estimate."""
    category: str | None = None
    shadow: str | None = None
    """What the artifact in the shadow picked."""
    embedding: bytes | None = None
    """float32, little-endian, where it is stored."""
    text: str | None = None
    """The prompt, where it is stored."""


@dataclass(frozen=True, slots=True)
class Answered:
    """What came of a decision."""

    decision_id: str
    model: str | None
    """That of the backend that answered; None where none did."""
    status: int
    success: bool
    first_byte_seconds: float | None
    seconds: float
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    cached_tokens: int | None = None
    cost: float | None = None
    """By price, of the tokens that the backend counted."""
    failures: Mapping[str, str] = field(default_factory=dict)
    """Backend that was asked before -> why it did not serve."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What was said of a decision's answer, later."""

    decision_id: str
    signal: str
    """Its name; `QUALITY` where it has none."""
    quality: float
    at: float


Row = Decision | Answered | Outcome
