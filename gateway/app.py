"""An OpenAI-compatible gateway that picks the model; and a service that picks for vectors.

Files that change are swapped in while requests are served.
"""

import asyncio
import os
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, aclosing, asynccontextmanager, contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import httpx
from fastapi import APIRouter, FastAPI, Request, Response
from prometheus_client import CONTENT_TYPE_LATEST
from starlette.exceptions import HTTPException
from starlette.types import Receive, Scope, Send

from modelpick.runtime import FeatureError, ModelpickError, SelectorStore
from modelpick.runtime.events import logger
from modelpick.runtime.serving.prometheus import PrometheusObserver, exposition

from . import bodies
from .backends import Answer, Clients, NoBackendError, first_answer
from .config import AUTO, Config, read
from .errors import RefusedError, answer
from .rankings import Choice, Rankings

OBSERVER = PrometheusObserver()
STARTED = int(time.time())
# Headers of the client that backends get, byte for byte, and what they get without.
FORWARDED = {b"accept": b"*/*", b"accept-encoding": b"identity"}
# Bytes of a body up to which reading it takes less time than handing it to a thread is worth.
SMALL_BODY = 65_536


class UntilGone(Response):
    """A response sent by a function, which is cancelled as soon as the client goes away."""

    def __init__(self, serve: Callable[[Send], Awaitable[None]]) -> None:
        super().__init__()
        self._serve = serve

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve, and listen for the client's going away."""
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


async def pass_on(answer: Answer, more: list[tuple[bytes, bytes]], send: Send) -> None:
    """Send a backend's answer byte for byte, with more headers."""
    status, headers = answer.response.status_code, answer.headers + more
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": answer.first, "more_body": True})
    async for chunk in answer.rest:
        await send({"type": "http.response.body", "body": chunk, "more_body": True})
    await send({"type": "http.response.body", "body": b""})


async def relay(choices: list[Choice], request: Request, raw: bytes, body: dict[str, Any], send: Send) -> None:
    """Send the answer of the first backend that serves; where that breaks off, so does the client's connection."""
    config: Config = request.app.state.config
    headers = {b"content-type": b"application/json", b"user-agent": b"modelpick", **FORWARDED}
    headers |= {name: value for name, value in request.headers.raw if name in FORWARDED}
    started = False
    try:
        async with asyncio.timeout(config.limits.total_seconds), request.app.state.clients.one() as web:
            found = await first_answer(
                web,
                [choice.backend for choice in choices],
                lambda backend: bodies.named(raw, body, backend.model or backend.name),
                [*headers.items()],
                config.limits,
            )
            started = True
            async with aclosing(found.response):
                chosen = next(choice for choice in choices if choice.backend is found.backend)
                await pass_on(found, chosen.headers, send)
    except (TimeoutError, httpx.HTTPError) as error:
        if not started:
            raise RefusedError(504, "no answer within the time limit") from None
        # The server closes a connection whose response is not complete: the client sees the break.
        logger.warning("%s: broke off: %s", found.backend.name, type(error).__name__)


@contextmanager
def loaded(config: Config) -> Iterator[tuple[SelectorStore, Rankings | None]]:
    """Hold what picks, for vectors and for prompts.

    Raises
    ------
    ModelpickError
        When something that the file names cannot be loaded.
    """
    with ExitStack() as stack:
        store = stack.enter_context(SelectorStore(config.artifacts, observer=OBSERVER))
        rankings = None
        if config.encoder is not None:
            artifact = config.artifacts / f"{config.selector}.onnx"
            rankings = stack.enter_context(Rankings(artifact, config.encoder, config))
        yield store, rankings


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    """Hold what picks, and the connections, for as long as the gateway runs."""
    state = app.state
    with loaded(state.config) as (state.store, state.rankings):
        threads = ThreadPoolExecutor(state.config.limits.pick_threads, "modelpick pick")
        state.in_thread = partial(asyncio.get_running_loop().run_in_executor, threads)
        async with aclosing(Clients(state.config.limits)) as state.clients:
            yield
        threads.shutdown(cancel_futures=True)


routes = APIRouter()


@routes.post("/v1/chat/completions")
async def chat(request: Request) -> Response:
    """Pass a chat completion on to the backend that it names, or that is picked."""
    state = request.app.state
    raw = await bodies.read(request, state.config.limits)
    body = bodies.chat(raw) if len(raw) <= SMALL_BODY else await state.in_thread(bodies.chat, raw)
    if body["model"] == AUTO and state.rankings is not None:
        try:
            choices = await state.in_thread(state.rankings.rank, body)
        except FeatureError as error:
            raise RefusedError(400, str(error), param="messages") from None
    else:
        choices = [Choice(backend) for backend in state.config.backends if backend.name == body["model"]]
    if not choices:
        raise RefusedError(404, f"The model {body['model']!r} does not exist.", param="model", code="model_not_found")
    return UntilGone(partial(relay, choices, request, raw, body))


@routes.get("/v1/models")
async def models(request: Request) -> dict[str, Any]:
    """Return the models that can be asked for."""
    state = request.app.state
    names = [AUTO] * (state.rankings is not None) + [backend.name for backend in state.config.backends]
    rows = [{"id": name, "object": "model", "created": STARTED, "owned_by": "modelpick"} for name in names]
    return {"object": "list", "data": rows}


# A selection takes microseconds: on the event loop it is done sooner than a thread would have started.
@routes.post("/select/{name}")
async def select(name: str, request: Request) -> dict[str, str]:
    """Pick the language model for a vector."""
    store = request.app.state.store
    if name not in store.names:
        raise RefusedError(404, f"expected one of {', '.join(store.names)}")
    raw = await bodies.read(request, request.app.state.config.limits)
    return {"model": store[name].select(**bodies.query(raw))}


@routes.get("/healthz")
async def healthz() -> dict[str, str]:
    """Answer that the process runs."""
    return {"status": "ok"}


@routes.get("/readyz")
async def readyz(request: Request) -> dict[str, Any]:
    """Return which selectors serve, and from which JSON models; the gateway starts only once all are loaded."""
    store, rankings = request.app.state.store, request.app.state.rankings
    versions = {name: store[name].metadata.source_sha256 for name in store.names}
    ready = {"status": "ready", "selectors": versions, "refusals": store.refusals}
    return ready | ({AUTO: rankings.current.metadata.source_sha256} if rankings else {})


@routes.get("/metrics")
def metrics() -> Response:
    """Return the metrics to Prometheus: of all workers, where PROMETHEUS_MULTIPROC_DIR names the folder they share."""
    return Response(exposition(), media_type=CONTENT_TYPE_LATEST)


async def refused(request: Request, error: Exception) -> Response:
    """Answer what a handler raised, in the shape of OpenAI's errors."""
    match error:
        case RefusedError():
            return answer(error.status, str(error), error.param, error.code)
        case NoBackendError():
            return answer(error.status, f"no backend answered: {error}", code="no_backend")
        case FeatureError():
            return answer(422, str(error))
        case ModelpickError():
            return answer(503, str(error))
        case HTTPException():
            return answer(error.status_code, str(error.detail))
    return answer(500, "the gateway failed")


def create(config: Config) -> FastAPI:
    """Return the gateway of a configuration."""
    app = FastAPI(title="modelpick", lifespan=lifespan, docs_url=None, redoc_url=None, openapi_url=None)
    app.state.config = config
    app.include_router(routes)
    for kind in (RefusedError, NoBackendError, ModelpickError, HTTPException, Exception):
        app.add_exception_handler(kind, refused)
    return app


def from_environment() -> FastAPI:
    """Return the gateway of the file that MODELPICK_GATEWAY names, as each worker does."""
    return create(read(Path(os.environ["MODELPICK_GATEWAY"])))
