"""The page of a comparison says what was found, and what was not."""

from typing import Any

import pytest

from gram_lab.bench.load.page import render_compare

QUANTILES = {"p50": 1.5, "p99": 9.0}


def result(best: dict[str, float | None], **more: Any) -> dict[str, Any]:
    ours = best["gram-server"]
    return {
        "environment": {"processor": "P", "num_cores": 2, "gram_server": "1", "python": "3"},
        "comparison": {"mix": "m", "data": "d", "max_trajectories": 256, "max_backlog_s": 0.5},
        "questions": {"count": 5},
        "plan": {
            "objective": {"share": 0.99, "first_solution_s": 1.0},
            "arrivals": {"burstiness": 1.0, "duration_s": 20.0},
            "min_requests": 100,
            "lowest_rate": 2.0,
        },
        "results": {
            name: {
                "best_rate": rate,
                "share_within_again": [0.995],
                "best_rate_by_objective": {"1 s": rate},
            }
            for name, rate in best.items()
        },
        "goodput_ratio": {
            name: ours / rate if ours and rate else None
            for name, rate in best.items()
            if name != "gram-server"
        },
        "overload": None,
        **more,
    }


def test_who_met_no_rate_is_below_the_lowest() -> None:
    page = render_compare(result({"naive": None, "static": 20.0, "gram-server": 100.0}))
    assert "| a naive FastAPI loop | below 2 | over 50x | 99.5% |" in page
    assert "| our engine, static batching | 20.00 | 5.00x | 99.5% |" in page
    assert "| gram-server | 100.00 | - | 99.5% |" in page
    assert "| a naive FastAPI loop | none |" in page
    assert "Overload" not in page


@pytest.mark.parametrize("ours", [None, 100.0])
def test_without_a_rate_of_ours_nothing_is_compared(ours: float | None) -> None:
    page = render_compare(result({"litserve": None, "gram-server": ours}))
    assert ("over 50x" in page) is (ours is not None)
    assert ("| LitServe, dynamic batches of 8 requests | below 2 | - |" in page) is (ours is None)


def test_overload_names_its_bounds() -> None:
    run = {
        "throughput": 90.0,
        "num_requests": 200,
        "ends": {"solved": 150, "refused": 50},
        "first_solution_ms": QUANTILES,
        "refusal_ms": {"p50": None, "p99": None},
    }
    overload = {"saturation": 91.0, "runs": {"2": run}, "first_solution_p99_ratio": {"2": 1.25}}
    page = render_compare(result({"gram-server": 80.0}, overload=overload))
    assert "bounds of 256 trajectories and of 0.5 s of backlog" in page
    assert "| 2x | 90.0 | 25.0% | 1.5, 9.0 | 1.25x | -, - |" in page
