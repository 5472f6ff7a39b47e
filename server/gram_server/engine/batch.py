"""The trajectories of one step, each in the row that it had when the step was started.

By the time its results are read some have left and some sit in other rows. Knows no runner.
"""

from collections.abc import Iterable
from typing import TYPE_CHECKING

from gram_server.engine.slots import Placement
from gram_server.engine.trajectory import Trajectory

if TYPE_CHECKING:
    from gram_server.engine.runner import StepReport


class Batch:
    """One step of the running batch: who took part, and later what came of it."""

    def __init__(self, placements: Iterable[Placement]) -> None:
        self.placements = list(placements)
        self.report: StepReport | None = None
        self._rows: dict[Trajectory, int] = {}

    def useful(self) -> list[Placement]:
        """Return those whose results still matter: the others ended, or lost their state."""
        return [placement for placement in self.placements if placement.trajectory.is_kept]

    def row_of(self, trajectory: Trajectory) -> int | None:
        """Return the row of a trajectory in this step; None if it took no part."""
        if not self._rows:
            self._rows = {placed: row for row, placed in self.placements}
        return self._rows.get(trajectory)
