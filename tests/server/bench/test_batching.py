import json
from pathlib import Path
from typing import Any

import pytest

from gram_server.bench.batching import Plan, measure
from gram_server.bench.command import main
from gram_server.bench.page import render
from gram_server.errors import ConfigError

GRIDS = ("1.34341221434321", "1.343.1221434321", "12343412214343.1", "12.4341221434321")


@pytest.fixture
def data(tmp_path: Path) -> Path:
    path = tmp_path / "puzzles.txt"
    path.write_text("\n".join(GRIDS) + "\n")
    return path


def test_both_ways_of_batching_solve_the_same_puzzles_and_continuous_takes_fewer_steps(
    guessing_model: Any, data: Path
) -> None:
    model = str(guessing_model("sudoku-4x4").info.path)
    result = measure(Plan(model=model, data=data, num_puzzles=4, width=6, num_slots=16))
    rows: Any = result["results"]
    static, explored, first = rows
    assert static["supervision_steps"] == 4 * 6 * 8
    assert static["num_solved"] == explored["num_solved"] == first["num_solved"] > 0
    assert explored["supervision_steps"] < static["supervision_steps"]
    assert first["supervision_steps"] < explored["supervision_steps"]
    assert explored["row_steps"] >= explored["supervision_steps"]
    assert "| static | 192 |" in render(result)


def test_the_command_writes_raw_numbers_and_a_table(
    guessing_model: Any, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = str(guessing_model("sudoku-4x4").info.path)
    arguments = ["batching", "--model", model, "--data", str(data), "--num-puzzles", "2"]
    arguments += ["--width", "2", "--num-slots", "8", "--output", str(tmp_path / "out")]
    assert main(arguments) == 0
    written = json.loads((tmp_path / "out" / "batching.json").read_text())
    assert written == json.loads(capsys.readouterr().out)
    assert len(written["results"][0]["steps_of_puzzles"]) == 2
    assert (tmp_path / "out" / "batching.md").read_text() == render(written)


def test_a_job_wider_than_a_static_batch_is_refused() -> None:
    with pytest.raises(ConfigError, match="whole job"):
        Plan(width=65, num_slots=64)
