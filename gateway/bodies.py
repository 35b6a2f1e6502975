"""Request bodies, read up to a limit, and checked. Each fault is a `RefusedError` with a status of 4xx."""

import asyncio
import json
import time
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from fastapi import Request
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic_core import from_json
from starlette.requests import ClientDisconnect

from modelpick.runtime.errors import one_line
from modelpick.runtime.events import logger

from .config import Backend, Limits
from .decisions import QUALITY, SIGNALS, Outcome
from .errors import RefusedError, invalid

# Characters of a key that an error shows.
SHOWN = 60
# The option of a stream that ends in its token counts.
OPTIONS, COUNTS = "stream_options", "include_usage"


class Query(BaseModel):
    """The body of ``POST /select/NAME``: features, or an embedding and its category."""

    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)

    features: list[float] | None = None
    embedding: list[float] | None = None
    category: str | None = None
    candidates: list[str] | None = None


class Said(BaseModel):
    """The body of ``POST /v1/outcomes``: a decision, and a quality, the name of a signal, or both."""

    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)

    decision_id: str = Field(pattern="^[0-9a-f]{32}$")
    quality: float | None = Field(None, ge=0, le=1)
    signal: str | None = Field(None, pattern=r"^[\w.-]{1,64}$")


async def read(request: Request, limits: Limits) -> bytes:
    """Read a body within the limits."""
    body = bytearray()
    try:
        async with asyncio.timeout(limits.total_seconds):
            async for chunk in request.stream():
                body += chunk
                if len(body) > limits.body_bytes:
                    expected = f"expected a body of {limits.body_bytes} bytes at most"
                    raise RefusedError(413, expected, code="request_too_large")
    except (TimeoutError, ClientDisconnect):
        raise RefusedError(408, "expected the whole body within the time limit") from None
    return bytes(body)


def query(raw: bytes) -> dict[str, Any]:
    """Check a vector query."""
    try:
        return Query.model_validate_json(raw).model_dump()
    except ValidationError as error:
        raise invalid(422, error) from None


def outcome(raw: bytes) -> Outcome:
    """Check an outcome of a decision."""
    try:
        said = Said.model_validate_json(raw)
    except ValidationError as error:
        raise invalid(422, error) from None
    quality = SIGNALS.get(said.signal or "") if said.quality is None else said.quality
    if quality is None:
        raise RefusedError(422, f"expected a quality, or a signal of {', '.join(SIGNALS)}", param="signal")
    return Outcome(said.decision_id, said.signal or QUALITY, quality, time.time())


def chat(raw: bytes) -> dict[str, Any]:
    """Check the keys of a chat completion that the gateway reads; the backend checks the others.

    A repeated key is refused: parsers differ in which of its values they take, so the backend could answer another
    request than the gateway has checked. Among the keys that the gateway reads, a key that differs from another one in
    case alone is refused too: Go's parser takes either.
    """
    try:
        body = from_json(raw, allow_inf_nan=False)
        json.loads(raw, object_pairs_hook=_once)
    except (ValueError, RecursionError) as error:
        raise RefusedError(400, f"expected JSON: {one_line(str(error))}") from None
    if not isinstance(body, dict):
        raise RefusedError(400, "expected a JSON object")
    messages = body.get("messages")
    for read in (body, *(messages if isinstance(messages, list) else ())):
        if isinstance(read, dict):
            _refuse_repeated(map(str.casefold, read))
    if not isinstance(body.get("model"), str):
        raise RefusedError(400, "model: expected a string", param="model")
    return body


def _once(pairs: list[tuple[str, Any]]) -> None:
    _refuse_repeated(key for key, _ in pairs)


def _refuse_repeated(keys: Iterable[str]) -> None:
    seen: set[str] = set()
    for key in keys:
        if key in seen:
            raise RefusedError(400, f"expected each key once, got {key[:SHOWN]!r} twice", param=key[:SHOWN])
        seen.add(key)


class Sent(NamedTuple):
    """A body for a backend."""

    body: bytes
    counts: bool = False
    """Whether the gateway asks for the token counts of a stream, for which the client did not ask."""


class Bodies:
    """The bodies of a request for its backends.

    Parameters
    ----------
    raw, body
        The body of the client, as it came and decoded.
    counts
        Whether backends are asked for the token counts of streams.
    uncounted
        Names of backends that refused to be asked, which are not asked again.
    """

    def __init__(self, raw: bytes, body: Mapping[str, Any], counts: bool, uncounted: set[str]) -> None:
        self._raw, self._body, self._counts, self._uncounted = raw, body, counts, uncounted

    def of(self, backend: Backend) -> Sent:
        """Return the body for a backend: unchanged where nothing is to be replaced."""
        model, options = backend.model or backend.name, self._body.get(OPTIONS) or {}
        asks = self._counts and backend.stream_usage and backend.name not in self._uncounted
        counts = asks and self._body.get("stream") is True and isinstance(options, dict) and not options.get(COUNTS)
        if self._body["model"] == model and not counts:
            return Sent(self._raw)
        new = {**self._body, "model": model} | ({OPTIONS: {**options, COUNTS: True}} if counts else {})
        try:
            return Sent(json.dumps(new, ensure_ascii=False, allow_nan=False).encode(), counts)
        except ValueError:  # 1e400 is read as infinity
            raise RefusedError(400, "expected finite numbers") from None

    def refused(self, backend: Backend, sent: Sent, status: int, words: bytes) -> bool:
        """Return whether a backend refused a body because of the token counts, for which it is not asked again."""
        is_refused = sent.counts and status in (400, 422) and any(name.encode() in words for name in (OPTIONS, COUNTS))
        if is_refused:
            self._uncounted.add(backend.name)
            logger.warning("%s refuses %s: say stream_usage = false", backend.name, OPTIONS)
        return is_refused
