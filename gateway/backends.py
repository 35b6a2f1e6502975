"""Asking backends: the first that answers serves, and its answer is passed on byte for byte."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from http.cookiejar import CookieJar, DefaultCookiePolicy
from typing import NamedTuple

import httpx
from prometheus_client import Counter, Histogram

from .config import Backend, Limits

ATTEMPTS = Counter("modelpick_gateway_attempts", "Backends asked, by how they answered.", ["model", "outcome"])
FIRST_BYTE = Histogram(
    "modelpick_gateway_first_byte_seconds",
    "Time until a backend's first byte.",
    ["model"],
    buckets=(0.01, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120),
)
# What concerns one connection only, what the gateway says itself, and what is between a backend and the gateway: its
# cookies, and what it would have browsers do with the gateway's address.
NOT_PASSED = frozenset(
    b"connection keep-alive proxy-authenticate proxy-authentication-info proxy-connection te trailer transfer-encoding "
    b"upgrade http2-settings date server via x-powered-by set-cookie set-cookie2 alt-svc strict-transport-security "
    b"clear-site-data expect-ct nel report-to reporting-endpoints public-key-pins refresh".split()
)
OUR_HEADERS = b"x-modelpick-"
# Statuses that an answer may have: no server can pass on others.
STATUSES = range(200, 600)


class Failure(NamedTuple):
    """Why a backend did not serve."""

    backend: str
    status: int
    """What the client gets if no other backend serves: 502, or 504 after a time limit."""
    reason: str


class NoBackendError(Exception):
    """No backend served."""

    def __init__(self, failures: Sequence[Failure]) -> None:
        super().__init__("; ".join(f"{failure.backend}: {failure.reason}" for failure in failures))
        self.status = failures[-1].status


class Answer(NamedTuple):
    """A backend's answer, whose first byte is there."""

    backend: Backend
    response: httpx.Response
    first: bytes
    rest: AsyncIterator[bytes]

    @property
    def serves(self) -> bool:
        """Whether the next backend need not be tried."""
        return self.response.status_code < 500 and self.response.status_code != 429

    @property
    def headers(self) -> list[tuple[bytes, bytes]]:
        """The headers that are passed on."""
        raw = [(key.lower(), value) for key, value in self.response.headers.raw]
        dropped = {*NOT_PASSED}
        for key, value in raw:
            if key == b"connection":  # names others that are of this connection
                dropped |= {name.strip().lower() for name in value.split(b",")}
            elif key == b"transfer-encoding":  # a length beside it does not count
                dropped.add(b"content-length")
        return [(key, value) for key, value in raw if key not in dropped and not key.startswith(OUR_HEADERS)]


class Clients:
    """HTTP clients that have one request at a time each.

    For every request httpx looks at all connections of a client, which takes longer than the rest of it as soon as
    there are dozens.
    """

    def __init__(self, limits: Limits) -> None:
        self._limits, self._trusted = limits, httpx.create_ssl_context()
        self._idle: list[httpx.AsyncClient] = []

    @asynccontextmanager
    async def one(self) -> AsyncIterator[httpx.AsyncClient]:
        """Lend a client; the one that was used last, since its connections are the most likely to be still open."""
        web = self._idle.pop() if self._idle else self._new()
        try:
            yield web
        finally:
            self._idle.append(web)

    def _new(self) -> httpx.AsyncClient:
        return httpx.AsyncClient(
            verify=self._trusted,
            timeout=httpx.Timeout(None, connect=self._limits.connect_seconds),
            cookies=CookieJar(DefaultCookiePolicy(allowed_domains=[])),  # those of one request are no other's
        )

    async def aclose(self) -> None:
        """Close the connections."""
        for web in self._idle:
            await web.aclose()


async def first_answer(
    web: httpx.AsyncClient,
    ranked: Sequence[Backend],
    body_for: Callable[[Backend], bytes],
    headers: Sequence[tuple[bytes, bytes]],
    limits: Limits,
) -> Answer:
    """Return the answer of the first backend that serves.

    The next one is tried where one refuses the connection, breaks off or exceeds a time limit before the first byte,
    or answers 429 or 5xx; what the last one answers is passed on whatever it is.

    Raises
    ------
    NoBackendError
        When the last one did not answer.
    """
    failures = []
    for backend in ranked:
        answer = await _ask(web, backend, body_for(backend), headers, limits)
        if isinstance(answer, Failure):
            failures.append(answer)
        elif answer.serves or backend is ranked[-1]:
            return answer
        else:
            await answer.response.aclose()
            failures.append(Failure(backend.name, 502, f"status {answer.response.status_code}"))
    raise NoBackendError(failures)


async def _ask(
    web: httpx.AsyncClient, backend: Backend, body: bytes, headers: Sequence[tuple[bytes, bytes]], limits: Limits
) -> Answer | Failure:
    """Ask one backend, and wait for the first byte of its body."""
    start = time.perf_counter()
    key = [(b"authorization", f"Bearer {backend.key}".encode())] if backend.key else []
    request = web.build_request("POST", backend.url, content=body, headers=[*headers, *key])
    response = None
    try:
        async with asyncio.timeout(limits.first_byte_seconds):
            response = await web.send(request, stream=True)
            if response.status_code not in STATUSES:
                raise httpx.RemoteProtocolError(f"status {response.status_code}")
            rest = response.aiter_raw()
            first = await anext(rest, b"")
    except BaseException as error:
        if response is not None:
            await response.aclose()
        if isinstance(error, (TimeoutError, httpx.TimeoutException)):
            ATTEMPTS.labels(backend.name, "timeout").inc()
            return Failure(backend.name, 504, "no answer within the time limit")
        if isinstance(error, httpx.HTTPError):
            ATTEMPTS.labels(backend.name, "failed").inc()
            return Failure(backend.name, 502, type(error).__name__)
        raise
    FIRST_BYTE.labels(backend.name).observe(time.perf_counter() - start)
    ATTEMPTS.labels(backend.name, str(response.status_code)).inc()
    return Answer(backend, response, first, rest)
