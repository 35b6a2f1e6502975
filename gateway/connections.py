"""Clients' connections: limits of their number, and of the time until a request's headers have arrived."""

import asyncio
from functools import partial
from typing import Any, cast

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

from .config import Limits


class Limited(H11Protocol):
    """Uvicorn's protocol, with limits that uvicorn lacks.

    A connection is closed after some time without complete headers of a request, since it costs the client nothing to
    hold it open. Once the maximum number of connections is reached, further connections are closed at once.
    """

    def __init__(self, *arguments: Any, limits: Limits, **more: Any) -> None:
        super().__init__(*arguments, **more)
        self._limits = limits
        self._waiting: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Start to wait for headers, or close."""
        super().connection_made(transport)
        if len(self.connections) > self._limits.connections:
            transport.close()
        else:
            self._wait_for_headers()

    def data_received(self, data: bytes) -> None:
        """Stop waiting once the headers are there."""
        super().data_received(data)
        self._wait_for_headers()

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop waiting."""
        self._stop_waiting()
        super().connection_lost(exc)

    def _wait_for_headers(self) -> None:
        if self.conn.their_state is not h11.IDLE:
            self._stop_waiting()
        elif self._waiting is None:
            self._waiting = self.loop.call_later(self._limits.header_seconds, self.transport.close)

    def _stop_waiting(self) -> None:
        if self._waiting is not None:
            self._waiting.cancel()
            self._waiting = None


def limited(limits: Limits) -> type[asyncio.Protocol]:
    """Return the protocol with its limits, as uvicorn takes it and hands it to workers."""
    return cast(type[asyncio.Protocol], partial(Limited, limits=limits))
