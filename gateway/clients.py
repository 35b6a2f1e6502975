"""HTTP clients for the backends: made and checked at start, lent one request at a time, closed when idle."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from http.cookiejar import CookieJar, DefaultCookiePolicy

import httpx

from .config import ConfigError, Limits

# Environment variables that httpx reads.
VARIABLES = "HTTP_PROXY, HTTPS_PROXY, ALL_PROXY, NO_PROXY, SSL_CERT_FILE, SSL_CERT_DIR"


class Clients:
    """HTTP clients that have one request at a time each.

    For each request httpx looks at all connections of a client; with dozens of connections, this takes longer than the
    rest of the request.

    Raises
    ------
    ConfigError
        When the proxies or certificates that the environment names cannot be used.
    """

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        try:
            self._trusted = httpx.create_ssl_context()
            self._new()
        except Exception as error:  # of httpx, ssl, the system, or a library that proxies would need
            raise ConfigError(f"expected other values of {VARIABLES}: {error}") from None
        self._idle: list[tuple[float, httpx.AsyncClient]] = []

    @asynccontextmanager
    async def one(self) -> AsyncIterator[httpx.AsyncClient]:
        """Lend the client that was used last, since its connections are the most likely to be still open."""
        web = self._idle.pop()[1] if self._idle else self._new()
        try:
            yield web
        finally:
            self._idle.append((time.monotonic(), web))

    @asynccontextmanager
    async def kept(self) -> AsyncIterator[None]:
        """Close clients that have not been used for a while, as after a burst; at the end, close all."""
        closing = asyncio.ensure_future(self._close_idle())
        try:
            yield
        finally:
            closing.cancel()
            with suppress(asyncio.CancelledError):
                await closing
            for _, web in self._idle:
                await web.aclose()

    async def _close_idle(self) -> None:
        while True:
            await asyncio.sleep(self._limits.idle_seconds / 3)
            end = time.monotonic() - self._limits.idle_seconds
            while self._idle and self._idle[0][0] < end:
                await self._idle.pop(0)[1].aclose()

    def _new(self) -> httpx.AsyncClient:
        return httpx.AsyncClient(
            verify=self._trusted,
            timeout=httpx.Timeout(None, connect=self._limits.connect_seconds),
            cookies=CookieJar(DefaultCookiePolicy(allowed_domains=[])),  # cookies of one request must not reach another
            follow_redirects=False,
        )
