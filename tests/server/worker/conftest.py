"""Jobs on 4x4 sudokus, and a store that remembers what a worker told it."""

from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np
import pytest

from gram_core.puzzles import family, task
from gram_server.engine import Finished, FoundSolution
from tests.jobs import new_job
from tests.server.worker.harness import FakeStore, MakeEnd, MakeJob, MakeModel, World

SOLVED = "1234341221434321"
PUZZLE = "1.34341221434321"
AMBIGUOUS = "12343412........"


@pytest.fixture
def make_job() -> MakeJob:
    return partial(new_job, grid=PUZZLE, seed=7, submitted_s=1_000.0)


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


@pytest.fixture
def world(
    store: FakeStore, make_job: MakeJob, make_end: MakeEnd, guessing_model: MakeModel
) -> World:
    return World(store, make_job, make_end, guessing_model)
