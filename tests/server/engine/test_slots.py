import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from gram_server.engine import EngineJob, Trajectory
from gram_server.engine.slots import Slots

JOB = EngineJob(
    id="a",
    tokens=np.ones(1, np.uint8),
    width=1000,
    depth=5,
    seed=0,
    view=lambda trajectory: None,
    check=lambda tokens: True,
    canonical=bytes,
)


def _trajectory(index: int) -> Trajectory:
    return Trajectory(job=JOB, index=index, view=None)


def test_new_trajectories_fill_holes_before_rows_are_moved() -> None:
    slots = Slots(num_slots=4, num_spares=0)
    slots.fill([_trajectory(index) for index in range(4)])
    slots.release(1)
    arrangement = slots.fill([_trajectory(4)])
    assert arrangement.moves == []
    assert [start.row for start in arrangement.starts] == [1]


def test_holes_that_remain_are_closed_from_the_end() -> None:
    slots = Slots(num_slots=6, num_spares=0)
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


def test_a_paused_trajectory_goes_to_a_spare_row_and_comes_back() -> None:
    slots = Slots(num_slots=2, num_spares=1)
    slots.fill([_trajectory(0), _trajectory(1)])
    paused = next(place.trajectory for place in slots.live() if place.row == 1)
    assert slots.pause(1)
    assert slots.fill([_trajectory(2)]).moves == [(1, 2)]
    slots.release(0)
    arrangement = slots.fill([paused])
    assert (arrangement.moves, arrangement.starts) == ([(2, 0)], [])
    assert paused.spare is None


def test_without_a_spare_row_nothing_is_kept() -> None:
    slots = Slots(num_slots=1, num_spares=0)
    slots.fill([_trajectory(0)])
    assert not slots.pause(0)
    assert slots.num_live == 0


@given(
    num_slots=st.integers(1, 9),
    num_spares=st.integers(0, 5),
    rng=st.randoms(use_true_random=False),
)
def test_rows_always_hold_what_the_table_says(num_slots: int, num_spares: int, rng: object) -> None:
    """Follow the moves on a list of rows and compare it with the table after every tick."""
    from random import Random

    assert isinstance(rng, Random)
    slots = Slots(num_slots=num_slots, num_spares=num_spares)
    rows: list[int | None] = [None] * (num_slots + num_spares)
    paused: list[Trajectory] = []
    next_index = 0
    for _ in range(60):
        # What gives way in a tick does not come back in the same one.
        resumable, newly_paused = paused, list[Trajectory]()
        for row, trajectory in list(slots.live()):
            fate = rng.random()
            if fate < 0.2:
                slots.release(row)
            elif fate < 0.35 and slots.pause(row):
                newly_paused.append(trajectory)
        incoming: list[Trajectory] = []
        while slots.num_live + len(incoming) < num_slots and rng.random() < 0.6:
            if resumable and rng.random() < 0.5:
                incoming.append(resumable.pop(0))
            else:
                incoming.append(_trajectory(next_index))
                next_index += 1
        paused = resumable + newly_paused
        arrangement = slots.fill(incoming)
        sources = [rows[move.source] for move in arrangement.moves]
        for move, held in zip(arrangement.moves, sources, strict=True):
            rows[move.target] = held
        for start in arrangement.starts:
            rows[start.row] = start.trajectory.index
        live = list(slots.live())
        assert [place.row for place in live] == list(range(len(live)))
        assert [rows[place.row] for place in live] == [p.trajectory.index for p in live]
        assert [rows[p.spare] for p in paused if p.spare is not None] == [p.index for p in paused]
