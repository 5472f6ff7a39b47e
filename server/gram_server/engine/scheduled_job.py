"""Scheduling state of one job, and the arithmetic of fair shares. Knows no other jobs."""

from bisect import insort
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple


class Admit(NamedTuple):
    """A trajectory that gets a slot."""

    job_id: str
    trajectory: int


class Preempted(NamedTuple):
    """A trajectory that lost its slot; the least one resumes first."""

    round: int
    """Round in which it resumes."""
    trajectory: int


@dataclass(slots=True, kw_only=True, eq=False)
class ScheduledJob:
    """How many trajectories of a job have a slot, and which get the next ones."""

    job_id: str
    width: int
    priority: int
    served_s: float
    """When it last had a slot, or was submitted."""
    is_lent: bool = False
    """Whether it may have one slot although higher classes want them all."""
    next_fresh: int = 0
    end_fresh: int
    """Trajectories ``next_fresh .. end_fresh - 1`` have not started."""
    first_round: Callable[[int], int]
    """Returns the round in which a trajectory starts."""
    preempted: list[Preempted] = field(default_factory=list)
    """Sorted."""
    num_live: int = 0

    @property
    def next_round(self) -> int | None:
        """The round of the trajectory that is next to get a slot; None where none waits."""
        rounds = [preempted.round for preempted in self.preempted[:1]]
        if self.next_fresh < self.end_fresh:
            rounds.append(self.first_round(self.next_fresh))
        return min(rounds, default=None)

    @property
    def is_new(self) -> bool:
        return self.next_fresh == 0

    @property
    def is_unserved(self) -> bool:
        return not self.num_live and self.num_waiting > 0

    @property
    def num_waiting(self) -> int:
        return len(self.preempted) + max(0, self.end_fresh - self.next_fresh)

    @property
    def demand(self) -> int:
        return self.num_live + self.num_waiting

    @property
    def claim(self) -> int:
        """The demand from which its fair share is computed."""
        return min(self.demand, 1) if self.is_lent else self.demand

    def take(self) -> Admit:
        self.num_live += 1
        if self.preempted and self.preempted[0].round == self.next_round:
            return Admit(self.job_id, self.preempted.pop(0).trajectory)
        self.next_fresh += 1
        return Admit(self.job_id, self.next_fresh - 1)

    def requeue(self, trajectory: int, resume_round: int) -> None:
        insort(self.preempted, Preempted(resume_round, trajectory))

    def discard(self, trajectory: int) -> None:
        self.preempted = [each for each in self.preempted if each.trajectory != trajectory]


def beyond(group: Sequence[ScheduledJob], capacity: int) -> list[str]:
    """Return the jobs that must lose slots where a class may have only ``capacity``.

    Lent slots go first, then those of the jobs served longest ago.
    """
    holders = [entry for entry in group if entry.num_live]
    holders.sort(key=lambda entry: not entry.is_lent)
    return [entry.job_id for entry in holders[: max(0, len(holders) - capacity)]]


def fair_level(demands: Sequence[int], capacity: int) -> int:
    """Return the largest share L for which min(demand, L), summed over all, fits the capacity."""
    remaining = capacity
    for place, demand in enumerate(sorted(demands)):
        num_left = len(demands) - place
        if demand * num_left > remaining:
            return remaining // num_left
        remaining -= demand
    return max(demands, default=0)
