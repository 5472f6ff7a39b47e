"""The benches of the engine, the host and the kernels."""

import json
from pathlib import Path
from typing import Any

import pytest

from gram_lab.bench.command import main
from gram_lab.bench.engine import EngineOptions, HostOptions, measure_engine, measure_host
from gram_server.errors import ConfigError


@pytest.mark.slow
def test_every_batch_is_timed_beside_two_ceilings(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["engine", "--model", "sudoku-4x4", "--batches", "1", "3", "--num-steps", "2"]
    assert main([*arguments, "--device", "cpu", "--output", str(tmp_path)]) == 0
    report = json.loads(capsys.readouterr().out)
    assert json.loads((tmp_path / "engine.json").read_text()) == report
    assert [result["batch"] for result in report["results"]] == [1, 3]
    for result in report["results"]:
        assert result["agreement"] == 1.0
        assert int(result["answers_hash"], 16) > 0
        assert result["kernels_per_step"] is None
        assert result["replay_against_eager"] is None
        assert result["trajectory_steps_per_s"] == pytest.approx(
            result["batch"] / result["median_step_ms"] * 1e3
        )
    assert all(value > 0 for value in report["ceilings"].values())


@pytest.mark.slow
def test_answers_that_differ_are_not_timed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gram_lab.bench.engine._agreement", lambda *_: 0.5)
    plan = EngineOptions(model="sudoku-4x4", batches=(1,), num_steps=1, device="cpu")
    results = measure_engine(plan)["results"]
    assert results == [{"batch": 1, "agreement": 0.5, "refused": "answers differ"}]


def test_a_batch_of_nothing_is_refused() -> None:
    with pytest.raises(ConfigError, match="batches"):
        EngineOptions(batches=(0,))


def test_jobs_of_the_host_bench_end_and_wider_ones_cost_more() -> None:
    options = HostOptions(model="sudoku-4x4", widths=(1, 64), num_steps=8, num_jobs=3)
    results: Any = measure_host(options)["results"]
    one, many = results
    assert (one["width"], many["width"]) == (1, 64)
    assert 0 < one["tick_us"] < 1e3 * one["job_ms"]
    assert one["job_ms"] < many["job_ms"]


def test_an_op_is_timed_at_the_shapes_of_models(capsys: pytest.CaptureFixture[str]) -> None:
    options = ["--op", "slots", "--rows", "2", "--budget-s", "0.001", "--tested"]
    assert main(["kernels", *options]) == 0
    report = json.loads(capsys.readouterr().out)
    found = [(row["case"], row["backend"], row["rows"]) for row in report["results"]]
    assert found == [(f"sudoku-9x9 {name}", "reference", 2) for name in ("compact", "admit")]
    assert all(row["median_us"] > 0 for row in report["results"])


def test_an_op_whose_tests_fail_is_not_timed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("gram_lab.bench.kernels._is_green", lambda name: False)
    assert main(["kernels", "--op", "slots", "--rows", "1"]) == 1
    report = json.loads(capsys.readouterr().out)
    assert (report["silenced"], report["results"]) == (["slots"], [])
