"""Request bodies, read up to a limit, and checked. Each fault is a `RefusedError` with a status of 4xx."""

import asyncio
import json
import time
from collections.abc import Iterable, Mapping
from typing import Any

from fastapi import Request
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic_core import from_json
from starlette.requests import ClientDisconnect

from modelpick.runtime.errors import one_line

from .config import Limits
from .decisions import QUALITY, SIGNALS, Outcome
from .errors import RefusedError, invalid

# Characters of a key that an error shows.
SHOWN = 60


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


def named(raw: bytes, body: Mapping[str, Any], model: str) -> bytes:
    """Return a body for a model: unchanged where it names this model, else with the name replaced."""
    if body["model"] == model:
        return raw
    try:
        return json.dumps({**body, "model": model}, ensure_ascii=False, allow_nan=False).encode()
    except ValueError:  # 1e400 is read as infinity
        raise RefusedError(400, "expected finite numbers") from None
