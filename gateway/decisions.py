"""What is written of a request for ``auto``: the decision, its answer, and the outcomes that are reported later."""

from collections.abc import Mapping
from dataclasses import dataclass, field

QUALITY = "quality"
# Status of a request whose client left before its answer was complete.
LEFT = 499
# Names of signals -> the quality that each stands for.
SIGNALS: Mapping[str, float] = {"thumbs_up": 1.0, "thumbs_down": 0.0, "accepted": 1.0, "regenerated": 0.0}


@dataclass(frozen=True, slots=True)
class Decision:
    """A model was picked."""

    id: str
    """See `modelpick.runtime.deciding.Ids`."""
    at: float
    """Seconds since 1970."""
    artifact: str
    encoder: str
    conversation: str
    """Digest of the client's key."""
    reason: str
    model: str
    default: str
    """The model that would have been asked without exploring."""
    propensity: float
    candidates: Mapping[str, Mapping[str, float | None]]
    """Name -> predicted outcomes."""
    excluded: Mapping[str, str]
    """Name -> why it was no candidate."""
    prompt_tokens: int
    """Estimated tokens of the prompt."""
    category: str | None = None
    shadow: str | None = None
    """The pick of the artifact in the shadow."""
    embedding: bytes | None = None
    """float32, little-endian, where it is stored."""
    text: str | None = None
    """The prompt, where it is stored."""


@dataclass(frozen=True, slots=True)
class Answered:
    """The answer to the request of a decision."""

    decision_id: str
    model: str | None
    """Status of the backend that answered; None where none did."""
    status: int
    success: bool
    first_byte_seconds: float | None
    seconds: float
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    cached_tokens: int | None = None
    estimated: bool = False
    """Whether the tokens are estimated, as the backend did not count them."""
    cost: float | None = None
    """Price of the tokens."""
    failures: Mapping[str, str] = field(default_factory=dict)
    """Backend that was asked before -> why it did not serve."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """An outcome of a decision, reported later."""

    decision_id: str
    signal: str
    """Name of the signal; `QUALITY` where it has none."""
    quality: float
    at: float


Row = Decision | Answered | Outcome
