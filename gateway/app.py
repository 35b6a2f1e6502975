"""The endpoints of the gateway. Changed files are swapped in while requests are served."""

import os
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import Annotated, Any

from fastapi import APIRouter, Depends, FastAPI, Request, Response
from fastapi.routing import APIRoute
from prometheus_client import CONTENT_TYPE_LATEST
from starlette.exceptions import HTTPException

from modelpick.runtime import FeatureError, ModelpickError
from modelpick.runtime.serving.prometheus import exposition

from . import bodies
from .backends import NoBackendError
from .config import AUTO, Backend, Config, read
from .decisions import Outcome
from .errors import RefusedError, answer, unknown_model
from .headers import Headers
from .picks import Pick, told_headers
from .preferences import is_auto, preference_of
from .relay import Relay, Served, UntilGone
from .state import State, held

STARTED = int(time.time())
# Bodies up to this number of bytes are read in less time than it takes to hand them to a thread.
SMALL_BODY = 65_536
SEEN = ["GET", "HEAD"]


async def _state(request: Request) -> State:
    state: State = request.app.state.gateway
    return state


async def _client(request: Request, state: Annotated[State, Depends(_state)]) -> str:
    """Return the digest of the client's key, or an empty string where clients need no key.

    Raises
    ------
    RefusedError
        When the client's key is not one of the gateway's.
    """
    keys = state.config.client_keys
    if not keys:
        return ""
    kind, _, key = request.headers.get("authorization", "").partition(" ")
    digest = sha256(key.strip().encode("latin-1")).hexdigest()
    if kind.lower() != "bearer" or digest not in keys:
        raise RefusedError(401, "expected a key that this gateway knows", code="invalid_api_key")
    return digest


Gateway = Annotated[State, Depends(_state)]
Client = Annotated[str, Depends(_client)]
routes = APIRouter()


class _Named:
    """A request for one backend, which is no decision: its bytes are not changed."""

    counts = False

    def __init__(self, backend: Backend) -> None:
        self.backends = [backend]

    def headers(self, backend: Backend) -> Headers:
        return told_headers({"model": backend.name})


@routes.post("/v1/chat/completions")
async def chat(request: Request, state: Gateway, client: Client) -> Response:
    """Pass a chat completion on to the backend that it names, or to the picked backend."""
    raw = await bodies.read(request, state.config.limits)
    body = bodies.chat(raw) if len(raw) <= SMALL_BODY else await state.in_thread(bodies.chat, raw)
    serve = partial(request.app.state.relay.serve, raw=raw, body=body, headers=request.headers.raw)
    if body["model"] in state.backends:
        return UntilGone(lambda send: serve(_Named(state.backends[body["model"]]), done=_ignored, send=send))
    if state.picker is None or not is_auto(body["model"]):
        raise unknown_model(body["model"])
    prefer = preference_of(body["model"], request.headers, state.config.prefer)
    named = request.headers.get(state.config.conversations.header)
    try:
        pick: Pick = await state.in_thread(state.pick, body, prefer, named, client)
    except FeatureError as error:
        raise RefusedError(400, str(error), param="messages") from None
    return UntilGone(lambda send: serve(pick, done=partial(state.record_answer, pick), send=send))


def _ignored(served: Served) -> None:
    pass


def _model(name: str) -> dict[str, Any]:
    return {"id": name, "object": "model", "created": STARTED, "owned_by": "modelpick"}


def _names(state: State) -> list[str]:
    return [AUTO] * (state.picker is not None) + list(state.backends)


@routes.get("/v1/models")
async def models(state: Gateway, client: Client) -> dict[str, Any]:
    """Return the models that can be asked for."""
    return {"object": "list", "data": [_model(name) for name in _names(state)]}


@routes.get("/v1/models/{name:path}")
async def model(name: str, state: Gateway, client: Client) -> dict[str, Any]:
    """Return one of the models."""
    if name not in _names(state):
        raise unknown_model(name)
    return _model(name)


@routes.post("/v1/outcomes", status_code=202)
async def outcomes(request: Request, state: Gateway, client: Client) -> dict[str, str]:
    """Record an outcome of a decision. Of several outcomes of one signal the last counts."""
    if state.recorder is None:
        raise RefusedError(404, "expected a gateway that writes decisions")
    said: Outcome = bodies.outcome(await bodies.read(request, state.config.limits))
    if not state.recorder.put("outcome", lambda: said):
        raise RefusedError(503, "too many rows wait to be written: send it again", code="overloaded")
    return {"decision_id": said.decision_id, "signal": said.signal}


# A selection takes microseconds: on the event loop it ends sooner than a thread starts.
@routes.post("/select/{name}")
async def select(name: str, request: Request, state: Gateway, client: Client) -> dict[str, str]:
    """Pick the language model for a vector."""
    store = state.files.store
    if name not in store:
        raise RefusedError(404, f"expected one of {', '.join(store.names)}")
    raw = await bodies.read(request, state.config.limits)
    return {"model": store[name].select(**bodies.query(raw))}


@routes.api_route("/healthz", methods=SEEN)
async def healthz() -> dict[str, str]:
    """Answer that the process runs."""
    return {"status": "ok"}


@routes.api_route("/readyz", methods=SEEN)
async def readyz(state: Gateway) -> dict[str, Any]:
    """Return the selectors that serve, and their JSON models' digests. The gateway starts once all are loaded."""
    store, rankings = state.files.store, state.files.rankings
    versions = {name: store[name].metadata.source_sha256 for name in store.names}
    ready = {"status": "ready", "selectors": versions, "refusals": store.refusals}
    return ready | ({AUTO: rankings.current.metadata.source_sha256} if rankings else {})


@routes.get("/metrics")
def metrics() -> Response:
    """Return the metrics for Prometheus, of all workers where PROMETHEUS_MULTIPROC_DIR names their shared folder."""
    return Response(exposition(), media_type=CONTENT_TYPE_LATEST)


# The routes, for the message to a client that requests another.
SERVED = ", ".join(route.path for route in routes.routes if isinstance(route, APIRoute))


async def refused(request: Request, error: Exception) -> Response:
    """Answer with the error that a handler raised, in the shape of OpenAI's errors."""
    match error:
        case RefusedError():
            return answer(error.status, str(error), error.param, error.code)
        case NoBackendError():
            return answer(error.status, f"no backend answered: {error}", code="no_backend")
        case FeatureError():
            return answer(422, str(error))
        case ModelpickError():
            return answer(503, str(error))
        case HTTPException(status_code=404):
            return answer(404, f"{request.url.path[:100]!r} is not served, but {SERVED}", code="unknown_url")
        case HTTPException():
            return answer(error.status_code, str(error.detail))
    return answer(500, "the gateway failed")


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    """Hold the state for as long as the gateway runs."""
    with held(app.state.config) as state:
        app.state.gateway = state
        app.state.relay = Relay(state.files.clients, state.config.limits)
        async with state.files.clients.kept():
            yield


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
