"""A worker's side of the queue in memory, in the process of the store."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import TYPE_CHECKING, Unpack

from gram_server.job import Event, Job, JobError, JobState, WorkerReport
from gram_server.jobs.store import Outcome, Room

if TYPE_CHECKING:
    from gram_server.jobs.memory_store import MemoryStore


class MemoryWorker:
    """What one worker may do with the jobs that it holds: late calls change nothing."""

    def __init__(self, store: "MemoryStore", name: str) -> None:
        self._store = store
        self._name = name
        self.cancelled: asyncio.Queue[str | None] = asyncio.Queue()
        self.last_report: WorkerReport | None = None

    async def claim(self, **room: Unpack[Room]) -> list[Job]:
        while True:
            arrival = self._store.arrival
            jobs = self._store.take(self._name, **room)
            if jobs or not room.get("can_wait", True):
                return jobs
            await arrival.wait()

    async def publish(self, job_id: str, event: Event) -> None:
        if entry := self._store.held(self._name, job_id):
            entry.append(event)

    async def complete(
        self, job_id: str, result: dict[str, object], *, outcome: Outcome = JobState.DONE
    ) -> None:
        if entry := self._store.held(self._name, job_id):
            self._store.finish(entry, outcome, result=result)

    async def fail(self, job_id: str, *, code: str, detail: str) -> None:
        if entry := self._store.held(self._name, job_id):
            self._store.finish(entry, JobState.FAILED, error=JobError(code=code, detail=detail))

    async def hand_back(self, job_ids: Sequence[str]) -> None:
        entries = (self._store.held(self._name, job_id) for job_id in job_ids)
        self._store.put_back([entry for entry in entries if entry is not None])

    async def cancellations(self) -> AsyncIterator[str]:
        while (job_id := await self.cancelled.get()) is not None:
            yield job_id

    async def report(self, report: WorkerReport) -> None:
        self.last_report = report

    async def close(self) -> None:
        self.cancelled.put_nowait(None)
        self._store.lose(self._name)
