"""The streaming bench on a small shipped model and a real server."""

import json
from pathlib import Path

import pytest

from gram_server.bench.command import main
from gram_server.bench.streaming import Answers, StreamingPlan, _cost
from gram_server.errors import ConfigError


@pytest.mark.slow
def test_three_ways_take_the_same_steps_and_only_streams_have_events(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["streaming", "--models", "sudoku-4x4", "--num-puzzles", "2", "--num-rounds", "2"]
    arguments += ["--width", "4", "--depth", "3", "--num-clients", "2"]
    assert main([*arguments, "--output", str(tmp_path)]) == 0
    report = json.loads(capsys.readouterr().out)
    assert json.loads((tmp_path / "streaming.json").read_text()) == report
    [result] = report["results"]
    events = {}
    for way, rounds in result["rounds"].items():
        assert [answers["supervision_steps"] for answers in rounds] == [2 * 4 * 3] * 2
        events[way] = rounds[0]["num_events"]
    assert events["plain"] == 0
    # Each puzzle is accepted, solved and done; and each is looked at once at least.
    assert events["solutions"] >= 2 * 3
    assert events["decodes"] >= events["solutions"] + 2
    assert "| sudoku-4x4 |" in (tmp_path / "streaming.md").read_text()


def test_the_cost_is_the_share_of_throughput_that_is_lost() -> None:
    def answers(wall_s: float) -> Answers:
        return Answers(wall_s=wall_s, supervision_steps=100, num_events=0)

    plain = [answers(1.0), answers(2.0), answers(1.0)]
    streamed = [answers(1.25), answers(2.5), answers(100.0)]
    assert _cost(plain, streamed) == pytest.approx(0.2)


def test_a_round_of_nothing_is_refused() -> None:
    with pytest.raises(ConfigError, match="num_rounds"):
        StreamingPlan(num_rounds=0)
