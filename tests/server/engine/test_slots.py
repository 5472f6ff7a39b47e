from collections.abc import Iterable, Iterator
from itertools import chain, combinations, permutations, product
from random import Random
from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gram_server.engine import Trajectory
from gram_server.engine.slots import Slots
from gram_server.engine.trajectory import StepClock
from tests.server.engine.harness import plain_job

JOB = plain_job(width=1000)


def _trajectory(index: int) -> Trajectory:
    return Trajectory(JOB, index, StepClock())


def test_new_trajectories_fill_holes_before_rows_are_moved() -> None:
    slots = Slots(num_slots=4, num_parking=0)
    slots.fill([_trajectory(index) for index in range(4)])
    slots.release(1)
    update = slots.fill([_trajectory(4)])
    assert update.moves == []
    assert [start.row for start in update.starts] == [1]


def test_holes_that_remain_are_closed_from_the_end() -> None:
    slots = Slots(num_slots=6, num_parking=0)
    slots.fill([_trajectory(index) for index in range(6)])
    for row in (0, 2, 5):
        slots.release(row)
    moves = slots.fill([]).moves
    assert moves == [(4, 0), (3, 2)]
    assert [(place.row, place.trajectory.index) for place in slots.live()] == [
        (0, 4),
        (1, 1),
        (2, 3),
    ]


def test_a_paused_trajectory_goes_to_a_parking_row_and_comes_back() -> None:
    slots = Slots(num_slots=2, num_parking=1)
    slots.fill([_trajectory(0), _trajectory(1)])
    paused = next(place.trajectory for place in slots.live() if place.row == 1)
    assert slots.preempt(1).parking_row is not None
    assert slots.fill([_trajectory(2)]).moves == [(1, 2)]
    slots.release(0)
    update = slots.fill([paused])
    assert (update.moves, update.starts) == ([(2, 0)], [])
    assert paused.parking_row is None


def test_without_a_parking_row_nothing_is_kept() -> None:
    slots = Slots(num_slots=1, num_parking=0)
    slots.fill([_trajectory(0)])
    assert slots.preempt(0).parking_row is None
    assert slots.num_live == 0


class Rows:
    """A device whose rows hold the trajectory that was put there, and the table that asks for it.

    Rows are filled with nonsense at first, as those of another job would be.
    """

    def __init__(self, num_slots: int, num_parking: int) -> None:
        self.slots = Slots(num_slots=num_slots, num_parking=num_parking)
        self.paused: list[Trajectory] = []
        self.num_started = 0
        self._held = [-1] * (num_slots + num_parking)

    def start(self, count: int) -> list[Trajectory]:
        first, self.num_started = self.num_started, self.num_started + count
        return [_trajectory(index) for index in range(first, first + count)]

    def pause(self, row: int) -> None:
        trajectory = next(place.trajectory for place in self.slots.live() if place.row == row)
        if self.slots.preempt(row).parking_row is not None:
            self.paused.append(trajectory)

    def forget(self, trajectory: Trajectory) -> None:
        self.paused.remove(trajectory)
        self.slots.forget(trajectory)

    def fill(self, incoming: list[Trajectory]) -> None:
        """Do as the table says, and compare every row that matters with the table."""
        self.paused = [trajectory for trajectory in self.paused if trajectory not in incoming]
        moves, starts = self.slots.fill(incoming)
        targets = [move.target for move in moves] + [start.row for start in starts]
        assert len(set(targets)) == len(targets), "a row is written twice"
        sources = [self._held[move.source] for move in moves]
        for move, held in zip(moves, sources, strict=True):
            assert held >= 0, "a row that holds nothing is read"
            self._held[move.target] = held
        for start in starts:
            self._held[start.row] = start.trajectory.index
        live = list(self.slots.live())
        assert [place.row for place in live] == list(range(len(live)))
        assert [self._held[place.row] for place in live] == [p.trajectory.index for p in live]
        spares = [paused.parking_row for paused in self.paused]
        assert [self._held[row] for row in spares if row is not None] == [
            paused.index for paused in self.paused
        ]

    def shape(self) -> object:
        """Everything that decides what the table does next, whoever the trajectories are."""
        spares = tuple(paused.parking_row for paused in self.paused)
        return self.slots.num_live, spares, tuple(self.slots._free_parking)


class Tick(NamedTuple):
    """What the engine may ask of the table in one tick."""

    releases: tuple[int, ...]
    pauses: tuple[int, ...]
    forgets: tuple[int, ...]
    """Places in the list of paused trajectories, those of this tick included."""
    resumes: tuple[int, ...]
    num_fresh: int
    is_fresh_first: bool


def _apply(rows: Rows, tick: Tick) -> None:
    for row in tick.releases:
        rows.slots.release(row)
    for row in tick.pauses:
        rows.pause(row)
    resumed = [rows.paused[place] for place in tick.resumes]
    for trajectory in [rows.paused[place] for place in tick.forgets]:
        rows.forget(trajectory)
    fresh = rows.start(tick.num_fresh)
    rows.fill(fresh + resumed if tick.is_fresh_first else resumed + fresh)


def _orders(things: Iterable[int], limit: int) -> Iterator[tuple[int, ...]]:
    """Yield every choice of up to ``limit`` things, in every order."""
    known = list(things)
    for count in range(min(limit, len(known)) + 1):
        yield from permutations(known, count)


def _ticks(num_live: int, num_paused: int, num_slots: int, num_parking: int) -> Iterator[Tick]:
    """Yield every tick that is possible now."""
    for pauses in _orders(range(num_live), num_live):
        staying = [row for row in range(num_live) if row not in pauses]
        num_now = num_paused + min(len(pauses), num_parking - num_paused)
        for releases in _subsets(staying):
            free = num_slots - len(staying) + len(releases)
            for resumes in _orders(range(num_now), free):
                left = [place for place in range(num_now) if place not in resumes]
                for forgets, num_fresh in product(_subsets(left), range(free - len(resumes) + 1)):
                    for is_first in {False, bool(num_fresh and resumes)}:
                        yield Tick(releases, pauses, forgets, resumes, num_fresh, is_first)


def _subsets(things: list[int]) -> Iterator[tuple[int, ...]]:
    return chain.from_iterable(combinations(things, count) for count in range(len(things) + 1))


@pytest.mark.parametrize("num_parking", [0, 1, 2])
@pytest.mark.parametrize("num_slots", [1, 2, 3])
def test_no_update_of_a_small_table_reads_a_row_for_what_is_not_there(
    num_slots: int, num_parking: int
) -> None:
    """Try every tick in every state that a table can get into, breadth first."""
    paths: list[list[Tick]] = [[]]
    known = {Rows(num_slots, num_parking).shape()}
    num_tried = 0
    for path in paths:
        start = _replay(num_slots, num_parking, path)
        num_live, num_paused = start.slots.num_live, len(start.paused)
        for tick in _ticks(num_live, num_paused, num_slots, num_parking):
            rows = _replay(num_slots, num_parking, [*path, tick])
            num_tried += 1
            if rows.shape() not in known:
                known.add(rows.shape())
                paths.append([*path, tick])
    assert num_tried >= 2**num_slots


def _replay(num_slots: int, num_parking: int, ticks: list[Tick]) -> Rows:
    rows = Rows(num_slots, num_parking)
    for tick in ticks:
        _apply(rows, tick)
    return rows


@pytest.mark.slow
@given(num_slots=st.integers(1, 9), num_parking=st.integers(0, 5), data=st.data())
def test_rows_always_hold_what_the_table_says(
    num_slots: int, num_parking: int, data: st.DataObject
) -> None:
    """Bigger tables, many ticks; what gives way in a tick may come back in the same one."""
    rng = Random(data.draw(st.integers(0, 2**32)))
    rows = Rows(num_slots, num_parking)
    for _ in range(60):
        for place in list(rows.slots.live()):
            fate = rng.random()
            if fate < 0.2:
                rows.slots.release(place.row)
            elif fate < 0.35:
                rows.pause(place.row)
        if rows.paused and rng.random() < 0.2:
            rows.forget(rng.choice(rows.paused))
        incoming: list[Trajectory] = []
        waiting = rng.sample(rows.paused, len(rows.paused))
        while rows.slots.num_live + len(incoming) < num_slots and rng.random() < 0.6:
            is_resumed = waiting and rng.random() < 0.5
            incoming += [waiting.pop()] if is_resumed else rows.start(1)
        rows.fill(incoming)


def test_a_trajectory_that_pauses_and_resumes_in_one_tick_moves_from_where_it_lay() -> None:
    rows = Rows(num_slots=2, num_parking=2)
    rows.fill(rows.start(2))
    rows.pause(0)
    rows.pause(1)
    ahead, behind = rows.paused
    assert rows.slots.fill([behind]).moves == [(0, ahead.parking_row), (1, 0)]
