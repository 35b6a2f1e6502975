"""Asking backends: the answer of the first backend that serves is passed on byte for byte."""

import asyncio
import time
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import suppress
from typing import NamedTuple

import httpx
from prometheus_client import Counter, Histogram

from . import failing_over
from .bodies import Bodies
from .breaker import Breaker
from .config import Backend, Limits
from .failing_over import LOOKED_AT, Verdict
from .headers import Headers, to_backend, to_client

ATTEMPTS = Counter("modelpick_gateway_attempts", "Backends asked, by how they answered.", ["model", "outcome"])
FIRST_BYTE = Histogram(
    "modelpick_gateway_first_byte_seconds",
    "Time until a backend's first byte.",
    ["model"],
    buckets=(0.01, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120),
)
RETRY_AFTER = "retry-after"


class Failure(NamedTuple):
    """Why a backend did not serve."""

    backend: Backend
    status: int
    """Status for the client if no other backend serves: 502, or 504 after a time limit."""
    reason: str


class NoBackendError(Exception):
    """No backend served."""

    def __init__(self, failures: Sequence[Failure]) -> None:
        super().__init__("; ".join(f"{failure.backend.name}: {failure.reason}" for failure in failures))
        self.status = failures[-1].status
        self.failures = failures


class Answer(NamedTuple):
    """A backend's answer, whose headers and first bytes have arrived."""

    backend: Backend
    status: int
    headers: Headers
    """Headers that are passed on."""
    first: bytes
    rest: AsyncIterator[bytes]
    response: httpx.Response
    rule: failing_over.Rule
    failures: tuple[Failure, ...] = ()
    """Why each backend that was asked before did not serve."""
    hides_counts: bool = False
    """Whether a stream ends in token counts for which the client did not ask."""

    @property
    def retry_after(self) -> float | None:
        """Seconds after which the backend wants to be asked again, if it gives them."""
        with suppress(ValueError):
            return max(0.0, float(self.response.headers.get(RETRY_AFTER, "")))
        return None

    @property
    def streams(self) -> bool:
        """Whether the answer is a stream of events."""
        return _streams(self.response)


class Circuits(dict[str, Breaker]):
    """The breaker of each backend, made on first use."""

    def __init__(self, limits: Limits) -> None:
        super().__init__()
        self._limits = limits

    def __missing__(self, name: str) -> Breaker:
        made = self[name] = Breaker(name, self._limits.failures, self._limits.probe_seconds)
        return made


async def first_answer(
    web: httpx.AsyncClient,
    ranked: Sequence[Backend],
    bodies: Bodies,
    headers: Headers,
    limits: Limits,
    circuits: Mapping[str, Breaker],
) -> Answer:
    """Return the answer of the first backend that serves, by `failing_over`.

    Backends whose circuit is open are asked last. Where no backend serves, the last answer that a client may see is
    passed on; an answer that says when to ask again is preferred.

    Raises
    ------
    NoBackendError
        When no backend serves and no answer may be seen by a client.
    """
    failures: list[Failure] = []
    kept: Answer | None = None
    too_short = 0
    for backend in _turns(ranked, circuits):
        if backend.context_tokens is not None and backend.context_tokens <= too_short:
            continue
        breaker = circuits[backend.name]
        answer = await _answer(web, backend, bodies, to_backend(headers, backend.key), limits)
        if isinstance(answer, Failure):
            breaker.failed()
            failures.append(answer)
            continue
        if answer.rule.counts:
            breaker.failed(answer.retry_after)
        else:
            breaker.served()
        if answer.rule.verdict is Verdict.SERVES:
            return answer._replace(failures=tuple(failures))
        failures.append(Failure(backend, 502, f"status {answer.status}"))
        if answer.rule.verdict is Verdict.TOO_LONG:
            too_short = max(too_short, backend.context_tokens or 0)
        is_better = kept is None or kept.retry_after is None or answer.retry_after is not None
        if answer.rule.verdict is not Verdict.HIDDEN and is_better:
            kept = await _whole(answer, limits)
        else:
            await answer.response.aclose()
    if kept is None:
        raise NoBackendError(failures)
    return kept._replace(failures=tuple(failures))


def _turns(ranked: Sequence[Backend], circuits: Mapping[str, Breaker]) -> Iterator[Backend]:
    """Yield backends in the order in which to ask them: those whose circuit is open come last."""
    last = []
    for backend in ranked:
        if circuits[backend.name].take():
            yield backend
        else:
            last.append(backend)
    yield from last


async def _whole(answer: Answer, limits: Limits) -> Answer:
    """Read a failed answer, up to the length that is ever shown, so that its connection is free for another request."""
    body = bytearray(answer.first)
    with suppress(TimeoutError, httpx.HTTPError):
        async with asyncio.timeout(limits.connect_seconds):
            async for chunk in answer.rest:
                body += chunk
                if len(body) > LOOKED_AT:
                    break
    await answer.response.aclose()
    headers = [(name, value) for name, value in answer.headers if name != b"content-length"]
    return answer._replace(first=bytes(body), rest=_nothing(), headers=headers)


async def _nothing() -> AsyncIterator[bytes]:
    return
    yield b""


async def _answer(
    web: httpx.AsyncClient, backend: Backend, bodies: Bodies, headers: Headers, limits: Limits
) -> Answer | Failure:
    """Ask one backend; once more where it refuses to count the tokens of a stream."""
    while True:
        sent = bodies.of(backend)
        answer = await _ask(web, backend, sent.body, headers, limits)
        if isinstance(answer, Failure):
            return answer
        if not bodies.refused(backend, sent, answer.status, answer.first):
            return answer._replace(hides_counts=sent.counts)
        await answer.response.aclose()


async def _ask(
    web: httpx.AsyncClient, backend: Backend, body: bytes, headers: Headers, limits: Limits
) -> Answer | Failure:
    """Ask one backend, and wait for the first bytes of its body.

    The backend may close a kept connection just as the request arrives. Where nothing was sent back on a kept
    connection, the request is sent once more on a new one.
    """
    start = time.perf_counter()
    failed = ""
    for _ in range(2):
        connected = False

        async def trace(name: str, info: object) -> None:
            nonlocal connected
            connected = connected or name == "connection.connect_tcp.started"

        request = web.build_request("POST", backend.url, content=body, headers=list(headers))
        request.extensions["trace"] = trace
        response = None
        try:
            async with asyncio.timeout(limits.first_byte_seconds - (time.perf_counter() - start)):
                response = await web.send(request, stream=True)
                rest = response.aiter_raw()
                first = await _first(response, rest)
        except BaseException as error:
            if response is not None:
                await response.aclose()
            if isinstance(error, (TimeoutError, httpx.TimeoutException)):
                ATTEMPTS.labels(backend.name, "timeout").inc()
                return Failure(backend, 504, "no answer within the time limit")
            if not isinstance(error, httpx.HTTPError):
                raise
            failed = type(error).__name__
            if response is None and not connected:
                continue
            break
        FIRST_BYTE.labels(backend.name).observe(time.perf_counter() - start)
        ATTEMPTS.labels(backend.name, str(response.status_code)).inc()
        raw = response.headers.raw
        kind = response.headers.get("content-type", "").lower().encode("latin-1", "replace")
        rule = failing_over.rule(response.status_code, kind, first)
        return Answer(backend, response.status_code, to_client(raw), first, rest, response, rule)
    ATTEMPTS.labels(backend.name, "failed").inc()
    return Failure(backend, 502, failed)


def _streams(response: httpx.Response) -> bool:
    kind: str = response.headers.get("content-type", "")
    return kind.lower().startswith("text/event-stream")


async def _first(response: httpx.Response, rest: AsyncIterator[bytes]) -> bytes:
    """Return the first bytes of a body: a stream up to its first event, a refusal up to the inspected length."""
    streams, first = _streams(response), bytearray()
    async for chunk in rest:
        first += chunk
        is_enough = failing_over.events(first) if streams else response.status_code < 400 and first.strip()
        if is_enough or len(first) > LOOKED_AT:
            break
    return bytes(first)
