"""Which trajectory is in which row of the running batch, and what the engine needs of the device.

Tables on the host only: the tensors belong to the runner, which knows rows by number and no jobs.
Live rows are kept a prefix: new trajectories fill holes, the end fills the holes that remain.
"""

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from gram_core.puzzles import Tokens
from gram_kernels.tokens import NUM_FACTS
from gram_server.engine.trajectory import Trajectory


class Move(NamedTuple):
    """A copy of one row's latent state to another row.

    The moves of one tick are simultaneous: every source is read before any target is written. So a
    source is where the state lay before the tick, never where the same tick puts it.
    """

    source: int
    target: int


class SlotAssignment(NamedTuple):
    """A trajectory and its row."""

    row: int
    trajectory: Trajectory


class BatchUpdate(NamedTuple):
    """What the runner must do to its rows before the next step."""

    moves: list[Move]
    starts: list[SlotAssignment]


@dataclass(slots=True)
class Batch:
    """The trajectories of one step, in the rows that they had when the step was launched.

    By the time its results are read some have left, and some sit in other rows.
    """

    number: int
    """How many steps were launched before it."""
    trajectories: list[Trajectory]
    due: NDArray[np.int64]
    """(live,) ``Trajectory.due`` of each."""
    first_due: int
    num_gone: int = 0
    """How many have ended or lost their state since."""

    def marked_or_due(self, marks: NDArray[np.bool_], num_read: int) -> NDArray[np.int64]:
        """Return the rows, rising, that are marked, (live,), or due after so many steps."""
        looks = marks if self.first_due > num_read else marks | (self.due <= num_read)
        return looks.nonzero()[0]

    def note_gone(self, trajectory: Trajectory) -> None:
        self.num_gone += trajectory.joined <= self.number < trajectory.left


class Slots:
    """Rows ``0 .. num_slots - 1`` run; parking rows behind them keep preempted trajectories.

    Between two updates a trajectory may change rows several times. One move leads from where its
    state lay at the last update to where it is at this one. So each trajectory moves at most once,
    and no row is written twice.
    """

    def __init__(self, *, num_slots: int, num_parking: int) -> None:
        self.num_slots = num_slots
        self.num_live = 0
        self._rows: list[Trajectory | None] = []
        self._due = np.zeros(num_slots, np.int64)
        self._batch: tuple[list[Trajectory], NDArray[np.int64], int] | None = None
        """What a step needs of them; None where it has changed."""
        self._free_parking = list(range(num_slots + num_parking - 1, num_slots - 1, -1))
        self._origins: dict[Trajectory, int] = {}
        """Row of the state at the last update, for trajectories that have changed rows since."""

    @property
    def has_parking(self) -> bool:
        return bool(self._free_parking)

    @property
    def has_holes(self) -> bool:
        return self.num_live < len(self._rows)

    def batch(self, number: int) -> Batch:
        """Return the live trajectories by row, right after ``fill``, which leaves no hole."""
        if self._batch is None:
            rows: list[Trajectory] = self._rows.copy()  # type: ignore[assignment]
            due = self._due[: len(rows)].copy()
            self._batch = rows, due, int(due.min())
        return Batch(number, *self._batch)

    def live(self) -> Iterator[SlotAssignment]:
        for row, trajectory in enumerate(self._rows):
            if trajectory is not None:
                yield SlotAssignment(row, trajectory)

    def release(self, row: int) -> Trajectory:
        trajectory = self._rows[row]
        assert trajectory is not None
        self._rows[row] = trajectory.row = None
        self.num_live -= 1
        return trajectory

    def preempt(self, row: int) -> Trajectory:
        """Free the row of a trajectory that resumes later; its state is kept if it gets another."""
        trajectory = self.release(row)
        if self._free_parking:
            trajectory.parking_row = self._free_parking.pop()
            self._origins.setdefault(trajectory, row)
        return trajectory

    def forget(self, trajectory: Trajectory) -> None:
        if trajectory.parking_row is not None:
            self._free_parking.append(trajectory.parking_row)
            trajectory.parking_row = None

    def fill(self, trajectories: Iterable[Trajectory]) -> BatchUpdate:
        """Assign rows to trajectories, close the holes, and return the runner's update."""
        rows, holes = self._rows, deque[int]()
        self._batch = None
        if self.has_holes:
            holes.extend(row for row, trajectory in enumerate(rows) if trajectory is None)
        starts: list[SlotAssignment] = []
        for trajectory in trajectories:
            if holes:
                row = holes.popleft()
                rows[row] = trajectory
            else:
                row = len(rows)
                rows.append(trajectory)
            # Of more trajectories than slots this is an error.
            trajectory.row, self._due[row] = row, trajectory.due
            self.num_live += 1
            if trajectory.parking_row is None:
                starts.append(SlotAssignment(row, trajectory))
            else:
                self._origins.setdefault(trajectory, trajectory.parking_row)
                self.forget(trajectory)
        self._compact(holes)
        origins, self._origins = self._origins, {}
        moves = []
        for trajectory, source in origins.items():
            target = trajectory.parking_row if trajectory.row is None else trajectory.row
            # None once the state is lost.
            if target is not None and target != source:
                moves.append(Move(source, target))
        return BatchUpdate(moves, starts)

    def _compact(self, holes: Iterable[int]) -> None:
        for hole in holes:
            while self._rows and self._rows[-1] is None:
                self._rows.pop()
            if hole >= len(self._rows):
                return
            last = self._rows.pop()
            assert last is not None
            self._rows[hole], last.row, self._due[hole] = last, hole, last.due
            self._origins.setdefault(last, len(self._rows))


@dataclass(kw_only=True)
class StepReport:
    """Results of a supervision step for the live rows, on the host."""

    facts: NDArray[np.int32]
    """(live, NUM_FACTS + length), as ``gram_kernels.tokens`` orders them; most are never read."""
    num_rows: int
    """Rows computed, padding included."""
    num_steps: int = 1
    """Steps taken, of which the results of all but the last change nothing."""
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

    def step(self, num_live: int, max_steps: int = 1) -> None:
        """Launch a supervision step of rows ``0 .. num_live - 1``.

        Up to ``max_steps`` may be taken at once, until one has results that ``StepReport.marks``
        and that differ from those of the step before.
        """
        ...

    def read(self) -> StepReport:
        """Wait for the oldest step in flight and return its results: the one sync of a tick."""
        ...
