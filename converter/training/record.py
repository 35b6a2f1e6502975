"""A record: one answer of a language model, made from the fields of a row and checked."""

from collections import Counter
from collections.abc import Iterable
from datetime import UTC, datetime
from math import isfinite
from typing import Annotated, Any, NamedTuple

import msgspec
from msgspec import Meta, Struct

from modelpick.runtime.decision.outcomes import KINDS, QUALITY, Kind

from ..formats.decoding import Name, decode, refuse
from .forms import Fields

# Prefixes of responses by which the benchmarks of the original and of LLMRouter mark failures.
FAILURES = ("Error: ", "ERROR: ", "API Error: ")
FINITE = (
    *(field for kind in KINDS for field in kind.fields),
    *("input_tokens", "output_tokens", "token_num", "propensity", "timestamp"),
)
# The last second of the year 9999. Milliseconds of our days are beyond it.
LAST_SECOND = 253_402_300_799
_Tokens = Annotated[float, Meta(ge=0)]
_Id = int | float | str


class Record(Struct):
    """One answer of a language model."""

    query: Annotated[str, Meta(min_length=1)]
    model_name: Name
    performance: float | None = None
    category: str | None = None
    response_time: Annotated[float, Meta(ge=0, le=9e9)] | None = None
    """Seconds."""
    latency_ms: Annotated[float, Meta(ge=0, le=9e12)] | None = None
    cost: Annotated[float, Meta(ge=0)] | None = None
    success: bool | None = None
    embedding: list[float] | None = None
    task_name: str | None = None
    embedding_id: _Id | None = None
    """Key of the embedding, where embeddings are in a file of their own."""
    input_tokens: _Tokens | None = None
    output_tokens: _Tokens | None = None
    token_num: _Tokens | None = None
    """Input and output tokens together."""
    response: str | None = None
    propensity: Annotated[float, Meta(gt=0, le=1)] | None = None
    """Probability with which the policy that logged the answer picked the model for the question."""
    decision_id: _Id | None = None
    timestamp: Annotated[float, Meta(ge=0, le=LAST_SECOND)] | datetime | None = None
    """Seconds since 1970, or as ISO 8601 writes it."""
    policy: str | None = None
    session: str | None = None

    @property
    def time(self) -> float | None:
        """Seconds since 1970; a time without a zone is UTC."""
        if isinstance(self.timestamp, datetime):
            return (self.timestamp if self.timestamp.tzinfo else self.timestamp.replace(tzinfo=UTC)).timestamp()
        return self.timestamp

    @property
    def failed(self) -> bool:
        """Whether the answer failed."""
        if self.success is not None:
            return not self.success
        return not self.performance and (self.response or "").startswith(FAILURES)

    @property
    def outcomes(self) -> list[float | None]:
        """Outcome of each kind of `modelpick.runtime.decision.outcomes.KINDS`; the quality of a failed answer is 0."""
        found = [_outcome(self, kind) for kind in KINDS]
        if self.failed:
            found[QUALITY] = 0.0
        return found


def _outcome(record: Record, kind: Kind) -> float | None:
    for field, units in kind.fields.items():
        value: float | None = getattr(record, field)
        if value is not None:
            return value / units
    return None


class Answer(NamedTuple):
    """A record, and its place."""

    row: int
    """Number of the row among all rows that were read, from 1."""
    place: str
    """File and line."""
    record: Record


def make_record(fields: Fields, is_text: bool, odd: Counter[str]) -> Record:
    """Make a record from its fields, and count oddities.

    Parameters
    ----------
    is_text
        Whether all values are strings, as in CSV.

    Raises
    ------
    Refusal
        When a field is bad; the message names it.
    """
    if is_text:
        fields = _typed(fields)
    try:
        record = msgspec.convert(fields, Record, strict=not is_text)
    except msgspec.ValidationError:
        # Refusals are made from JSON, which cannot express infinity and NaN.
        _check_finite((field, fields.get(field)) for field in FINITE)
        record = decode(msgspec.json.encode(fields), Record, strict=False)
        odd["have numbers that are strings: they are read as numbers"] += not is_text
    _check(record)
    return record


def _typed(fields: Fields) -> Fields:
    """Decode the embedding, which CSV holds as JSON."""
    if "embedding" not in fields:
        return fields
    try:
        return fields | {"embedding": msgspec.json.decode(fields["embedding"])}
    except msgspec.DecodeError:
        refuse("embedding", "expected an array of numbers, as JSON writes it")


def _check_finite(values: Iterable[tuple[str, Any]]) -> None:
    for field, value in values:
        if isinstance(value, float) and not isfinite(value):
            refuse(field, f"expected a finite number, got {value}")


def _check(record: Record) -> None:
    _check_finite((field, getattr(record, field)) for field in FINITE)
    if record.embedding is None:
        return
    if not record.embedding:
        refuse("embedding", "expected at least one number")
    if not isfinite(sum(record.embedding)):
        for place, number in enumerate(record.embedding):
            if not isfinite(number):
                refuse(f"embedding[{place}]", f"expected a finite number, got {number}")
