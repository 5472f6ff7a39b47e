from collections import Counter
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gram_server.engine.scheduler import Admit, Plan, Scheduler, fair_level


def _counts(plan: Plan) -> Counter[str]:
    return Counter(admit.job_id for admit in plan.admits)


def _with(num_slots: int, **widths: int) -> Scheduler:
    """Return a scheduler of slots with jobs of these widths, of one class, from time 0."""
    scheduler = Scheduler(num_slots=num_slots)
    for job_id, width in widths.items():
        scheduler.add(job_id, width=width, priority=1, now_s=0.0)
    return scheduler


def test_one_job_gets_every_slot_it_can_use_in_the_order_of_its_trajectories() -> None:
    scheduler = _with(4, a=6)
    assert [admit.trajectory for admit in scheduler.plan(0.0).admits] == [0, 1, 2, 3]
    assert (scheduler.num_live, scheduler.num_waiting) == (4, 2)


def test_a_newcomer_gets_its_fair_share_at_once() -> None:
    scheduler = _with(8, wide=100)
    scheduler.plan(0.0)
    scheduler.add("new", width=100, priority=1, now_s=1.0)
    plan = scheduler.plan(1.0)
    assert plan.preempt == {"wide": 4}
    assert _counts(plan) == {"new": 4}


def test_no_slot_is_taken_back_while_free_ones_suffice() -> None:
    scheduler = _with(8, a=6)
    scheduler.plan(0.0)
    scheduler.add("b", width=2, priority=1, now_s=1.0)
    plan = scheduler.plan(1.0)
    assert (plan.preempt, _counts(plan)) == ({}, {"b": 2})


def test_trajectories_that_gave_way_go_on_before_fresh_ones_start() -> None:
    scheduler = _with(2, a=5)
    scheduler.plan(0.0)
    scheduler.add("b", width=1, priority=1, now_s=1.0)
    assert scheduler.plan(1.0).preempt == {"a": 1}
    scheduler.of("a").requeue(1)
    scheduler.release("b")
    assert [admit.trajectory for admit in scheduler.plan(2.0).admits] == [1]


def test_a_higher_class_takes_the_slots_of_a_lower_one() -> None:
    scheduler = Scheduler(num_slots=4)
    scheduler.add("low", width=9, priority=2, now_s=0.0)
    scheduler.plan(0.0)
    scheduler.add("high", width=9, priority=0, now_s=1.0)
    plan = scheduler.plan(1.0)
    assert (plan.preempt, _counts(plan)) == ({"low": 4}, {"high": 4})


def _pair(*, num_slots: int, low: int = 99, lows: int = 1) -> Scheduler:
    """Return a scheduler in which a high job shuts low ones out, from time 0."""
    scheduler = Scheduler(num_slots=num_slots, num_parking=num_slots + 1, ageing_s=10.0)
    scheduler.add("high", width=99, priority=0, now_s=0.0)
    for number in range(lows):
        scheduler.add(f"low {number}", width=low, priority=2, now_s=0.0)
    return scheduler


def test_a_job_that_is_shut_out_for_long_is_lent_one_slot() -> None:
    scheduler = _pair(num_slots=4)
    assert _counts(scheduler.plan(9.0)) == {"high": 4}
    plan = scheduler.plan(10.0)
    assert (plan.preempt, _counts(plan)) == ({"high": 1}, {"low 0": 1})
    assert scheduler.plan(500.0) == Plan({}, [])


def test_at_most_one_slot_in_eight_is_lent() -> None:
    scheduler = _pair(num_slots=16, lows=50)
    scheduler.plan(0.0)
    plan = scheduler.plan(10.0)
    assert (plan.preempt, plan.admits) == ({"high": 2}, [Admit("low 0", 0), Admit("low 1", 0)])
    scheduler.release("low 1")
    assert scheduler.plan(11.0).admits == [Admit("low 2", 0)]


def test_a_lent_slot_goes_back_at_once_when_a_higher_class_has_none_left() -> None:
    scheduler = _pair(num_slots=1)
    holders: list[str] = []
    for tick in range(30):
        plan = scheduler.plan(float(tick))
        for job_id in plan.preempt:
            scheduler.of(job_id).requeue(0)
        holders += [admit.job_id for admit in plan.admits] or holders[-1:]
    low = [tick for tick, holder in enumerate(holders) if holder == "low 0"]
    assert low == [10, 21]


def test_nothing_is_lent_where_taking_it_back_would_cost_all_work() -> None:
    scheduler = Scheduler(num_slots=1, num_parking=0, ageing_s=10.0)
    scheduler.add("high", width=99, priority=0, now_s=0.0)
    scheduler.add("low", width=99, priority=2, now_s=0.0)
    scheduler.plan(0.0)
    assert scheduler.plan(1000.0) == Plan({}, [])
    scheduler.release("high")
    scheduler.of("high").end_fresh = 1
    assert _counts(scheduler.plan(1001.0)) == {"low": 1}


def test_a_job_does_not_age_while_it_is_served() -> None:
    scheduler = Scheduler(num_slots=4, ageing_s=10.0)
    scheduler.add("low", width=99, priority=2, now_s=0.0)
    for second in range(100):
        scheduler.plan(float(second))
    scheduler.add("high", width=99, priority=0, now_s=100.0)
    plan = scheduler.plan(100.0)
    assert (plan.preempt, _counts(plan)) == ({"low": 4}, {"high": 4})
    assert not scheduler.plan(109.9).admits
    assert _counts(scheduler.plan(110.0)) == {"low": 1}


def test_a_higher_class_takes_slots_of_a_lower_one_whose_jobs_outnumber_them() -> None:
    scheduler = Scheduler(num_slots=4)
    for number in range(9):
        scheduler.add(f"low {number}", width=1, priority=2, now_s=0.0)
    scheduler.plan(0.0)
    scheduler.add("high", width=2, priority=0, now_s=1.0)
    plan = scheduler.plan(1.0)
    assert (sum(plan.preempt.values()), _counts(plan)) == (2, {"high": 2})


def test_of_new_jobs_that_outnumber_the_slots_the_narrowest_is_first() -> None:
    scheduler = _with(1, wide=8, wider=16, narrow=1)
    assert scheduler.plan(0.0).admits == [Admit("narrow", 0)]


def test_new_jobs_of_one_width_are_served_in_the_order_of_their_arrival() -> None:
    scheduler = _with(2, **dict.fromkeys("abcde", 1))
    served = []
    for tick in range(3):
        admits = scheduler.plan(float(tick)).admits
        served += sorted(admit.job_id for admit in admits)
        for admit in admits:
            scheduler.remove(admit.job_id)
    assert "".join(served) == "abcde"


@pytest.mark.parametrize(("gap", "least"), [(3, 30), (2, 8)])
def test_no_stream_of_small_jobs_keeps_wide_ones_from_the_slots(gap: int, least: int) -> None:
    """A small job every so many ticks, each for two ticks on one slot, beside three wide ones."""
    scheduler = _with(1, **dict.fromkeys("abc", 50))
    served: Counter[str] = Counter()
    holder, left = "", 0
    for tick in range(300):
        if tick % gap == 0:
            scheduler.add(f"small {tick}", width=1, priority=1, now_s=float(tick))
        plan = scheduler.plan(float(tick))
        for job_id in plan.preempt:
            scheduler.of(job_id).requeue(0)
        for admit in plan.admits:
            holder, left = admit.job_id, 2
        served[holder] += 1
        left -= 1
        if holder.startswith("small") and not left:
            scheduler.remove(holder)
    assert sum(served.values()) == 300
    assert min(served[name] for name in "abc") >= least


def test_with_more_jobs_than_slots_each_gets_its_turn() -> None:
    scheduler = _with(3, **dict.fromkeys("abcdefg", 50))
    served: Counter[str] = Counter()
    for tick in range(70):
        plan = scheduler.plan(float(tick))
        assert not plan.preempt
        served.update(_counts(plan))
        for admit in plan.admits:
            scheduler.release(admit.job_id)
    assert sum(served.values()) == 210
    assert set(served.values()) == {30}


def test_dropped_trajectories_are_never_admitted() -> None:
    scheduler = _with(2, a=10)
    scheduler.plan(0.0)
    scheduler.of("a").end_fresh = 3
    assert scheduler.of("a").demand == 3
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


@pytest.mark.slow
@given(num_slots=st.integers(1, 10), jobs=_jobs, seed=st.integers(0, 2**32))
def test_slots_are_never_oversold_nor_left_idle_and_newcomers_never_starve(
    num_slots: int, jobs: list[tuple[int, int, int]], seed: int
) -> None:
    # Not a strategy of hypothesis: it would record each of the thousands of draws.
    rng = Random(seed)
    scheduler = Scheduler(num_slots=num_slots, ageing_s=7.0)
    live: dict[str, list[int]] = {}
    for tick in range(60):
        for number, (width, priority, arrival) in enumerate(jobs):
            if arrival == tick:
                scheduler.add(str(number), width=width, priority=priority, now_s=float(tick))
                live[str(number)] = []
        plan = scheduler.plan(float(tick))
        for job_id, count in plan.preempt.items():
            for _ in range(count):
                scheduler.of(job_id).requeue(live[job_id].pop())
        for admit in plan.admits:
            assert admit.job_id not in plan.preempt
            live[admit.job_id].append(admit.trajectory)
        num_live = sum(map(len, live.values()))
        assert num_live == scheduler.num_live <= num_slots
        assert num_live == num_slots or not scheduler.num_waiting
        oldest_class = [name for name in live if scheduler.of(name).demand]
        starving = [name for name in oldest_class if not live[name] and jobs[int(name)][1] == 0]
        if starving:
            assert all(len(rows) <= 1 for rows in live.values())
        for name, rows in live.items():
            while rows and rng.random() < 0.3:
                rows.pop(rng.randrange(len(rows)))
                scheduler.release(name)
