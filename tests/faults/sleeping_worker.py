"""A worker process without a model: it sleeps instead of thinking, then tries all digits.

Run by the fault tests as a process of its own, to be killed, stopped and cut off. The seed of a job
tells it to misbehave.
"""

import argparse
import asyncio
import os
import signal
import socket
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import islice

from gram_server.job import Event, EventKind, Job, JobState, ModelReport, WorkerReport, WorkerState
from gram_server.jobs.redis_connection import RedisConnection
from gram_server.jobs.redis_worker import RedisWorker
from gram_server.settings import RedisConfig

DEADLY_SEED = 13
TASK = "sudoku-4x4"


@dataclass(slots=True)
class SleepingWorker:
    """Claims up to ``room`` jobs and sleeps ``work_s`` over each."""

    side: RedisWorker
    name: str
    models: tuple[ModelReport, ...]
    room: int
    work_s: float
    held: dict[str, "asyncio.Task[None]"] = field(default_factory=dict)
    freed: asyncio.Event = field(default_factory=asyncio.Event)

    async def run(self) -> None:
        draining = asyncio.Event()
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, draining.set)
        claims = asyncio.create_task(self._claim())
        beside = [asyncio.create_task(work()) for work in (self._report, self._follow)]
        print("started", flush=True)  # noqa: T201
        await draining.wait()
        claims.cancel()
        await asyncio.gather(claims, return_exceptions=True)
        await asyncio.gather(*self.held.values(), return_exceptions=True)
        for task in beside:
            task.cancel()
        await self.side.close()

    async def _claim(self) -> None:
        models = [name for model in self.models for name in (model.name, model.id)]
        while True:
            self.freed.clear()
            free = self.room - len(self.held)
            if not free:
                await self.freed.wait()
                continue
            for job in await self.side.claim(max_jobs=free, models=models):
                self.held[job.id] = asyncio.create_task(self._work(job))

    async def _work(self, job: Job) -> None:
        try:
            if job.options.seed == DEADLY_SEED:
                os._exit(1)
            left_s = self.work_s
            if job.deadline_s is not None:
                left_s = min(left_s, max(0.0, job.deadline_s - time.time()))
            await asyncio.sleep(left_s)
            solutions = solve(job)
            for solution in solutions:
                await self.side.publish(job.id, Event(kind=EventKind.SOLUTION, data=solution))
            is_late = left_s < self.work_s
            await self.side.complete(
                job.id,
                result(job, solutions, self.name, is_late),
                outcome=JobState.EXPIRED if is_late else JobState.DONE,
            )
        finally:
            self.held.pop(job.id, None)
            self.freed.set()

    async def _follow(self) -> None:
        async for job_id in self.side.cancellations():
            if task := self.held.get(job_id):
                task.cancel()

    async def _report(self) -> None:
        report = WorkerReport(worker=self.name, state=WorkerState.READY, models=self.models)
        while True:
            await self.side.report(report)
            await asyncio.sleep(1.0)


def solve(job: Job) -> list[dict[str, object]]:
    first = {"trajectory": 0, "step": 1, "ms": 1.0}
    return [
        {"answer": answer, "votes": 1, "source": "model", "value": 0.5, "first": first}
        for answer in islice(fill(str(job.body["grid"])), 2)
    ]


def fill(grid: str) -> Iterator[str]:
    """Yield the ways to fill a 4x4 sudoku."""
    cell = grid.find(".")
    if cell < 0:
        yield grid
        return
    row, column = divmod(cell, 4)
    seen = set(grid[4 * row : 4 * row + 4]) | set(grid[column::4])
    corner = 4 * (row - row % 2) + column - column % 2
    seen |= set(grid[corner : corner + 2] + grid[corner + 4 : corner + 6])
    for digit in "1234":
        if digit not in seen:
            yield from fill(grid[:cell] + digit + grid[cell + 1 :])


def result(
    job: Job, solutions: list[dict[str, object]], worker: str, is_late: bool
) -> dict[str, object]:
    return {
        "id": job.id,
        "puzzle": job.puzzle,
        "status": "partial" if is_late else "solved" if solutions else "unsolved",
        "solutions": solutions,
        "distinct": len(solutions),
        "valid_trajectories": len(solutions),
        "width": job.options.width,
        "depth": job.options.depth or 8,
        "completeness": {"estimate": None, "total": None},
        "best_attempt": None,
        "usage": {"queue_ms": 0.1, "engine_ms": 1.0, "supervision_steps": 1, "wasted_steps": 0},
        "seed": job.options.seed,
        "model": f"{job.model}@{worker}",
    }


async def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--store", required=True)
    parser.add_argument("--lease-s", type=float, default=2.0)
    parser.add_argument("--max-attempts", type=int, default=3)
    parser.add_argument("--model", action="append", help="as name or name@fingerprint")
    parser.add_argument("--room", type=int, default=8)
    parser.add_argument("--work-s", type=float, default=0.2)
    parser.add_argument("--skew-s", type=float, default=0.0)
    arguments = parser.parse_args()
    if arguments.skew_s:
        true_time = time.time
        time.time = lambda: true_time() + arguments.skew_s
    name = f"{socket.gethostname()}-{os.getpid()}-{time.monotonic_ns()}"
    connection = RedisConnection(RedisConfig(store=arguments.store, lease_s=arguments.lease_s))
    side = RedisWorker(
        connection, name=name, lease_s=arguments.lease_s, max_attempts=arguments.max_attempts
    )
    models = tuple(report_of(model) for model in arguments.model or [TASK])
    await SleepingWorker(side, name, models, arguments.room, arguments.work_s).run()


def report_of(model: str) -> ModelReport:
    name, _, fingerprint = model.partition("@")
    return ModelReport(
        name=name, task=TASK, fingerprint=fingerprint or "0123abcd", depth=8, num_parameters=1
    )


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
