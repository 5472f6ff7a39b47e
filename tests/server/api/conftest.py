"""The application on the in-memory store, with a small worker that solves exactly, in process."""

import asyncio
import hashlib
import json
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from gram_core.puzzles import family
from gram_server.app import create_app
from gram_server.job import Event, EventKind, Job, JobState, ModelReport, WorkerReport, WorkerState
from gram_server.jobs.memory_store import MemoryStore
from gram_server.jobs.worker_rpc import MemoryWorker
from gram_server.settings import HttpConfig, QueueConfig, Settings
from tests.clients.standard_events import read_all
from tests.processes import until

TASKS = ("sudoku-9x9", "sudoku-4x4", "nqueens-8", "graph-coloring-8", "maze-2x3")


FAILING_SEED = 13


@dataclass(slots=True)
class ExactWorker:
    """Speaks the worker's side of the store; finds solutions by exact search."""

    side: MemoryWorker
    tasks: Sequence[str] = TASKS
    is_held: bool = False
    """Tell solutions, but do not finish any job."""
    cancelled: list[str] = field(default_factory=list)
    jobs: list[Job] = field(default_factory=list)

    async def run(self) -> None:
        await self.report(WorkerState.READY)
        async with asyncio.TaskGroup() as group:
            group.create_task(self._note_cancellations())
            while True:
                for job in await self.side.claim(max_jobs=8):
                    self.jobs.append(job)
                    group.create_task(self._solve(job))

    async def report(self, state: WorkerState) -> None:
        models = tuple(
            ModelReport(name=task, task=task, fingerprint="abcd1234", depth=16, num_parameters=7)
            for task in self.tasks
        )
        models += (
            ModelReport(
                name="sudoku-4x4-generate",
                task="sudoku-4x4",
                fingerprint="dcba4321",
                depth=16,
                num_parameters=7,
                purpose="generate",
            ),
        )
        text = "# TYPE gram_supervision_steps_total counter\ngram_supervision_steps_total 7\n"
        report = WorkerReport(worker="exact", state=state, models=models, metrics_text=text)
        await self.side.report(report)

    async def _note_cancellations(self) -> None:
        async for job_id in self.side.cancellations():
            self.cancelled.append(job_id)

    async def _solve(self, job: Job) -> None:
        if job.options.seed == FAILING_SEED:
            await self.side.fail(job.id, code="engine", detail="it was told to")
            return
        solutions = self._solutions(job) if job.sampling is None else _boards(job)
        for solution in solutions:
            await self.side.publish(job.id, Event(kind=EventKind.SOLUTION, data=solution))
        if self.is_held:
            return
        compose = _result if job.sampling is None else _boards_result
        await self.side.complete(job.id, compose(job, solutions), outcome=JobState.DONE)

    def _solutions(self, job: Job) -> list[dict[str, object]]:
        rules = family(job.puzzle)
        instance = rules.parse(job.body)
        limit = min(job.options.width, job.options.max_solutions or job.options.width)
        return [
            {
                "answer": rules.decode(instance, tokens),
                "votes": 1,
                "source": "model",
                "value": 0.9,
                "first": {"trajectory": index, "step": 1, "ms": 0.5},
            }
            for index, tokens in enumerate(rules.enumerate(instance, limit=limit))
        ]


def _result(job: Job, solutions: list[dict[str, object]]) -> dict[str, object]:
    return {
        "id": job.id,
        "puzzle": job.puzzle,
        "status": "solved" if solutions else "unsolved",
        "solutions": solutions,
        "distinct": len(solutions),
        "valid_trajectories": len(solutions),
        "width": job.options.width,
        "depth": job.options.depth,
        "completeness": {"estimate": 0.5, "total": None},
        "best_attempt": None,
        "usage": {"queue_ms": 0.1, "engine_ms": 1.5, "supervision_steps": 3, "wasted_steps": 0},
        "seed": job.options.seed,
        "model": f"{job.model}@abcd1234",
    }


def _boards(job: Job) -> list[dict[str, object]]:
    """Return boards of every second trajectory."""
    rules = family(job.puzzle)
    instance = rules.parse(job.body)
    limit = min(job.options.max_solutions or 1, (job.options.width + 1) // 2)
    is_thinned = job.sampling is not None and job.sampling.is_thinned
    return [
        {
            "answer": rules.decode(instance, tokens),
            "puzzle": rules.decode(instance, tokens) if is_thinned else None,
            "clues": len(tokens) if is_thinned else None,
            "value": 0.9,
            "trajectory": 2 * index,
            "step": 3,
            "ms": 0.5,
        }
        for index, tokens in enumerate(rules.enumerate(instance, limit=limit))
    ]


def _boards_result(job: Job, boards: list[dict[str, object]]) -> dict[str, object]:
    num_ended = 2 * len(boards) - 1 if boards else job.options.width
    return {
        "id": job.id,
        "puzzle": job.puzzle,
        "task": job.task,
        "status": "complete" if len(boards) == job.options.max_solutions else "exhausted",
        "boards": boards,
        "count": job.options.max_solutions,
        "trajectories": num_ended,
        "valid_trajectories": len(boards),
        "distinct": len(boards),
        "validity": len(boards) / num_ended,
        "uniqueness": 1.0,
        "max_trajectories": job.options.width,
        "depth": job.options.depth,
        "usage": {"queue_ms": 0.1, "engine_ms": 1.5, "supervision_steps": 3, "wasted_steps": 0},
        "seed": job.options.seed,
        "model": f"{job.model}@dcba4321",
    }


@dataclass(slots=True, kw_only=True)
class Service:
    """An application with its client, its store and its worker."""

    app: FastAPI
    store: MemoryStore
    client: httpx.AsyncClient
    worker: ExactWorker

    async def solve(self, content: str | bytes, **kwargs: Any) -> httpx.Response:
        return await self.client.post("/solve", content=content, **kwargs)

    async def until_taken(self, count: int = 1) -> None:
        """Wait until the worker holds so many jobs."""
        await until(lambda: len(self.worker.jobs) >= count)

    async def metrics(self) -> dict[str, float]:
        """Return every sample of GET /metrics by its text."""
        text = (await self.client.get("/metrics")).text
        samples = [line.rsplit(" ", 1) for line in text.splitlines() if not line.startswith("#")]
        return {name: float(value) for name, value in samples}


def http_scope(
    method: str, path: str, *, query: bytes = b"", headers: Sequence[tuple[bytes, bytes]] = ()
) -> dict[str, Any]:
    """Return a request as a server hands it to the application."""
    return {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "method": method,
        "scheme": "http",
        "path": path,
        "raw_path": b"/",
        "query_string": query,
        "root_path": "",
        "headers": list(headers),
        "client": ("127.0.0.1", 1),
        "server": ("127.0.0.1", 8000),
    }


def events_of(text: str) -> list[tuple[int, str, dict[str, Any]]]:
    """Return id, kind and data of every server-sent event; comments are none."""
    read = read_all(text.encode())
    return [(int(event.last_id), event.kind, json.loads(event.data)) for event in read]


def key_entry(name: str, *scopes: str, token: str | None = None, **more: Any) -> dict[str, Any]:
    """Return the entry of a key, whose token is NAME-token if not said otherwise."""
    digest = hashlib.sha256((token or f"{name}-token").encode()).hexdigest()
    return {"name": name, "sha256": digest, "scopes": list(scopes), **more}


def write_keys(path: Path, *entries: dict[str, Any]) -> Path:
    """Write a file of API keys."""
    path.write_text(json.dumps({"keys": entries}), "utf-8")
    return path


OpenService = Callable[..., AbstractAsyncContextManager[Service]]


@asynccontextmanager
async def opened(
    *,
    has_worker: bool = True,
    max_trajectories: int = 4096,
    url: str = "http://test",
    http: HttpConfig | None = None,
    **limits: Any,
) -> AsyncIterator[Service]:
    http = http or HttpConfig(**{"max_width": 64, **limits}, sse_heartbeat_s=0.05)
    settings = Settings(http=http, queue=QueueConfig(max_trajectories=max_trajectories))
    store = MemoryStore(settings.queue)
    app = create_app(settings, store=store)
    worker = ExactWorker(MemoryWorker(store, "exact"))
    async with AsyncExitStack() as stack:
        transport = httpx.ASGITransport(app=app, raise_app_exceptions=False)
        client = httpx.AsyncClient(transport=transport, base_url=url)
        await stack.enter_async_context(client)
        if has_worker:
            task = asyncio.create_task(worker.run())
            await asyncio.sleep(0)
        yield Service(app=app, store=store, client=client, worker=worker)
        if has_worker:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        await store.close()


@pytest.fixture
def open_service() -> OpenService:
    """Open a service with limits of its own; ``has_worker=False`` leaves the queue alone."""
    return opened


@pytest.fixture
async def service() -> AsyncIterator[Service]:
    async with opened() as service:
        yield service


@pytest.fixture(scope="module")
async def shared() -> AsyncIterator[Service]:
    """An application for the many tests of a table, which leave it as it was."""
    async with opened() as service:
        yield service
