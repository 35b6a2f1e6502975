"""Passing a request to a backend, and its answer to the client, and recording the answer."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Any, Protocol

import httpx
from fastapi import Response
from starlette.types import Receive, Scope, Send

from modelpick.runtime.events import logger

from .backends import Answer, Circuits, NoBackendError, first_answer
from .bodies import Bodies
from .clients import Clients
from .config import Backend, Limits
from .decisions import LEFT
from .errors import RefusedError
from .headers import Headers
from .usage import Passing


@dataclass(slots=True)
class Served:
    """The result of a request."""

    backend: Backend | None = None
    status: int = LEFT
    is_complete: bool = False
    """Whether the whole answer was passed on."""
    first_byte_seconds: float | None = None
    seconds: float = 0.0
    usage: Mapping[str, int] = field(default_factory=dict)
    """Token counts of the backend, under the names of `Answered`."""
    estimate: int = 0
    """Estimated tokens of the answer."""
    failures: Mapping[str, str] = field(default_factory=dict)
    """Backend that was asked before -> why it did not serve."""


class Request(Protocol):
    """A request to pass on: its backends, and who is told of the result."""

    @property
    def backends(self) -> Sequence[Backend]:
        """Backends in the order in which they are asked."""

    @property
    def counts(self) -> bool:
        """Whether the token counts of its answer are recorded."""

    def headers(self, backend: Backend) -> Headers:
        """Return the headers that tell the client about the backend that serves."""


class UntilGone(Response):
    """A response sent by a function, which is cancelled as soon as the client goes away."""

    def __init__(self, serve: Callable[[Send], Awaitable[None]]) -> None:
        super().__init__()
        self._serve = serve

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve until the client goes away."""
        serving = asyncio.ensure_future(self._serve(send))
        gone = asyncio.ensure_future(_gone(receive))
        try:
            await asyncio.wait({serving, gone}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            gone.cancel()
            serving.cancel()
            (failed, _) = await asyncio.gather(serving, gone, return_exceptions=True)
        if isinstance(failed, Exception):
            raise failed


async def _gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


class Relay:
    """Passes requests on."""

    def __init__(self, clients: Clients, limits: Limits) -> None:
        self._clients, self._limits, self._circuits = clients, limits, Circuits(limits)
        self._uncounted: set[str] = set()

    async def serve(
        self,
        request: Request,
        raw: bytes,
        body: Mapping[str, Any],
        headers: Headers,
        done: Callable[[Served], None],
        send: Send,
    ) -> None:
        """Send the answer of the first backend that serves. If the answer breaks off, the client's connection does too.

        ``done`` is called once with the result, even if the client left.
        """
        served, passing, start = Served(), None, time.perf_counter()
        try:
            async with asyncio.timeout(self._limits.total_seconds), self._clients.one() as web:
                found = await first_answer(
                    web,
                    request.backends,
                    Bodies(raw, body, request.counts, self._uncounted),
                    headers,
                    self._limits,
                    self._circuits,
                )
                served.backend, served.status = found.backend, found.status
                served.failures = {failure.backend.name: failure.reason for failure in found.failures}
                served.first_byte_seconds = time.perf_counter() - start
                async with aclosing(found.response):
                    passing = Passing(found.streams, found.hides_counts)
                    await _pass_on(found, request.headers(found.backend), passing, send)
                    served.is_complete = True
        except NoBackendError as error:
            served.status = error.status
            served.failures = {failure.backend.name: failure.reason for failure in error.failures}
            raise
        except asyncio.CancelledError:
            if passing is None or not passing.is_done:
                served.status = LEFT
            raise
        except (TimeoutError, httpx.HTTPError) as error:
            if served.backend is None:
                served.status = 504
                raise RefusedError(504, "no answer within the time limit") from None
            # The server closes a connection whose response is not complete: the client sees the break.
            logger.warning("%s: broke off: %s", served.backend.name, type(error).__name__)
        finally:
            served.seconds = time.perf_counter() - start
            if passing is not None:
                served.is_complete = served.is_complete or passing.is_done
                served.usage, served.estimate = passing.usage(), passing.estimate
            done(served)


async def _pass_on(answer: Answer, told: Headers, passing: Passing, send: Send) -> None:
    """Send a backend's answer byte for byte, with more headers, and without token counts that are to be hidden."""
    headers = [*answer.headers, *told]
    await send({"type": "http.response.start", "status": answer.status, "headers": headers})
    await send({"type": "http.response.body", "body": passing.pass_on(answer.first), "more_body": True})
    async for chunk in answer.rest:
        await send({"type": "http.response.body", "body": passing.pass_on(chunk), "more_body": True})
    await send({"type": "http.response.body", "body": passing.rest()})
