"""A routing service: POST /select, with health, readiness and metrics.

Run: uvicorn app:app
MODELPICK_ARTIFACTS names the folder of artifacts; a file that changes is swapped in while requests are served.
"""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from fastapi import FastAPI, HTTPException, Request, Response
from fastapi.responses import JSONResponse
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from pydantic import BaseModel

from modelpick.runtime import FeatureError, ModelpickError, SelectorStore
from modelpick.runtime.serving.prometheus import PrometheusObserver


class Query(BaseModel):
    """Features, or an embedding and its category."""

    features: list[float] | None = None
    embedding: list[float] | None = None
    category: str | None = None
    candidates: list[str] | None = None


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    """Hold the store for as long as the service runs."""
    folder = os.environ.get("MODELPICK_ARTIFACTS", "artifacts")
    with SelectorStore(folder, observer=PrometheusObserver()) as app.state.store:
        yield


app = FastAPI(title="modelpick", lifespan=lifespan)


@app.exception_handler(ModelpickError)
async def refused(request: Request, error: ModelpickError) -> JSONResponse:
    """Answer 422 for a bad query."""
    return JSONResponse({"error": str(error)}, 422 if isinstance(error, FeatureError) else 503)


# A selection takes microseconds: on the event loop it is done sooner than a thread would have started.
@app.post("/select/{name}")
async def select(name: str, query: Query) -> dict[str, str]:
    """Pick the language model for a query."""
    if name not in app.state.store.names:
        raise HTTPException(404, f"expected one of {', '.join(app.state.store.names)}")
    selector = app.state.store[name]
    return {"model": selector.select(**query.model_dump())}


@app.get("/healthz")
async def healthz() -> dict[str, str]:
    """Answer that the process runs."""
    return {"status": "ok"}


@app.get("/readyz")
async def readyz() -> dict[str, Any]:
    """Return which selectors serve, and from which JSON models; the service starts only once all are loaded."""
    store = app.state.store
    versions = {name: store[name].metadata.source_sha256 for name in store.names}
    return {"status": "ready", "selectors": versions, "refusals": store.refusals}


@app.get("/metrics")
async def metrics() -> Response:
    """Return the metrics to Prometheus."""
    return Response(generate_latest(), media_type=CONTENT_TYPE_LATEST)
