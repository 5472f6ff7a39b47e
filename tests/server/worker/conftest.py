"""Jobs on 4x4 sudokus, and a store that remembers what a worker told it."""

import asyncio
from collections.abc import AsyncIterator, Callable, Collection, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest

from gram_core.puzzles import family, task
from gram_server.engine import Finished, FoundSolution
from gram_server.errors import LinkClosed
from gram_server.job import Event, Job, JobState, Sampling, SolveOptions, WorkerReport

SOLVED = "1234341221434321"
PUZZLE = "1.34341221434321"
AMBIGUOUS = "12343412........"


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

    async def claim(
        self,
        *,
        max_jobs: int,
        max_width: int | None = None,
        can_wait: bool = True,
        models: Collection[str] | None = None,
        down_to: int | None = None,
    ) -> list[Job]:
        self.claims.append((max_jobs, max_width, can_wait))
        self.models = models
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


MakeJob = Callable[..., Job]


@pytest.fixture
def make_job() -> MakeJob:
    def make(
        job_id: str = "a",
        *,
        grid: str = PUZZLE,
        model: str = "sudoku-4x4",
        deadline_s: float | None = None,
        submitted_s: float = 1_000.0,
        sampling: Sampling | None = None,
        **options: Any,
    ) -> Job:
        puzzle = family("sudoku")
        return Job(
            id=job_id,
            puzzle="sudoku",
            task="sudoku-4x4",
            model=model,
            body=puzzle.dump(puzzle.parse({"grid": grid})),
            options=SolveOptions(**{"model": model, "seed": 7, **options}),
            submitted_s=submitted_s,
            deadline_s=deadline_s,
            sampling=sampling,
        )

    return make


@pytest.fixture
def solved() -> FoundSolution:
    return found(SOLVED)


def found(grid: str, *, votes: int = 1, job_id: str = "a") -> FoundSolution:
    puzzle = family("sudoku")
    return FoundSolution(
        job_id=job_id,
        tokens=puzzle.encode(puzzle.parse({"grid": grid})).tokens,
        votes=votes,
        value=0.75,
        trajectory=3,
        step=2,
        ms_since_admission=12.34567,
    )


MakeEnd = Callable[..., Finished]


@pytest.fixture
def make_end() -> MakeEnd:
    def make(
        outcome: str = "done", *, grids: Sequence[tuple[str, int]] = (), **fields: Any
    ) -> Finished:
        solutions = tuple(found(grid, votes=votes) for grid, votes in grids)
        values: dict[str, Any] = {
            "job_id": "a",
            "outcome": outcome,
            "solutions": solutions,
            "valid_trajectories": sum(votes for _, votes in grids),
            "supervision_steps": 40,
            "wasted_steps": 8,
            "best_attempt": None,
            "queue_s": 0.25,
            "engine_s": 0.5,
            "verify_mismatches": 0,
            "ended_trajectories": 64,
        }
        return Finished(**{**values, **fields})

    return make


@pytest.fixture
def wrong_answer() -> np.ndarray:
    return np.full(task("sudoku-4x4").length, 2, dtype=np.uint8)


@pytest.fixture
def store() -> FakeStore:
    return FakeStore()
