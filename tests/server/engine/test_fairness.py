from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st


def _latency(make_bench: Any, fate: Any, *, rivals: int, warm_up: int, spares: int) -> float:
    bench = make_bench(
        lambda seed, trajectory: fate(answer=7, step=5) if seed == 99 else fate(),
        num_slots=64,
        num_spares=spares,
    )
    for rival in range(rivals):
        bench.submit(f"rival {rival}", width=1024, depth=16, seed=rival)
        bench.tick()
    bench.tick(warm_up)
    submitted_s = bench.now_s
    bench.submit("small", width=1, seed=99, depth=16)
    while "small" not in bench.finished:
        bench.tick()
    return float(bench.finished_s["small"] - submitted_s)


@pytest.mark.parametrize("spares", [64, 0])
@pytest.mark.parametrize("rivals", [1, 2, 7, 31])
def test_a_small_job_beside_wide_ones_waits_at_most_three_ticks_more_than_alone(
    make_bench: Any, fate: Any, rivals: int, spares: int
) -> None:
    alone = _latency(make_bench, fate, rivals=0, warm_up=0, spares=spares)
    for warm_up in (0, 1, 5, 15, 16, 40):
        beside = _latency(make_bench, fate, rivals=rivals, warm_up=warm_up, spares=spares)
        assert beside <= alone + 3


_older_jobs = st.lists(
    st.fixed_dictionaries(
        {
            "width": st.integers(2, 40),
            "depth": st.sampled_from([1, 2, 3, 8, 1000]),
            "max_solutions": st.sampled_from([None, 1, 3]),
            "halt": st.sampled_from(["verified", "never"]),
            "priority": st.integers(1, 2),
        }
    ),
    min_size=1,
    max_size=30,
)


def _ticks_to_start(bench: Any, name: str) -> int:
    """Tick until a job that was just submitted has a slot; return how many ticks that took."""
    for count in range(1, 2000):
        bench.tick()
        if name in bench.finished or name in {
            placement.trajectory.job.id for placement in bench.engine.placements()
        }:
            return count
    raise AssertionError("the job never started")


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    older=_older_jobs,
    num_slots=st.sampled_from([1, 2, 3, 8]),
    num_spares=st.sampled_from([0, 1, 8]),
    ageing_s=st.sampled_from([1.0, 4.0, 1e9]),
    runs_ahead=st.booleans(),
    lag=st.integers(0, 1),
    gap=st.integers(0, 3),
    arrivals=st.lists(st.integers(1, 12), min_size=1, max_size=4),
)
def test_a_job_of_width_1_starts_within_three_ticks_beside_any_older_wider_jobs(
    make_bench: Any,
    fate: Any,
    older: list[dict[str, Any]],
    num_slots: int,
    num_spares: int,
    ageing_s: float,
    runs_ahead: bool,
    lag: int,
    gap: int,
    arrivals: list[int],
) -> None:
    """Whatever their age, class below, depth and limits, and however many there are."""
    bench = make_bench(
        lambda seed, trajectory: fate(answer=7, step=5) if trajectory == 3 else fate(),
        num_slots=num_slots,
        num_spares=num_spares,
        ageing_s=ageing_s,
        runs_ahead=runs_ahead,
        lag=lag,
    )
    for number, job in enumerate(older):
        bench.submit(f"older {number}", seed=number + 1, **job)
        bench.tick(gap)
    for number, arrival in enumerate(arrivals):
        bench.tick(arrival)
        bench.submit(f"small {number}", seed=100 + number, depth=1)
        assert _ticks_to_start(bench, f"small {number}") <= 3


@pytest.mark.parametrize("num_older", [1, 63, 64, 65, 300])
def test_a_small_job_does_not_wait_for_the_age_of_wide_ones(
    make_bench: Any, fate: Any, num_older: int
) -> None:
    """The older ones are far beyond the ageing time, some served and some not."""
    bench = make_bench(lambda seed, trajectory: fate(), num_slots=64, num_spares=64, ageing_s=9.0)
    for number in range(num_older):
        bench.submit(f"older {number}", width=256, depth=1024, seed=number + 1)
    bench.tick(20)
    for number in range(8):
        bench.tick(4)
        bench.submit(f"small {number}", seed=1000 + number)
        assert _ticks_to_start(bench, f"small {number}") <= 3


def test_a_low_job_under_full_high_load_comes_to_its_end(make_bench: Any, fate: Any) -> None:
    bench = make_bench(lambda seed, trajectory: fate(), num_slots=4, num_spares=4, ageing_s=10.0)
    bench.submit("low", width=3, depth=8, seed=1, priority=2)
    for number in range(6):
        bench.submit(f"high {number}", width=50, depth=1000, seed=2 + number, priority=0)
    bench.tick(300)
    assert bench.finished["low"].supervision_steps == 3 * 8


def test_a_burst_of_small_jobs_is_served_beside_a_wide_one(make_bench: Any, fate: Any) -> None:
    bench = make_bench(
        lambda seed, trajectory: fate(answer=7, step=4) if seed else fate(),
        num_slots=64,
        num_spares=64,
    )
    bench.submit("wide", width=1024, depth=16)
    bench.tick(5)
    for number in range(63):
        bench.submit(f"small {number}", seed=1)
    bench.tick(4)
    assert sum(name.startswith("small") for name in bench.finished) == 63


def test_slots_given_up_lose_no_work_while_spare_rows_last(make_bench: Any, fate: Any) -> None:
    bench = make_bench(
        lambda seed, trajectory: fate(answer=7, step=4) if seed else fate(),
        num_slots=8,
        num_spares=8,
    )
    bench.submit("wide", width=64, depth=6)
    for number in range(20):
        bench.tick(2)
        bench.submit(f"small {number}", seed=1)
    bench.run()
    assert bench.finished["wide"].supervision_steps == 64 * 6
    assert bench.metric("gram_wasted_slot_steps_total", reason="preempted") == 0


def test_without_spare_rows_a_trajectory_starts_over_and_the_loss_is_counted(
    make_bench: Any, fate: Any
) -> None:
    bench = make_bench(
        lambda seed, trajectory: fate(answer=7, step=4) if seed else fate(),
        num_slots=8,
        num_spares=0,
    )
    bench.submit("wide", width=16, depth=6)
    bench.tick(2)
    bench.submit("small", seed=1)
    bench.run()
    end = bench.finished["wide"]
    assert (end.supervision_steps, end.wasted_steps) == (16 * 6 + 2, 2)
    assert bench.metric("gram_wasted_slot_steps_total", reason="preempted") == 2


def test_equal_wide_jobs_get_equal_shares(make_bench: Any, fate: Any) -> None:
    bench = make_bench(lambda seed, trajectory: fate(), num_slots=12, num_spares=12)
    for name in "abc":
        bench.submit(name, width=400, depth=5)
    bench.tick(60)
    for name in "abc":
        bench.engine.abort(name)
    bench.tick()
    steps = [bench.finished[name].supervision_steps for name in "abc"]
    assert sum(steps) == 60 * 12
    assert max(steps) - min(steps) <= 12


@pytest.mark.parametrize("lag", [0, 1])
@pytest.mark.parametrize("num_slots", [2, 3, 4])
def test_a_job_that_takes_turns_keeps_its_states_apart_whenever_another_comes(
    make_bench: Any, fate: Any, num_slots: int, lag: int
) -> None:
    """The bench looks after every tick whether each row holds the state of its trajectory."""
    for arrival in range(1, 45):
        bench = make_bench(
            lambda seed, trajectory: fate(), num_slots=num_slots, runs_ahead=False, lag=lag
        )
        bench.submit("patient", width=8, max_solutions=1, seed=1, depth=60)
        bench.tick(arrival)
        bench.submit("passing", seed=2, depth=3)
        bench.tick(20)
        assert bench.finished["passing"].supervision_steps == 3
        bench.run()
        assert bench.finished["patient"].wasted_steps == 0
