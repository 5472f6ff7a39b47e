from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gram_server.engine.scheduler import Plan, Scheduler, fair_level


def _counts(plan: Plan) -> Counter[str]:
    return Counter(admit.job_id for admit in plan.admits)


def test_one_job_gets_every_slot_it_can_use_in_the_order_of_its_trajectories() -> None:
    scheduler = Scheduler(num_slots=4)
    scheduler.add("a", width=6, priority=1, now_s=0.0)
    assert [admit.trajectory for admit in scheduler.plan(0.0).admits] == [0, 1, 2, 3]
    assert (scheduler.num_live, scheduler.num_waiting) == (4, 2)


def test_a_newcomer_gets_its_fair_share_at_once() -> None:
    scheduler = Scheduler(num_slots=8)
    scheduler.add("wide", width=100, priority=1, now_s=0.0)
    scheduler.plan(0.0)
    scheduler.add("new", width=100, priority=1, now_s=1.0)
    plan = scheduler.plan(1.0)
    assert plan.yields == {"wide": 4}
    assert _counts(plan) == {"new": 4}


def test_no_slot_is_taken_back_while_free_ones_suffice() -> None:
    scheduler = Scheduler(num_slots=8)
    scheduler.add("a", width=6, priority=1, now_s=0.0)
    scheduler.plan(0.0)
    scheduler.add("b", width=2, priority=1, now_s=1.0)
    plan = scheduler.plan(1.0)
    assert (plan.yields, _counts(plan)) == ({}, {"b": 2})


def test_trajectories_that_gave_way_go_on_before_fresh_ones_start() -> None:
    scheduler = Scheduler(num_slots=2)
    scheduler.add("a", width=5, priority=1, now_s=0.0)
    scheduler.plan(0.0)
    scheduler.add("b", width=1, priority=1, now_s=1.0)
    assert scheduler.plan(1.0).yields == {"a": 1}
    scheduler.requeue("a", 1)
    scheduler.release("b")
    assert [admit.trajectory for admit in scheduler.plan(2.0).admits] == [1]


def test_a_higher_class_takes_the_slots_of_a_lower_one() -> None:
    scheduler = Scheduler(num_slots=4)
    scheduler.add("low", width=9, priority=2, now_s=0.0)
    scheduler.plan(0.0)
    scheduler.add("high", width=9, priority=0, now_s=1.0)
    plan = scheduler.plan(1.0)
    assert (plan.yields, _counts(plan)) == ({"low": 4}, {"high": 4})


def test_a_low_class_shares_once_it_has_aged() -> None:
    scheduler = Scheduler(num_slots=4, ageing_s=10.0)
    scheduler.add("high", width=99, priority=0, now_s=0.0)
    scheduler.add("low", width=99, priority=2, now_s=0.0)
    assert _counts(scheduler.plan(19.0)) == {"high": 4}
    plan = scheduler.plan(20.0)
    assert (plan.yields, _counts(plan)) == ({"high": 2}, {"low": 2})


def test_with_more_jobs_than_slots_each_gets_its_turn() -> None:
    scheduler = Scheduler(num_slots=3)
    for name in "abcdefg":
        scheduler.add(name, width=50, priority=1, now_s=0.0)
    served: Counter[str] = Counter()
    for tick in range(70):
        plan = scheduler.plan(float(tick))
        assert not plan.yields
        served.update(_counts(plan))
        for admit in plan.admits:
            scheduler.release(admit.job_id)
    assert sum(served.values()) == 210
    assert set(served.values()) == {30}


def test_dropped_trajectories_are_never_admitted() -> None:
    scheduler = Scheduler(num_slots=2)
    scheduler.add("a", width=10, priority=1, now_s=0.0)
    scheduler.plan(0.0)
    scheduler.limit("a", 3)
    assert scheduler.outstanding("a") == 3
    scheduler.release("a")
    assert [admit.trajectory for admit in scheduler.plan(1.0).admits] == [2]
    assert scheduler.num_waiting == 0


@pytest.mark.parametrize(
    ("demands", "capacity", "level"),
    [([], 8, 0), ([3], 8, 3), ([9], 8, 8), ([1, 9, 9], 9, 4), ([5, 5, 5], 2, 0), ([1, 1], 2, 1)],
)
def test_the_fair_level_is_the_largest_that_fits(
    demands: list[int], capacity: int, level: int
) -> None:
    assert fair_level(demands, capacity) == level


_jobs = st.lists(
    st.tuples(st.integers(1, 30), st.integers(0, 2), st.integers(0, 40)), min_size=1, max_size=12
)


@given(num_slots=st.integers(1, 10), jobs=_jobs, rng=st.randoms(use_true_random=False))
def test_slots_are_never_oversold_nor_left_idle_and_newcomers_never_starve(
    num_slots: int, jobs: list[tuple[int, int, int]], rng: "object"
) -> None:
    from random import Random

    assert isinstance(rng, Random)
    scheduler = Scheduler(num_slots=num_slots, ageing_s=7.0)
    live: dict[str, list[int]] = {}
    for tick in range(60):
        for number, (width, priority, arrival) in enumerate(jobs):
            if arrival == tick:
                scheduler.add(str(number), width=width, priority=priority, now_s=float(tick))
                live[str(number)] = []
        plan = scheduler.plan(float(tick))
        for job_id, count in plan.yields.items():
            for _ in range(count):
                scheduler.requeue(job_id, live[job_id].pop())
        for admit in plan.admits:
            assert admit.job_id not in plan.yields
            live[admit.job_id].append(admit.trajectory)
        num_live = sum(map(len, live.values()))
        assert num_live == scheduler.num_live <= num_slots
        assert num_live == num_slots or not scheduler.num_waiting
        oldest_class = [name for name in live if scheduler.outstanding(name)]
        starving = [name for name in oldest_class if not live[name] and jobs[int(name)][1] == 0]
        if starving:
            assert all(len(rows) <= 1 for rows in live.values())
        for name, rows in live.items():
            while rows and rng.random() < 0.3:
                rows.pop(rng.randrange(len(rows)))
                scheduler.release(name)
