"""The bench of the host: whole jobs, no step."""

from typing import Any

from gram_lab.bench.host import HostOptions, measure_host


def test_jobs_end_and_wider_ones_cost_more() -> None:
    options = HostOptions(model="sudoku-4x4", widths=(1, 64), num_steps=8, num_jobs=3)
    results: Any = measure_host(options)["results"]
    one, many = results
    assert (one["width"], many["width"]) == (1, 64)
    assert 0 < one["tick_us"] < 1e3 * one["job_ms"]
    assert one["job_ms"] < many["job_ms"]
