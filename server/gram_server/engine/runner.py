"""What the engine needs of the device: rows of latent state that advance together.

Rows are addressed by number only; jobs are unknown here.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from gram_core.puzzles import Tokens
from gram_kernels.tokens import NUM_FACTS
from gram_server.engine.slots import BatchUpdate


@dataclass(kw_only=True)
class StepReport:
    """Results of one supervision step for the live rows, on the host."""

    facts: NDArray[np.int32]
    """(live, NUM_FACTS + length), as ``gram_kernels.tokens`` orders them; most are never read."""
    num_rows: int
    """Rows computed, padding included."""
    duration_s: float = 0.0
    """From the update of the rows, or the last start of a step, until the results were on the
    host."""

    @cached_property
    def answers(self) -> Tokens:
        """(live, length) in each trajectory's own view."""
        return self.facts[:, NUM_FACTS:].astype(np.uint8)

    @cached_property
    def is_valid(self) -> NDArray[np.bool_]:
        """(live,) whether the device verifier found the answer to solve the instance."""
        return self._flag(0)

    @cached_property
    def wants_halt(self) -> NDArray[np.bool_]:
        return self._flag(1)

    @cached_property
    def is_finite(self) -> NDArray[np.bool_]:
        return self._flag(2)

    def marks(self) -> NDArray[np.bool_]:
        """Return (live,) whether an answer, its halt head or its numbers may end a trajectory."""
        facts = self.facts
        marks: NDArray[np.bool_] = (facts[:, 0] | facts[:, 1]) >= facts[:, 2]
        return marks

    def _flag(self, column: int) -> NDArray[np.bool_]:
        flag: NDArray[np.bool_] = self.facts[:, column] != 0
        return flag

    @cached_property
    def num_violations(self) -> NDArray[np.int32]:
        return self.facts[:, 3]

    @cached_property
    def value(self) -> NDArray[np.float32]:
        return self.facts[:, 4].copy().view(np.float32)


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
