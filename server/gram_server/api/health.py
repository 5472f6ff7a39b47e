"""Probes and metrics: answered from memory, never through the queue.

Busy is not dead: ``/livez`` fails only when the engine has work and makes no progress.
"""

from collections.abc import Awaitable, Callable

from fastapi import APIRouter
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from gram_server.api.context import Context
from gram_server.api.openapi import KEY_PROBLEMS, problems
from gram_server.api.schemas import Status
from gram_server.errors import NotReady
from gram_server.job import PRIORITY_CLASSES
from gram_server.jobs.store import ClassStats, QueueStats
from gram_server.metrics import ServiceState

NOTHING_KNOWN = QueueStats(
    classes=(ClassStats(),) * len(PRIORITY_CLASSES),
    num_running=0,
    reserved_trajectories=0,
    max_trajectories=0,
    service_rate=0.0,
)
METRICS_MEDIA_TYPE = "text/plain; version=0.0.4; charset=utf-8"


def health_router(context: Context) -> APIRouter:
    """Return the routes of the probes."""
    router = APIRouter(tags=["health"])

    @router.get("/livez", operation_id="livez", responses=problems("not_ready"))
    async def livez() -> Status:
        """Whether the server makes progress; restart it when not."""
        if reason := context.why_dead():
            raise NotReady(reason)
        return Status(status="alive")

    @router.get("/readyz", operation_id="readyz", responses=problems("not_ready"))
    async def readyz() -> Status:
        """Whether the server takes work; the problem's detail says why not."""
        reasons = await why_not_ready(context)
        if reasons:
            raise NotReady("; ".join(reasons))
        return Status(status="ready")

    @router.get("/startupz", operation_id="startupz", responses=problems("not_ready"))
    async def startupz() -> Status:
        """Whether the server has been ready once."""
        reasons = await why_not_ready(context)
        if not context.lifecycle.was_ready:
            raise NotReady("; ".join(reasons))
        return Status(status="started")

    if context.settings.http.metrics_port is None:
        _add_metrics(router, context)
    return router


def _add_metrics(router: APIRouter, context: Context) -> None:
    @router.get(
        "/metrics",
        operation_id="metrics",
        response_class=Response,
        responses={
            200: {"content": {"text/plain": {"schema": {"type": "string"}}}},
            **problems(*KEY_PROBLEMS),
        },
    )
    async def metrics() -> Response:
        """Metrics of the server and its worker in the text format of Prometheus."""
        return Response(await expose_metrics(context), media_type=METRICS_MEDIA_TYPE)


class MetricsPort:
    """Serves the metrics, and nothing else, to who comes in by a port of their own."""

    def __init__(self, app: ASGIApp, context: Context, *, port: int) -> None:
        """Leave what comes in by any other port to the application."""
        self._app = app
        self._port = port
        self._metrics = Starlette(
            routes=[Route("/metrics", _metrics_of(context), methods=["GET", "OPTIONS"])]
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on."""
        is_ours = scope["type"] != "lifespan" and scope["server"][1] == self._port
        await (self._metrics if is_ours else self._app)(scope, receive, send)


def _metrics_of(context: Context) -> Callable[[Request], Awaitable[Response]]:
    async def metrics(request: Request) -> Response:
        if request.method == "OPTIONS":
            return Response(status_code=204, headers={"Allow": "GET, HEAD, OPTIONS"})
        return Response(await expose_metrics(context), media_type=METRICS_MEDIA_TYPE)

    return metrics


async def why_not_ready(context: Context) -> list[str]:
    """Return every reason why the server takes no work now."""
    await context.fleet.refresh()
    reasons = []
    if context.lifecycle.is_draining:
        reasons.append("draining")
    if context.fleet.trouble is not None:
        reasons.append(context.fleet.trouble)
    elif (stats := context.fleet.stats) is not None and stats.refusal is not None:
        reasons.append(stats.refusal)
    elif not context.fleet.workers:
        reasons.append("no worker is connected")
    elif not context.fleet.is_ready:
        states = sorted({worker.state.value for worker in context.fleet.workers})
        reasons.append(f"the worker is {' and '.join(states)}")
    if reason := context.why_dead():
        reasons.append(reason)
    if reason := context.why_not_started():
        reasons.append(reason)
    context.lifecycle.was_ready = context.lifecycle.was_ready or not reasons
    return reasons


async def expose_metrics(context: Context) -> bytes:
    """Return the metrics of this process, then those that the workers reported."""
    is_ready = not await why_not_ready(context)
    stats = context.fleet.stats or NOTHING_KNOWN
    state = ServiceState(
        is_ready=is_ready,
        is_draining=context.lifecycle.is_draining,
        inflight_requests=len(context.lifecycle.inflight),
        engine_restarts=context.num_restarts(),
        models=context.fleet.models,
        stats=stats,
    )
    own = context.metrics.expose(state)
    return own + "".join(worker.metrics_text for worker in stats.workers).encode()
