"""The device side of the engine: row tensors, one supervision step, one host sync.

``Runner`` is what the engine asks for. Rows are addressed by number only; jobs are unknown here.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from gram_core.puzzles import Tokens
from gram_server.engine.slots import Arrangement


@dataclass(frozen=True, slots=True, kw_only=True)
class StepReport:
    """What one supervision step did to the live rows, on the host."""

    answers: Tokens
    """(live, length) in each trajectory's own view."""
    is_valid: Sequence[bool]
    """Whether the device verifier found the answer to solve the instance."""
    wants_halt: Sequence[bool]
    """Whether the halt head says stop."""
    is_finite: Sequence[bool]
    value: Sequence[float]
    num_violations: Sequence[int]
    num_rows: int
    """Rows computed, padding included."""
    duration_s: float = 0.0
    """From the admission of new rows, or the last start of a step, until the results were on the
    host."""


class Runner(Protocol):
    """Rows of latent state that advance together; a model on a device, or a script in tests."""

    num_slots: int
    num_spares: int
    lag: int
    """Steps that may be under way when the next is started, so that the device never waits for the
    host; 0 where a step is computed by the host itself."""
    runs_ahead: bool
    """Whether more rows cost next to no time, so that trajectories may start before their turn."""

    def arrange(self, arrangement: Arrangement) -> None:
        """Copy rows as the moves say, all at once, then start new trajectories in theirs."""
        ...

    def step(self, num_live: int) -> None:
        """Start one supervision step of rows ``0 .. num_live - 1``."""
        ...

    def read(self) -> StepReport:
        """Wait for the oldest step under way and return its results: the one sync of a tick."""
        ...
