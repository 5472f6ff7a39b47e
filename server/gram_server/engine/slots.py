"""Which trajectory sits in which row of the running batch, and which rows must be copied where.

Host-side table only: the tensors belong to the runner. Live rows are kept a prefix: new
trajectories fill holes, and what holes remain are filled from the end.
"""

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from gram_server.engine.trajectory import Trajectory


class Move(NamedTuple):
    """A row whose latent state is wanted in another row.

    The moves of one tick happen at once: every source is read before any target is written. So a
    source is where the state lay before the tick, never where the same tick puts it.
    """

    source: int
    target: int


class Placement(NamedTuple):
    """A trajectory that starts in a row."""

    row: int
    trajectory: Trajectory


class Arrangement(NamedTuple):
    """What the runner must do to its rows before the next step."""

    moves: list[Move]
    starts: list[Placement]


class Slots:
    """Rows ``0 .. num_slots - 1`` run; the spare rows behind them keep paused trajectories.

    Between two arrangements a trajectory may change rows several times, and rows may change hands.
    Only where its state lay at the last arrangement and where it is at this one make a move. So
    each trajectory moves once at most, sources hold what they are read for, and no row is written
    twice.
    """

    def __init__(self, *, num_slots: int, num_spares: int) -> None:
        self.num_slots = num_slots
        self._rows: list[Trajectory | None] = []
        self._free_spares = list(range(num_slots + num_spares - 1, num_slots - 1, -1))
        self._origins: dict[Trajectory, int] = {}
        """Where the state lay at the last arrangement, of those that have changed rows since."""

    @property
    def num_live(self) -> int:
        """Rows with a trajectory."""
        return sum(trajectory is not None for trajectory in self._rows)

    @property
    def has_spare(self) -> bool:
        """Whether a trajectory could pause and keep its state."""
        return bool(self._free_spares)

    def live(self) -> Iterator[Placement]:
        """Yield the live rows, lowest first."""
        for row, trajectory in enumerate(self._rows):
            if trajectory is not None:
                yield Placement(row, trajectory)

    def release(self, row: int) -> None:
        """Free a row whose trajectory ended."""
        self._take_out(row)

    def pause(self, row: int) -> bool:
        """Free a row whose trajectory goes on later; return whether a spare row keeps its state."""
        trajectory = self._take_out(row)
        if self._free_spares:
            trajectory.spare = self._free_spares.pop()
            self._origins.setdefault(trajectory, row)
        return trajectory.spare is not None

    def forget(self, trajectory: Trajectory) -> None:
        """Free the spare row of a paused trajectory."""
        if trajectory.spare is not None:
            self._free_spares.append(trajectory.spare)
            trajectory.spare = None

    def fill(self, trajectories: Iterable[Trajectory]) -> Arrangement:
        """Give trajectories rows, close the holes, and return what that asks of the runner."""
        holes = [row for row, trajectory in enumerate(self._rows) if trajectory is None]
        starts: list[Placement] = []
        for trajectory in trajectories:
            row = holes.pop(0) if holes else self._append()
            self._put(row, trajectory)
            if trajectory.spare is None:
                starts.append(Placement(row, trajectory))
            else:
                self._origins.setdefault(trajectory, trajectory.spare)
                self.forget(trajectory)
        self._compact(holes)
        return Arrangement(self._take_moves(), starts)

    def _take_moves(self) -> list[Move]:
        """Return one move for every trajectory whose state is wanted elsewhere."""
        origins, self._origins = self._origins, {}
        places = ((source, trajectory.kept_in) for trajectory, source in origins.items())
        return [Move(source, row) for source, row in places if row is not None and row != source]

    def _put(self, row: int, trajectory: Trajectory) -> None:
        self._rows[row], trajectory.row = trajectory, row

    def _take_out(self, row: int) -> Trajectory:
        trajectory = self._rows[row]
        assert trajectory is not None
        self._rows[row] = trajectory.row = None
        return trajectory

    def _append(self) -> int:
        assert len(self._rows) < self.num_slots
        self._rows.append(None)
        return len(self._rows) - 1

    def _compact(self, holes: list[int]) -> None:
        """Move the last live rows into the lowest holes and shorten the table."""
        for hole in holes:
            while self._rows and self._rows[-1] is None:
                self._rows.pop()
            if hole >= len(self._rows):
                return
            last = self._rows.pop()
            assert last is not None
            self._put(hole, last)
            self._origins.setdefault(last, len(self._rows))
