from typing import Any

import pytest

from gram_lab.bench.soak import verdict


def window(*, memory_mb: float, p99_ms: float, **ends: int) -> dict[str, Any]:
    return {
        "memory_mb": {"api": 100.0, "worker": memory_mb},
        "first_solution_ms": {"p99": p99_ms},
        "ends": {"solved": 10, **ends},
    }


def test_a_leak_after_the_settling_is_seen_and_the_settling_is_not() -> None:
    settling = [window(memory_mb=1.0, p99_ms=900.0)] * 2
    flat = [window(memory_mb=500.0, p99_ms=50.0)] * 18
    leaking = [window(memory_mb=500.0 + 10 * n, p99_ms=50.0 + n) for n in range(18)]
    assert verdict(settling + flat) == {
        "api_memory_growth": 0.0,
        "worker_memory_growth": 0.0,
        "num_requests": 200,
        "num_unsolved": 0,
        "num_errors": 0,
        "p99_ms_first_third": 50.0,
        "p99_ms_last_third": 50.0,
    }
    found = verdict(settling + leaking)
    assert found["worker_memory_growth"] == pytest.approx(645 / 525 - 1, abs=1e-4)
    assert found["p99_ms_last_third"] > found["p99_ms_first_third"]


def test_a_request_without_a_solution_is_no_error_and_any_other_end_is() -> None:
    found = verdict([window(memory_mb=1.0, p99_ms=1.0, failed=2, late=1, unsolved=4)] * 2)
    assert (found["num_requests"], found["num_unsolved"], found["num_errors"]) == (34, 8, 6)
