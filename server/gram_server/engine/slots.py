"""Which trajectory is in which row of the running batch, and which rows must be copied.

Host-side table only: the tensors belong to the runner. Live rows are kept a prefix: new
trajectories fill holes, and remaining holes are filled from the end.
"""

from collections.abc import Iterable, Iterator
from typing import NamedTuple

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
        self._free_parking = list(range(num_slots + num_parking - 1, num_slots - 1, -1))
        self._origins: dict[Trajectory, int] = {}
        """Row of the state at the last update, for trajectories that have changed rows since."""

    @property
    def has_parking(self) -> bool:
        return bool(self._free_parking)

    def batch(self) -> list[Trajectory]:
        """Return the live trajectories by row, right after ``fill``, which leaves no hole."""
        return self._rows.copy()  # type: ignore[return-value]

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

    def preempt(self, row: int) -> bool:
        """Free the row of a trajectory that resumes later; return whether its state is kept."""
        trajectory = self.release(row)
        if self._free_parking:
            trajectory.parking_row = self._free_parking.pop()
            self._origins.setdefault(trajectory, row)
        return trajectory.parking_row is not None

    def forget(self, trajectory: Trajectory) -> None:
        if trajectory.parking_row is not None:
            self._free_parking.append(trajectory.parking_row)
            trajectory.parking_row = None

    def fill(self, trajectories: Iterable[Trajectory]) -> BatchUpdate:
        """Assign rows to trajectories, close the holes, and return the runner's update."""
        holes: list[int] = []
        if self.num_live < len(self._rows):
            holes = [row for row, trajectory in enumerate(self._rows) if trajectory is None]
        starts: list[SlotAssignment] = []
        for trajectory in trajectories:
            if not holes:
                assert len(self._rows) < self.num_slots
                holes.append(len(self._rows))
                self._rows.append(None)
            row = holes.pop(0)
            self._rows[row], trajectory.row = trajectory, row
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

    def _compact(self, holes: list[int]) -> None:
        for hole in holes:
            while self._rows and self._rows[-1] is None:
                self._rows.pop()
            if hole >= len(self._rows):
                return
            last = self._rows.pop()
            assert last is not None
            self._rows[hole], last.row = last, hole
            self._origins.setdefault(last, len(self._rows))
