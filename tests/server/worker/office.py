"""A desk with a scripted store and no engine, as tests of the worker use it."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from gram_server.job import WorkerReport, WorkerState
from gram_server.worker.desk import Desk
from gram_server.worker.engine_loop import Message


@dataclass(slots=True)
class Office:
    desk: Desk
    store: Any
    sent: list[Message]
    running: "asyncio.Task[None]" = field(init=False)

    async def until(self, condition: Callable[[], object]) -> None:
        async with asyncio.timeout(60.0):
            while True:
                if condition():
                    return
                await asyncio.sleep(0.001)

    async def claim(self, job: Any) -> None:
        num_sent = len(self.sent)
        self.store.jobs.put_nowait(job)
        await self.until(lambda: len(self.sent) > num_sent)


@asynccontextmanager
async def open_office(
    store: Any,
    guessing_model: Any,
    *,
    drain_s: float = 5.0,
    room: Callable[[], int | None] = lambda: None,
    tasks: Sequence[str] = ("sudoku-4x4",),
) -> AsyncIterator[Office]:
    sent: list[Message] = []

    def report(state: WorkerState) -> WorkerReport:
        return WorkerReport(worker="w", state=state)

    models = [guessing_model(task).info for task in tasks]
    desk = Desk(store, models, send=sent.append, report=report, drain_s=drain_s, room=room)
    office = Office(desk, store, sent)
    office.running = asyncio.create_task(desk.run())
    try:
        yield office
    finally:
        office.running.cancel()
        await asyncio.gather(office.running, return_exceptions=True)
