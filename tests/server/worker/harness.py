"""A job runner with a store that remembers what it was told, and no engine."""

import asyncio
from collections.abc import AsyncIterator, Callable, Collection, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Unpack

from gram_core.checkpoint import LoadedModel
from gram_server.engine import EngineEvent, Finished
from gram_server.errors import LinkClosed
from gram_server.job import Event, Job, JobState, WorkerReport, WorkerState
from gram_server.jobs.store import Room, WorkerStore
from gram_server.tracing import JobTrace, Tracer
from gram_server.worker.claimed_job import ClaimedJob
from gram_server.worker.engine_loop import Message
from gram_server.worker.job_runner import JobRunner
from tests.processes import until

MakeJob = Callable[..., Job]
MakeEnd = Callable[..., Finished]
MakeModel = Callable[[str], LoadedModel]


@dataclass(slots=True)
class FakeStore:
    """A worker's side of a store, as lists."""

    jobs: "asyncio.Queue[Job]" = field(default_factory=asyncio.Queue)
    cancelled: "asyncio.Queue[str]" = field(default_factory=asyncio.Queue)
    published: list[tuple[str, Event]] = field(default_factory=list)
    completed: dict[str, tuple[dict[str, Any], JobState]] = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)
    claims: list[tuple[int, int | None, bool]] = field(default_factory=list)
    models: Collection[str] | None = None
    handed_back: list[str] = field(default_factory=list)
    reports: list[WorkerReport] = field(default_factory=list)
    is_lost: bool = False
    is_closed: bool = False

    async def claim(self, **room: Unpack[Room]) -> list[Job]:
        can_wait = room.get("can_wait", True)
        self.claims.append((room["max_jobs"], room.get("max_width"), can_wait))
        self.models = room.get("models")
        if self.is_lost:
            raise LinkClosed("the store is gone")
        if not can_wait and self.jobs.empty():
            return []
        return [await self.jobs.get()]

    async def publish(self, job_id: str, event: Event) -> None:
        self.published.append((job_id, event))

    async def complete(
        self, job_id: str, result: dict[str, object], *, outcome: JobState = JobState.DONE
    ) -> None:
        self.completed[job_id] = (result, outcome)

    async def fail(self, job_id: str, *, code: str, detail: str) -> None:
        self.failed[job_id] = code

    async def hand_back(self, job_ids: Sequence[str]) -> None:
        self.handed_back += job_ids

    async def cancellations(self) -> AsyncIterator[str]:
        while True:
            yield await self.cancelled.get()

    async def report(self, report: WorkerReport) -> None:
        self.reports.append(report)

    async def close(self) -> None:
        self.is_closed = True


@dataclass(slots=True)
class Harness:
    runner: JobRunner
    store: WorkerStore
    sent: list[Message]
    running: "asyncio.Task[None]" = field(init=False)

    async def drained(self, *events: EngineEvent) -> None:
        """Tell what the engine found, and return once the runner has drained."""
        self.runner.on_events(events)
        self.runner.drain()
        await self.running

    async def claim(self, job: Job) -> None:
        assert isinstance(self.store, FakeStore)
        num_sent = len(self.sent)
        self.store.jobs.put_nowait(job)
        await until(lambda: len(self.sent) > num_sent)


@dataclass(slots=True)
class World:
    """What a test gives to a runner and to its engine."""

    store: FakeStore
    job: MakeJob
    end: MakeEnd
    model: MakeModel

    def take(self, job: Job, task: str = "sudoku-4x4") -> ClaimedJob:
        """Claim a job at a worker that has a model of this task, half a second after it came."""
        info = self.model(task).info
        trace = JobTrace(Tracer(), job, claimed_s=1_000.5)
        return ClaimedJob.parse(job, {info.name: info}, now_s=1_000.5, trace=trace)

    def open(
        self, store: WorkerStore | None = None, **options: Any
    ) -> AbstractAsyncContextManager[Harness]:
        return open_harness(store or self.store, self.model, **options)


@asynccontextmanager
async def open_harness(
    store: WorkerStore,
    guessing_model: MakeModel,
    *,
    drain_s: float = 60.0,
    free_slots: Callable[[], int | None] = lambda: None,
    tasks: Sequence[str] = ("sudoku-4x4",),
) -> AsyncIterator[Harness]:
    sent: list[Message] = []

    def report(state: WorkerState) -> WorkerReport:
        return WorkerReport(worker="w", state=state)

    models = [guessing_model(task).info for task in tasks]
    runner = JobRunner(
        store, models, send=sent.append, report=report, drain_s=drain_s, free_slots=free_slots
    )
    harness = Harness(runner, store, sent)
    harness.running = asyncio.create_task(runner.run())
    try:
        yield harness
    finally:
        harness.running.cancel()
        await asyncio.gather(harness.running, return_exceptions=True)
