"""What the engine needs of the device: rows of latent state that advance together.

Rows are addressed by number only; jobs are unknown here.
"""

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from gram_core.puzzles import Tokens
from gram_server.engine.slots import BatchUpdate


@dataclass(frozen=True, slots=True, kw_only=True)
class StepReport:
    """Results of one supervision step for the live rows, on the host."""

    answers: Tokens
    """(live, length) in each trajectory's own view."""
    is_valid: NDArray[np.bool_]
    """(live,) whether the device verifier found the answer to solve the instance."""
    wants_halt: NDArray[np.bool_]
    is_finite: NDArray[np.bool_]
    value: NDArray[np.float32]
    num_violations: NDArray[np.int32]
    num_rows: int
    """Rows computed, padding included."""
    duration_s: float = 0.0
    """From the update of the rows, or the last start of a step, until the results were on the
    host."""


class Runner(Protocol):
    """A model on a device, or scripted results in tests."""

    num_slots: int
    num_parking: int
    """Rows behind the slots that keep the state of preempted trajectories."""
    pipeline_depth: int
    """Steps that may be in flight when the next is launched, so that the device never waits for the
    host; 0 where the host computes a step itself."""
    rows_are_free: bool
    """Whether more rows cost next to no time, so that trajectories may start early."""

    def update_rows(self, update: BatchUpdate) -> None:
        """Copy rows as the moves say, all at once, then start new trajectories in theirs."""
        ...

    def step(self, num_live: int) -> None:
        """Launch one supervision step of rows ``0 .. num_live - 1``."""
        ...

    def read(self) -> StepReport:
        """Wait for the oldest step in flight and return its results: the one sync of a tick."""
        ...
