"""The engine's inputs and outputs.

Plain data. The rules of a puzzle arrive as callables of the job; nothing here knows a puzzle.
"""

import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from gram_core.puzzles import Tokens, View, ViewOf

Halt = Literal["verified", "act", "settled", "never"]
Order = Literal["step", "trajectory"]
"""``step``: the earliest steps first; with ``max_solutions`` later trajectories start later.
``trajectory``: by index alone, and no more trajectories start than the missing solutions should
take."""
Outcome = Literal["done", "expired", "cancelled", "failed"]
ViewState = Literal["running", "solved", "halted", "exhausted"]
FOREVER = sys.maxsize
NOTHING_FOUND: frozenset[bytes] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineJob:
    """One instance to solve with ``width`` trajectories of at most ``depth`` steps."""

    id: str
    tokens: Tokens
    """(length,) givens as the user sees them, not as a trajectory views them."""
    adjacency: NDArray[np.bool_] | None = None
    """(length, length) without the diagonal; None where the task has no graph."""
    width: int
    depth: int
    max_solutions: int | None = None
    """Distinct solutions after which the rest of the job is dropped."""
    order: Order = "step"
    """Which solutions come first, and so which are enough for ``max_solutions``."""
    is_verified: bool = True
    """Whether an answer that ``check`` accepts is a solution; else it is only well-formed."""
    distinct: bool = True
    """Whether a solution that was found before counts as the same one."""
    deadline_s: float | None = None
    """On the clock of ``tick``."""
    seed: int
    halt: Halt = "verified"
    """When a trajectory leaves before ``depth``: at a valid answer, at its halt head, when its
    answer has settled, or never: then it goes on after a solution and may find others."""
    priority: int = 1
    """Class of the job, 0 served first."""
    num_shown: int = 0
    """First trajectories whose answers are reported while they run."""
    view: ViewOf
    check: Callable[[Tokens], bool]
    """The plain checker, which decides on every solution."""
    canonical: Callable[[Tokens], bytes]
    """A key that two answers share exactly when they count as one solution."""
    count_violations: Callable[[Tokens], int] | None = None
    """Number of broken rules of an answer, where the device verifier does not check all rules: then
    ``check`` decides on every answer that the verifier accepts. None where it checks all."""

    def __post_init__(self) -> None:
        for name in ("width", "depth", "max_solutions"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise ValueError(f"{name}={value}: must be at least 1")

    @property
    def is_staggered(self) -> bool:
        """Whether later trajectories start later, because the earliest solutions are enough."""
        return self.max_solutions is not None and self.order == "step"


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundSolution:
    """A distinct solution of a job: as an event when it is found, and in the final list."""

    job_id: str
    tokens: Tokens
    """(length,) as the user sees them."""
    votes: int
    """Trajectories whose first valid answer is this solution, so far."""
    value: float
    """Value head of the trajectory that found it, at that step."""
    trajectory: int
    step: int
    """Supervision steps the trajectory had taken, from 1."""
    ms_since_admission: float
    """Since the job's first trajectory got a slot."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finished:
    """The end of a job; every submitted job gets exactly one."""

    job_id: str
    outcome: Outcome
    solutions: tuple[FoundSolution, ...] = ()
    """Most votes first, then by step and trajectory; by trajectory where the job's order is."""
    valid_trajectories: int = 0
    """Trajectories that found a solution."""
    ended_trajectories: int = 0
    """Trajectories that ended by themselves, of those that count."""
    supervision_steps: int = 0
    """Steps taken for the job, the wasted ones included."""
    wasted_steps: int = 0
    """Steps of trajectories that were dropped before their end."""
    best_attempt: Tokens | None = None
    """The answer with the fewest violations when nothing was solved; None before any step."""
    queue_s: float = 0.0
    engine_s: float = 0.0
    verify_mismatches: int = 0
    """Answers that the device verifier accepted and the plain checker did not."""


class TrajectoryView(NamedTuple):
    """A trajectory after one of its steps."""

    trajectory: int
    step: int
    state: ViewState
    answer: Tokens
    """(length,) as the trajectory sees it."""
    view: View | None

    def tokens(self) -> Tokens:
        return self.answer if self.view is None else self.view.invert(self.answer)


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """State of a running job; superseded by the next one."""

    job_id: str
    step: int
    """Most supervision steps that a trajectory of the job has taken."""
    live: int
    solved: int
    solved_at: tuple[int, ...]
    """How many were found at each supervision step, from 1."""
    trajectories: tuple[TrajectoryView, ...]
    """The shown trajectories that have taken a step."""


EngineEvent = FoundSolution | Finished | Progress


@dataclass(slots=True)
class StepClock:
    """Counts the steps of a batch."""

    launched: int = 0
    read: int = 0
    """Those whose results the host has."""

    def take(self, count: int) -> None:
        """Count steps whose results have come, launched as one."""
        self.launched += count - 1
        self.read += count


class Trajectory:
    """One sampled latent path on its way through the slots.

    Every step of the batch is one of each trajectory with a slot, so how many it has taken follows
    from the steps of the batch between which it had one.
    """

    __slots__ = (
        "_clock",
        "_zero",
        "answer",
        "found",
        "index",
        "job",
        "joined",
        "left",
        "next_look",
        "num_same",
        "parking_row",
        "row",
    )

    def __init__(self, job: EngineJob, index: int, clock: StepClock) -> None:
        self.job, self.index, self._clock = job, index, clock
        self.found = NOTHING_FOUND
        """Valid answers that were recorded, in its view."""
        self.answer = b""
        """The last answer of a trajectory that leaves when it has settled."""
        self.num_same = 0
        """Steps over which that answer has stayed the same."""
        self.row: int | None = None
        """Row of its slot; None while it has none."""
        self.parking_row: int | None = None
        """Row that keeps the latent state while the trajectory has no slot."""
        is_watched = index < job.num_shown or job.halt == "settled"
        self.next_look = 1 if is_watched else job.depth
        """Steps from which on every result is looked at, even one that ends nothing by itself."""
        self._zero = self.joined = clock.launched
        self.left = FOREVER
        """It takes the steps of the batch from ``joined`` on, before ``left``."""

    @property
    def steps(self) -> int:
        """Supervision steps whose results the host has."""
        end = self._clock.read
        if end > self.left:
            end = self.left
        elif end < self.joined:
            end = self.joined
        return end - self._zero

    @property
    def due(self) -> int:
        """How many steps of the batch have been read when its result must be looked at."""
        return self._zero + self.next_look

    @property
    def view(self) -> View | None:
        return self.job.view(self.index)

    def join(self) -> None:
        """Take the batch's next steps after a break; those before it must have been read."""
        gap = self._clock.launched - self.left
        if gap:
            self._zero += gap
            self.joined = self._clock.launched
        self.left = FOREVER

    def pause(self) -> None:
        self.left = self._clock.launched

    def unview(self, answer: Tokens) -> Tokens:
        """Return an answer, (length,), as the user sees it."""
        view = self.view
        return answer.copy() if view is None else view.invert(answer)
