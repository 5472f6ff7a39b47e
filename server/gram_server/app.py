"""Assembles the API process: routes, middleware and lifespan.

By default the store is in memory and the API has one child worker; with Redis, workers run
elsewhere. Imports no torch: the model runs in the worker.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

from fastapi import FastAPI

from gram_server import __version__
from gram_server.api.errors import add_error_handlers
from gram_server.api.info import catalog_router, health_router
from gram_server.api.jobs import jobs_router
from gram_server.api.keys import KeyFile
from gram_server.api.middleware import (
    AuthMiddleware,
    HeadRequests,
    OriginCheck,
    RequestContext,
    RootPath,
)
from gram_server.api.openapi import openapi_document
from gram_server.api.page import page_router
from gram_server.api.solve import generate_router, solve_router
from gram_server.api.state import AppState, WorkerRegistry
from gram_server.child import ChildWorker
from gram_server.jobs.memory_store import MemoryStore
from gram_server.jobs.store import JobStore
from gram_server.metrics import ServiceMetrics
from gram_server.settings import Settings
from gram_server.tracing import Tracer

DESCRIPTION = """
Solves puzzles with many stochastic trajectories of a generative recursive reasoning model, and
returns the distinct solutions, each verified exactly. Problems are `application/problem+json`.
"""


def create_app(
    settings: Settings, *, store: JobStore | None = None, tracer: Tracer | None = None
) -> FastAPI:
    """Build the application on ``store``, else on the store of the settings.

    An in-memory store comes with ``app.state.child``, a worker that the caller starts.
    """
    child: ChildWorker | None = None
    if store is None and settings.redis.store is not None:
        # Imported only when Redis is used.
        from gram_server.jobs.redis_connection import RedisConnection
        from gram_server.jobs.redis_store import RedisStore

        store = RedisStore(RedisConnection(settings.redis), settings.queue)
    elif store is None:
        store = memory = MemoryStore(settings.queue)
        child = ChildWorker(settings, memory)
    buckets_s = [bound / 1e3 for bound in settings.http.latency_buckets_ms]
    metrics = ServiceMetrics(version=__version__, latency_buckets_s=buckets_s)
    if child is not None:
        metrics.watch_worker(child.supervisor.pid)
    workers = WorkerRegistry(
        store,
        is_remote=settings.redis.store is not None,
        patience_s=settings.queue.max_backlog_s,
    )
    state = AppState(
        settings=settings,
        store=store,
        metrics=metrics,
        workers=workers,
        supervisor=None if child is None else child.supervisor,
        tracer=tracer or Tracer(),
    )
    return _assemble(state, child)


def _assemble(state: AppState, child: ChildWorker | None) -> FastAPI:
    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        watching = asyncio.create_task(state.workers.watch())
        try:
            yield
        finally:
            watching.cancel()
            if child is not None:
                await child.stop()
            await state.store.close()

    app = FastAPI(
        title="gram-server",
        version=__version__,
        description=DESCRIPTION,
        lifespan=lifespan,
        redirect_slashes=False,
        # FastAPI's own pages load scripts from a CDN; page_router serves ours.
        docs_url=None,
        redoc_url=None,
        # RequestContext traces requests; FastAPI's telemetry may quote request bodies.
        telemetry={"tracing": False, "metrics": False, "logs": False, "operation_spans": False},
    )
    app.state.app_state, app.state.child = state, child
    for router in (solve_router, generate_router, jobs_router, catalog_router, health_router):
        app.include_router(router(state))
    app.include_router(page_router(state.settings.http.root_path))
    add_error_handlers(app)
    _add_middleware(app, state)
    builder = partial(openapi_document, app, root_path=state.settings.http.root_path)
    app.openapi = builder  # type: ignore[method-assign]  # FastAPI's documented way
    return app


def _add_middleware(app: FastAPI, state: AppState) -> None:
    """Add the middleware, the innermost first."""
    http = state.settings.http
    app.add_middleware(HeadRequests)
    if http.keys is not None:
        app.add_middleware(AuthMiddleware, keys=KeyFile(Path(http.keys)))
    app.add_middleware(OriginCheck, config=http)
    app.add_middleware(RequestContext, lifecycle=state.lifecycle, tracer=state.tracer)
    if http.root_path:
        app.add_middleware(RootPath, path=http.root_path)
