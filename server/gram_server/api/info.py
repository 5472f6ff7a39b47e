"""Routes about the server: families, models, kinds of problem; probes and metrics from memory.

Busy is not dead: ``/livez`` fails only when the engine has work and makes no progress.
"""

from fastapi import APIRouter, HTTPException
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from gram_core.puzzles import families
from gram_server.api.errors import CATALOGUE
from gram_server.api.openapi import KEY_PROBLEMS, problems
from gram_server.api.schemas import (
    ModelInfo,
    ModelList,
    ProblemKind,
    PuzzleInfo,
    PuzzleList,
    Status,
)
from gram_server.api.state import AppState
from gram_server.errors import NotReady
from gram_server.jobs.store import QueueStats
from gram_server.metrics import ServiceState

METRICS_MEDIA_TYPE = "text/plain; version=0.0.4; charset=utf-8"


def catalog_router(state: AppState) -> APIRouter:
    router = APIRouter(tags=["catalog"])

    @router.get("/puzzles", operation_id="list_puzzles", responses=problems(*KEY_PROBLEMS))
    async def list_puzzles() -> PuzzleList:
        """List the puzzle families and their well-known sizes."""
        return PuzzleList(
            puzzles=[
                PuzzleInfo(
                    name=family.name,
                    tasks=list(family.tasks()),
                    example=family.example(),
                    walls=family.wall_signs,
                )
                for family in families().values()
            ]
        )

    @router.get("/models", operation_id="list_models", responses=problems(*KEY_PROBLEMS))
    async def list_models() -> ModelList:
        """List the models that workers have loaded; empty until one is ready."""
        await state.workers.refresh()
        models = state.workers.models
        return ModelList(
            models=[ModelInfo.model_validate(model, from_attributes=True) for model in models]
        )

    @router.get(
        "/problems/{code}", operation_id="describe_problem", responses=problems("not_found")
    )
    async def describe_problem(code: str) -> ProblemKind:
        """Describe a kind of problem: what the `type` of a problem document points at."""
        if code not in CATALOGUE:
            raise HTTPException(404, "not found")
        kind = CATALOGUE[code]
        fixed = {"title": kind.title, "status": kind.status, "retryable": kind.is_retryable}
        return ProblemKind(type=kind.uri, code=code, **fixed)

    return router


def health_router(state: AppState) -> APIRouter:
    router = APIRouter(tags=["health"])

    @router.get("/livez", operation_id="livez", responses=problems("not_ready"))
    async def livez() -> Status:
        """Whether the server makes progress; restart it when not."""
        if state.supervisor is not None and (reason := state.supervisor.why_hung()):
            raise NotReady(reason)
        return Status(status="alive")

    @router.get("/readyz", operation_id="readyz", responses=problems("not_ready"))
    async def readyz() -> Status:
        """Whether the server takes work; the problem's detail says why not."""
        if reasons := await why_not_ready(state):
            raise NotReady("; ".join(reasons))
        return Status(status="ready")

    @router.get("/startupz", operation_id="startupz", responses=problems("not_ready"))
    async def startupz() -> Status:
        """Whether the server has been ready once."""
        reasons = await why_not_ready(state)
        if not state.lifecycle.was_ready:
            raise NotReady("; ".join(reasons))
        return Status(status="started")

    async def metrics() -> Response:
        """Metrics of the server and its worker in the text format of Prometheus."""
        return Response(await expose_metrics(state), media_type=METRICS_MEDIA_TYPE)

    if state.settings.http.metrics_port is None:
        text = {"content": {"text/plain": {"schema": {"type": "string"}}}}
        router.add_api_route(
            "/metrics",
            metrics,
            operation_id="metrics",
            response_class=Response,
            responses={200: text, **problems(*KEY_PROBLEMS)},
        )
    return router


class MetricsPort:
    """Serves the metrics, and nothing else, on a port of their own."""

    def __init__(self, app: ASGIApp, state: AppState, *, port: int) -> None:
        self._app = app
        self._port = port

        async def metrics(request: Request) -> Response:
            if request.method == "OPTIONS":
                return Response(status_code=204, headers={"Allow": "GET, HEAD, OPTIONS"})
            return Response(await expose_metrics(state), media_type=METRICS_MEDIA_TYPE)

        route = Route("/metrics", metrics, methods=["GET", "OPTIONS"])
        self._metrics = Starlette(routes=[route])

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        is_ours = scope["type"] != "lifespan" and scope["server"][1] == self._port
        await (self._metrics if is_ours else self._app)(scope, receive, send)


async def why_not_ready(state: AppState) -> list[str]:
    await state.workers.refresh()
    reasons = []
    if state.lifecycle.is_draining:
        reasons.append("draining")
    if state.workers.last_error is not None:
        reasons.append(state.workers.last_error)
    elif (stats := state.workers.stats) is not None and stats.refusal is not None:
        reasons.append(stats.refusal)
    elif not state.workers.reports:
        reasons.append("no worker is connected")
    elif not state.workers.is_ready:
        states = sorted({worker.state.value for worker in state.workers.reports})
        reasons.append(f"the worker is {' and '.join(states)}")
    if (child := state.supervisor) is not None:
        reasons += [reason for reason in (child.why_hung(), child.why_not_started()) if reason]
    state.lifecycle.was_ready = state.lifecycle.was_ready or not reasons
    return reasons


async def expose_metrics(state: AppState) -> bytes:
    """Return the metrics of this process, then those that workers reported."""
    is_ready = not await why_not_ready(state)
    stats = state.workers.stats or QueueStats()
    shown = ServiceState(
        is_ready=is_ready,
        is_draining=state.lifecycle.is_draining,
        inflight_requests=len(state.lifecycle.inflight),
        engine_restarts=0 if state.supervisor is None else state.supervisor.num_restarts,
        models=state.workers.models,
        stats=stats,
    )
    own = state.metrics.expose(shown)
    return own + "".join(worker.metrics_text for worker in stats.workers).encode()
