from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.server.engine.harness import FAILS, Harness, Scripted, make_harness


def _latency(*, rivals: int, warm_up: int, spares: int) -> float:
    harness = make_harness(
        lambda seed, trajectory: Scripted(answer=7, step=5) if seed == 99 else Scripted(),
        num_slots=64,
        num_parking=spares,
    )
    for rival in range(rivals):
        harness.submit(f"rival {rival}", width=1024, depth=16, seed=rival)
        harness.tick()
    harness.tick(warm_up)
    submitted_s = harness.now_s
    harness.submit("small", width=1, seed=99, depth=16)
    while "small" not in harness.finished:
        harness.tick()
    return float(harness.finished_s["small"] - submitted_s)


@pytest.mark.slow
@pytest.mark.parametrize("spares", [64, 0])
@pytest.mark.parametrize("rivals", [1, 2, 7, 31])
def test_a_small_job_beside_wide_ones_waits_at_most_three_ticks_more_than_alone(
    rivals: int, spares: int
) -> None:
    alone = _latency(rivals=0, warm_up=0, spares=spares)
    for warm_up in (0, 1, 5, 15, 16, 40):
        beside = _latency(rivals=rivals, warm_up=warm_up, spares=spares)
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


def _ticks_to_start(harness: Harness, name: str) -> int:
    """Tick until a job that was just submitted has a slot; return how many ticks that took."""
    for count in range(1, 2000):
        harness.tick()
        if name in harness.finished or name in {
            placement.trajectory.job.id for placement in harness.engine._slots.live()
        }:
            return count
    raise AssertionError("the job never started")


@pytest.mark.slow
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    older=_older_jobs,
    num_slots=st.sampled_from([1, 2, 3, 8]),
    num_parking=st.sampled_from([0, 1, 8]),
    ageing_s=st.sampled_from([1.0, 4.0, 1e9]),
    rows_are_free=st.booleans(),
    pipeline_depth=st.integers(0, 1),
    gap=st.integers(0, 3),
    arrivals=st.lists(st.integers(1, 12), min_size=1, max_size=4),
)
def test_a_job_of_width_1_starts_within_three_ticks_beside_any_older_wider_jobs(
    older: list[dict[str, Any]],
    num_slots: int,
    num_parking: int,
    ageing_s: float,
    rows_are_free: bool,
    pipeline_depth: int,
    gap: int,
    arrivals: list[int],
) -> None:
    """Whatever their age, class below, depth and limits, and however many there are."""
    harness = make_harness(
        {3: Scripted(answer=7, step=5)},
        num_slots=num_slots,
        num_parking=num_parking,
        ageing_s=ageing_s,
        rows_are_free=rows_are_free,
        pipeline_depth=pipeline_depth,
    )
    for number, job in enumerate(older):
        harness.submit(f"older {number}", seed=number + 1, **job)
        harness.tick(gap)
    for number, arrival in enumerate(arrivals):
        harness.tick(arrival)
        harness.submit(f"small {number}", seed=100 + number, depth=1)
        assert _ticks_to_start(harness, f"small {number}") <= 3


@pytest.mark.parametrize("num_older", [1, 63, 64, 65, 300])
def test_a_small_job_does_not_wait_for_the_age_of_wide_ones(num_older: int) -> None:
    """The older ones are far beyond the ageing time, some served and some not."""
    harness = make_harness(num_slots=64, num_parking=64, ageing_s=9.0)
    for number in range(num_older):
        harness.submit(f"older {number}", width=256, depth=1024, seed=number + 1)
    harness.tick(20)
    for number in range(8):
        harness.tick(4)
        harness.submit(f"small {number}", seed=1000 + number)
        assert _ticks_to_start(harness, f"small {number}") <= 3


def test_a_low_job_under_full_high_load_comes_to_its_end() -> None:
    harness = make_harness(num_slots=4, num_parking=4, ageing_s=10.0)
    harness.submit("low", width=3, depth=8, seed=1, priority=2)
    for number in range(6):
        harness.submit(f"high {number}", width=50, depth=1000, seed=2 + number, priority=0)
    harness.tick(300)
    assert harness.finished["low"].supervision_steps == 3 * 8


def _only_small(seed: int, trajectory: int) -> Scripted:
    """Jobs of seed 0 find nothing, all others their answer at once."""
    return Scripted(answer=7, step=4) if seed else FAILS


def test_a_burst_of_small_jobs_is_served_beside_a_wide_one() -> None:
    harness = make_harness(_only_small, num_slots=64, num_parking=64)
    harness.submit("wide", width=1024, depth=16)
    harness.tick(5)
    for number in range(63):
        harness.submit(f"small {number}", seed=1)
    harness.tick(4)
    assert sum(name.startswith("small") for name in harness.finished) == 63


def test_slots_given_up_lose_no_work_while_spare_rows_last() -> None:
    harness = make_harness(_only_small, num_slots=8, num_parking=8)
    harness.submit("wide", width=64, depth=6)
    for number in range(20):
        harness.tick(2)
        harness.submit(f"small {number}", seed=1)
    harness.run()
    assert harness.finished["wide"].supervision_steps == 64 * 6
    assert harness.metric("gram_wasted_slot_steps_total", reason="preempted") == 0


def test_without_spare_rows_a_trajectory_starts_over_and_the_loss_is_counted() -> None:
    harness = make_harness(_only_small, num_slots=8, num_parking=0)
    harness.submit("wide", width=16, depth=6)
    harness.tick(2)
    harness.submit("small", seed=1)
    harness.run()
    end = harness.finished["wide"]
    assert (end.supervision_steps, end.wasted_steps) == (16 * 6 + 2, 2)
    assert harness.metric("gram_wasted_slot_steps_total", reason="preempted") == 2


def test_equal_wide_jobs_get_equal_shares() -> None:
    harness = make_harness(num_slots=12, num_parking=12)
    for name in "abc":
        harness.submit(name, width=400, depth=5)
    harness.tick(60)
    for name in "abc":
        harness.engine.abort(name)
    harness.tick()
    steps = [harness.finished[name].supervision_steps for name in "abc"]
    assert sum(steps) == 60 * 12
    assert max(steps) - min(steps) <= 12


@pytest.mark.slow
@pytest.mark.parametrize("pipeline_depth", [0, 1])
@pytest.mark.parametrize("num_slots", [2, 3, 4])
def test_a_job_that_takes_turns_keeps_its_states_apart_whenever_another_comes(
    num_slots: int, pipeline_depth: int
) -> None:
    """The harness looks after every tick whether each row holds the state of its trajectory."""
    for arrival in range(1, 45):
        harness = make_harness(
            num_slots=num_slots,
            rows_are_free=False,
            pipeline_depth=pipeline_depth,
        )
        harness.submit("patient", width=8, max_solutions=1, seed=1, depth=60)
        harness.tick(arrival)
        harness.submit("passing", seed=2, depth=3)
        harness.tick(20)
        assert harness.finished["passing"].supervision_steps == 3
        harness.run()
        assert harness.finished["patient"].wasted_steps == 0
