"""Decides which trajectories get the slots: fair shares between jobs, classes above that.

Plain Python over job ids and counts: no torch, no clock of its own, no rows. A job below its fair
share gets free slots first and, if there are none, slots that jobs above theirs give up; what is
then left goes round robin, one trajectory a turn.
"""

from bisect import insort
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

AGEING_S = 10.0
"""Seconds after which a waiting job moves up one priority class."""


class Admit(NamedTuple):
    """A trajectory that gets a slot."""

    job_id: str
    trajectory: int


class Paused(NamedTuple):
    """A trajectory that gave up its slot; the least one goes on first."""

    stretch: int
    """How far its job has to be before it goes on: fresh ones of a lower stretch come first."""
    trajectory: int


class Plan(NamedTuple):
    """What one tick changes."""

    yields: dict[str, int]
    """Slots that jobs give up, to be taken back with ``requeue``."""
    admits: list[Admit]


@dataclass(slots=True, kw_only=True, eq=False)
class _Entry:
    """A job's place in the scheduler."""

    job_id: str
    priority: int
    submitted_s: float
    next_fresh: int = 0
    end_fresh: int
    """Trajectories ``next_fresh .. end_fresh - 1`` have not started."""
    stretch_of: Callable[[int], int]
    """Returns the stretch in which a trajectory starts."""
    paused: list[Paused] = field(default_factory=list)
    """Sorted."""
    num_live: int = 0

    @property
    def first_stretch(self) -> int | None:
        """The stretch of the trajectory that is next to get a slot; None where none waits."""
        fresh = [self.stretch_of(self.next_fresh)] if self.next_fresh < self.end_fresh else []
        return min([paused.stretch for paused in self.paused[:1]] + fresh, default=None)

    @property
    def num_waiting(self) -> int:
        """Trajectories without a slot."""
        return len(self.paused) + max(0, self.end_fresh - self.next_fresh)

    @property
    def demand(self) -> int:
        """Trajectories with or without a slot."""
        return self.num_live + self.num_waiting

    def take(self) -> Admit:
        """Return the next trajectory, now live."""
        self.num_live += 1
        if self.paused and self.paused[0].stretch == self.first_stretch:
            return Admit(self.job_id, self.paused.pop(0).trajectory)
        self.next_fresh += 1
        return Admit(self.job_id, self.next_fresh - 1)


class Scheduler:
    """Waiting jobs, as a ring: whoever was served goes to its end."""

    def __init__(self, *, num_slots: int, ageing_s: float = AGEING_S) -> None:
        self._num_slots = num_slots
        self._ageing_s = ageing_s
        self._ring: dict[str, _Entry] = {}
        self._num_free = num_slots

    @property
    def num_live(self) -> int:
        """Trajectories with a slot."""
        return self._num_slots - self._num_free

    @property
    def num_waiting(self) -> int:
        """Trajectories without a slot."""
        return sum(entry.num_waiting for entry in self._ring.values())

    def outstanding(self, job_id: str) -> int:
        """Return how many trajectories of the job have not ended."""
        return self._ring[job_id].demand

    def first_stretch(self, job_id: str) -> int | None:
        """Return the least stretch of a job's waiting trajectories; None where none waits."""
        return self._ring[job_id].first_stretch

    def add(
        self,
        job_id: str,
        *,
        width: int,
        priority: int,
        now_s: float,
        stretch_of: Callable[[int], int] = lambda trajectory: 0,
    ) -> None:
        """Let a job wait with ``width`` trajectories, each in the stretch that it starts in."""
        self._ring[job_id] = _Entry(
            job_id=job_id,
            priority=priority,
            submitted_s=now_s,
            end_fresh=width,
            stretch_of=stretch_of,
        )

    def remove(self, job_id: str) -> None:
        """Forget a job."""
        self._num_free += self._ring.pop(job_id).num_live

    def release(self, job_id: str) -> None:
        """Take note that a live trajectory ended."""
        self._ring[job_id].num_live -= 1
        self._num_free += 1

    def requeue(self, job_id: str, trajectory: int, stretch: int = 0) -> None:
        """Let a trajectory wait that gave up its slot for a ``Plan``."""
        insort(self._ring[job_id].paused, Paused(stretch, trajectory))

    def exchange(self, job_id: str, trajectory: int, stretch: int) -> Admit:
        """Let a live trajectory wait; return the one of its job that gets the slot instead."""
        self.release(job_id)
        self.requeue(job_id, trajectory, stretch)
        return self._take(self._ring[job_id])

    def discard(self, job_id: str, trajectory: int) -> None:
        """Drop a trajectory that gave up its slot."""
        entry = self._ring[job_id]
        entry.paused = [paused for paused in entry.paused if paused.trajectory != trajectory]

    def limit(self, job_id: str, end: int) -> None:
        """Let no trajectory from ``end`` on start."""
        self._ring[job_id].end_fresh = end

    def plan(self, now_s: float) -> Plan:
        """Decide who gives up and who gets slots; the counts here follow at once."""
        if not self.num_waiting:
            return Plan({}, [])
        classes = self._classes(now_s)
        shares = self._shares(classes)
        yields = self._yield(classes, shares)
        return Plan(yields, self._fill_shares(classes, shares) + self._hand_out(classes))

    def _classes(self, now_s: float) -> list[list[_Entry]]:
        """Return the ring by effective class, highest first."""
        groups: dict[int, list[_Entry]] = {}
        for entry in self._ring.values():
            age = int((now_s - entry.submitted_s) / self._ageing_s)
            groups.setdefault(max(0, entry.priority - age), []).append(entry)
        return [groups[priority] for priority in sorted(groups)]

    def _shares(self, classes: Sequence[Sequence[_Entry]]) -> dict[str, int]:
        """Return each job's fair share: what it may hold while others want slots.

        Where a class has more jobs than slots its jobs may hold one each, first come first served.
        """
        capacity = self._num_slots
        shares: dict[str, int] = {}
        for group in classes:
            level = max(1, fair_level([entry.demand for entry in group], capacity))
            for entry in group:
                shares[entry.job_id] = min(entry.demand, level) if capacity else 0
            capacity = max(0, capacity - sum(entry.demand for entry in group))
        return shares

    def _yield(
        self, classes: Sequence[Sequence[_Entry]], shares: Mapping[str, int]
    ) -> dict[str, int]:
        """Take as many slots from jobs above their share as jobs below theirs lack."""
        order = [entry for group in classes for entry in group]
        wanted = sum(max(0, shares[entry.job_id] - entry.num_live) for entry in order)
        missing = wanted - self._num_free
        yields: dict[str, int] = {}
        for entry in reversed(order):
            surplus = min(missing, entry.num_live - shares[entry.job_id])
            if surplus > 0:
                yields[entry.job_id] = surplus
                entry.num_live -= surplus
                self._num_free += surplus
                missing -= surplus
        return yields

    def _fill_shares(
        self, classes: Sequence[Sequence[_Entry]], shares: Mapping[str, int]
    ) -> list[Admit]:
        """Admit trajectories of jobs below their share."""
        admits: list[Admit] = []
        for group in classes:
            for entry in group:
                count = min(self._num_free, shares[entry.job_id] - entry.num_live)
                admits.extend(self._take(entry) for _ in range(count))
        self._to_end(admits)
        return admits

    def _hand_out(self, classes: Sequence[Sequence[_Entry]]) -> list[Admit]:
        """Give slots that are still free away in turns, one trajectory a turn."""
        admits: list[Admit] = []
        for group in classes:
            turns = sorted(group, key=lambda entry: entry.num_live)
            while (turns := [entry for entry in turns if entry.num_waiting]) and self._num_free:
                admits.extend(self._take(entry) for entry in turns[: self._num_free])
        self._to_end(admits)
        return admits

    def _take(self, entry: _Entry) -> Admit:
        self._num_free -= 1
        return entry.take()

    def _to_end(self, served: Iterable[Admit]) -> None:
        """Move jobs that were served behind those that were not."""
        for job_id in dict.fromkeys(admit.job_id for admit in served):
            self._ring[job_id] = self._ring.pop(job_id)


def fair_level(demands: Sequence[int], capacity: int) -> int:
    """Return the largest share L for which min(demand, L), summed over all, fits the capacity."""
    remaining = capacity
    for place, demand in enumerate(sorted(demands)):
        num_left = len(demands) - place
        if demand * num_left > remaining:
            return remaining // num_left
        remaining -= demand
    return max(demands, default=0)
