"""Decides which trajectories get the slots: fair shares between jobs, classes above that.

Plain Python over job ids and counts: no torch, no clock, no rows. A job below its fair share gets
free slots first and, if there are none, slots of jobs above theirs; the rest goes round robin, one
trajectory at a time. ``docs/operations.md`` has the rule in full.
"""

from bisect import insort
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import repeat
from typing import NamedTuple

AGEING_S = 10.0
"""Seconds without a slot after which a job that higher classes shut out is lent one."""
LENT_PART = 8
"""At most one slot in this many is lent, but always one."""


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

    def take(self, count: int = 1) -> list[Admit]:
        """Give slots to the next trajectories, at most as many as wait."""
        self.num_live += count
        taken: list[int] = []
        while self.preempted and len(taken) < count:
            if self.preempted[0].round == self.next_round:
                taken.append(self.preempted.pop(0).trajectory)
            else:
                taken.append(self.next_fresh)
                self.next_fresh += 1
        first, self.next_fresh = self.next_fresh, self.next_fresh + count - len(taken)
        return [*map(Admit, repeat(self.job_id), (*taken, *range(first, self.next_fresh)))]

    def requeue(self, trajectory: int, resume_round: int = 0) -> None:
        """Queue a trajectory that lost its slot to a ``Plan``."""
        insort(self.preempted, Preempted(resume_round, trajectory))

    def swap(self, trajectory: int, resume_round: int) -> Admit:
        """Queue a live trajectory; return the one that gets the slot instead."""
        self.requeue(trajectory, resume_round)
        self.num_live -= 1
        return self.take()[0]

    def discard(self, trajectory: int) -> None:
        self.preempted = [each for each in self.preempted if each.trajectory != trajectory]


class Plan(NamedTuple):
    """What one tick changes."""

    preempt: dict[str, int]
    """Slots that jobs lose; the engine requeues the preempted trajectories."""
    admits: list[Admit]


class Scheduler:
    """Waiting jobs in a ring: a job that is served moves to its end."""

    def __init__(
        self, *, num_slots: int, num_parking: int | None = None, ageing_s: float = AGEING_S
    ) -> None:
        self._num_slots = num_slots
        self._num_parking = num_slots if num_parking is None else num_parking
        self._ageing_s = ageing_s
        self._ring: dict[str, ScheduledJob] = {}
        self._num_free = num_slots
        self._is_ring_next = False
        """Where jobs outnumber slots: whether the next slot goes to the job that waited longest."""

    @property
    def num_live(self) -> int:
        return self._num_slots - self._num_free

    @property
    def num_waiting(self) -> int:
        return sum(entry.num_waiting for entry in self._ring.values())

    def of(self, job_id: str) -> ScheduledJob:
        return self._ring[job_id]

    def add(
        self,
        job_id: str,
        *,
        width: int,
        priority: int,
        now_s: float,
        first_round: Callable[[int], int] = lambda trajectory: 0,
    ) -> None:
        self._ring[job_id] = ScheduledJob(
            job_id=job_id,
            width=width,
            priority=priority,
            served_s=now_s,
            end_fresh=width,
            first_round=first_round,
        )

    def remove(self, job_id: str) -> None:
        self._num_free += self._ring.pop(job_id).num_live

    def release(self, job_id: str) -> None:
        self._ring[job_id].num_live -= 1
        self._num_free += 1

    def plan(self, now_s: float) -> Plan:
        """Decide which jobs lose and get slots; the counts here change at once."""
        if not self.num_waiting:
            return Plan({}, [])
        by_priority: dict[int, list[ScheduledJob]] = {}
        for entry in self._ring.values():
            if entry.num_live:
                entry.served_s = now_s
            by_priority.setdefault(entry.priority, []).append(entry)
        classes = [by_priority[priority] for priority in sorted(by_priority)]
        groups = self._claimants(classes, now_s)
        shares = self._shares(groups)
        preempt = self._preempt([entry for group in classes for entry in group], shares)
        admits = self._fill_shares(groups, shares)
        fixed = {admit.job_id for admit in admits}
        standing = [entry for entry in groups[-1] if entry.job_id not in fixed]
        admits += self._displace(standing, preempt)
        return Plan(preempt, admits + self._hand_out(classes))

    def _claimants(
        self, classes: Sequence[list[ScheduledJob]], now_s: float
    ) -> list[list[ScheduledJob]]:
        """Return the classes that get slots; the last one may get only some.

        Jobs of lower classes that are lent a slot join the last one.
        """
        capacity, groups = self._num_slots, list[list[ScheduledJob]]()
        for group in classes:
            if capacity > 0:
                groups.append(group)
                capacity -= sum(entry.demand for entry in group)
        shut_out = [entry for group in classes[len(groups) :] for entry in group]
        for group in groups:
            for entry in group:
                entry.is_lent = False
        return [*groups[:-1], self._lend(shut_out, groups[-1], now_s) + groups[-1]]

    def _lend(
        self, shut_out: Sequence[ScheduledJob], last: Sequence[ScheduledJob], now_s: float
    ) -> list[ScheduledJob]:
        """Choose the jobs that may have one slot each although higher classes want them all."""
        if not shut_out:
            return []
        # Without a parking row, lending and taking back a slot loses all its work.
        has_parking = sum(len(entry.preempted) for entry in self._ring.values()) < self._num_parking
        is_wanted = any(entry.is_unserved for entry in last)
        able = []
        for entry in shut_out:
            is_due = has_parking and entry.is_unserved and now_s - entry.served_s >= self._ageing_s
            is_back = entry.num_live > 0 and is_wanted
            if is_due or (entry.is_lent and not is_back):
                able.append(entry)
            entry.is_lent = False
        able.sort(key=lambda entry: (not entry.num_live, entry.served_s))
        lent = able[: max(1, self._num_slots // LENT_PART)]
        for entry in lent:
            entry.is_lent = True
        return lent

    def _shares(self, groups: Sequence[Sequence[ScheduledJob]]) -> dict[str, int]:
        """Return the fair share of each claimant: what it may hold while others want slots.

        Where a class has more jobs than slots, its jobs may hold one each, in rotation.
        """
        capacity = self._num_slots
        shares: dict[str, int] = {}
        for group in groups:
            claims = [entry.claim for entry in group]
            level = fair_level(claims, capacity)
            shares |= {entry.job_id: min(entry.claim, max(1, level)) for entry in group}
            if not level:
                shares |= dict.fromkeys(beyond(group, capacity), 0)
            capacity -= sum(claims)
        return shares

    def _preempt(self, order: Sequence[ScheduledJob], shares: Mapping[str, int]) -> dict[str, int]:
        """Take as many slots from jobs above their share as jobs below theirs lack."""
        wanted = sum(max(0, shares.get(entry.job_id, 0) - entry.num_live) for entry in order)
        missing = wanted - self._num_free
        preempt: dict[str, int] = {}
        for entry in reversed(order):
            surplus = min(missing, entry.num_live - shares.get(entry.job_id, 0))
            if surplus > 0:
                self._give_up(entry, surplus, preempt)
                missing -= surplus
        return preempt

    def _give_up(self, entry: ScheduledJob, count: int, preempt: dict[str, int]) -> None:
        preempt[entry.job_id] = preempt.get(entry.job_id, 0) + count
        entry.num_live -= count
        self._num_free += count

    def _fill_shares(
        self, groups: Sequence[Sequence[ScheduledJob]], shares: Mapping[str, int]
    ) -> list[Admit]:
        admits: list[Admit] = []
        for group in groups:
            below = [entry for entry in group if entry.num_live < shares[entry.job_id]]
            lacking = sum(shares[entry.job_id] - entry.num_live for entry in below)
            for entry in below if lacking <= self._num_free else self._in_rotation(below):
                admits += self._take(
                    entry, min(self._num_free, shares[entry.job_id] - entry.num_live)
                )
        self._to_end(admits)
        return admits

    def _in_rotation(self, waiting: Sequence[ScheduledJob]) -> Iterator[ScheduledJob]:
        """Yield jobs while slots are free: in turn the narrowest new one and the next of the ring.

        So a small new job overtakes any number of wide ones, and a stream of new jobs cannot starve
        the others.
        """
        ring = dict.fromkeys(waiting)
        fresh = [entry for entry in reversed(ring) if entry.is_new]
        fresh.sort(key=lambda entry: -entry.width)
        while ring and self._num_free:
            while fresh and fresh[-1] not in ring:
                fresh.pop()
            entry = fresh[-1] if fresh and not self._is_ring_next else next(iter(ring))
            self._is_ring_next = not self._is_ring_next
            del ring[entry]
            yield entry

    def _displace(self, group: Sequence[ScheduledJob], preempt: dict[str, int]) -> list[Admit]:
        """Give new jobs the slots of wider jobs, and lent slots, where none is above its share."""
        waiting = [entry for entry in group if entry.is_unserved]
        takers = sorted((e for e in waiting if e.is_new and not e.is_lent), key=lambda e: e.width)
        takers += [entry for entry in waiting if entry.is_lent]
        if not takers:
            return []
        holders = [entry for entry in reversed(group) if entry.num_live and not entry.is_lent]
        holders.sort(key=lambda entry: entry.width)
        admits: list[Admit] = []
        for taker in takers:
            if holders and (taker.is_lent or holders[-1].width > taker.width):
                self._give_up(holders.pop(), 1, preempt)
                admits += self._take(taker)
                self._is_ring_next = not taker.is_lent
        self._to_end(admits)
        return admits

    def _hand_out(self, classes: Sequence[Sequence[ScheduledJob]]) -> list[Admit]:
        """Give out slots that are still free, one trajectory of each job in rotation."""
        admits: list[Admit] = []
        for group in classes:
            ring = sorted(group, key=lambda entry: entry.num_live)
            while (ring := [entry for entry in ring if entry.num_waiting]) and self._num_free:
                for entry in ring[: self._num_free]:
                    admits += self._take(entry)
        self._to_end(admits)
        return admits

    def _take(self, entry: ScheduledJob, count: int = 1) -> list[Admit]:
        self._num_free -= count
        return entry.take(count)

    def _to_end(self, served: Iterable[Admit]) -> None:
        for job_id in dict.fromkeys(admit.job_id for admit in served):
            self._ring[job_id] = self._ring.pop(job_id)


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
