"""The commands against real servers: what they offer, count, keep and compare."""

import json
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

import pytest

from gram_lab.bench import compare, serve, servers
from gram_lab.bench.command import main
from gram_lab.bench.servers import CONTENDERS, OURS, Contender, Started

pytestmark = pytest.mark.slow


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> Any:
    assert main(arguments) == 0
    return json.loads(capsys.readouterr().out)


@pytest.fixture
def boards(tmp_path: Path) -> list[str]:
    """The flag for a file of boards; drawing held-out ones takes seconds."""
    path = tmp_path / "boards.txt"
    path.write_text("1.3.3412.14.4.21\n1234.41.21434..1\n123434122143432.\n")
    return ["--data", str(path)]


@pytest.fixture
def shares_server(server: Started, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let measurements that start our server take the one that runs already."""

    def running(contender: Contender, **how: Any) -> AbstractContextManager[Started]:
        if contender.name == OURS:
            return nullcontext(server)
        return servers.running(contender, **how)

    monkeypatch.setattr(compare, "running", running)
    monkeypatch.setattr(serve, "running", running)


def test_a_load_is_offered_counted_and_kept(
    server: Started, boards: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["serve", *boards, "--url", server.target.url, "--mix", "sudoku-4x4:1-4"]
    arguments += ["--num-questions", "20", "--rates", "20", "40", "--duration-s", "0.5"]
    arguments += ["--min-requests", "1", "--slo-ms", "50000", "--overload", "1.5"]
    result = run(capsys, *arguments, "--output", str(tmp_path))
    assert list(result["runs"]) == ["20/s", "40/s", "saturation", "1.5x saturation"]
    assert result["best_rate"] == 40.0
    assert list(result["overload"]["first_solution_p99_ratio"]) == ["1", "1.5"]
    lines = (tmp_path / "serve.jsonl").read_text().splitlines()
    assert len(lines) == sum(each["num_requests"] for each in result["runs"].values())
    assert {json.loads(line)["end"] for line in lines} == {"solved"}
    agreed = result["agreement"]
    assert agreed["server"]["solved"] == agreed["client_with_warm_up"]["solved"] == len(lines) + 8


@pytest.mark.usefixtures("shares_server")
@pytest.mark.timeout(400)
def test_every_contender_is_compared_on_the_same_questions(
    boards: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["compare", *boards, "--mix", "sudoku-4x4:1-4", "--models", "sudoku-4x4"]
    arguments += ["--num-questions", "10", "--duration-s", "0.2", "--min-requests", "1"]
    arguments += ["--rates", "100", "--slo-ms", "60000", "--num-threads", "1"]
    result = run(capsys, *arguments, "--output", str(tmp_path))
    assert list(result["results"]) == list(CONTENDERS) == ["naive", "litserve", "static", OURS]
    for name, found in result["results"].items():
        # On a busy machine ours refuse what would wait for too long.
        ends = found["runs"]["100/s"]["ends"]
        assert set(ends) <= {"solved", "refused"}, name
        assert ends["solved"] > 5, name
    page = (tmp_path / "compare.md").read_text()
    assert "| LitServe, dynamic batches of 8 requests |" in page
    assert (tmp_path / "compare-questions.jsonl").read_text().count("\n") == 10


@pytest.mark.usefixtures("shares_server")
def test_a_start_is_measured_by_phase_with_its_memory(capsys: pytest.CaptureFixture[str]) -> None:
    (found,) = run(capsys, "start", "--num-runs", "1", "--models", "sudoku-4x4")["runs"]
    assert set(found["phases_s"]) == {"import", "load", "warm_up"}
    assert found["ready_s"] >= sum(found["phases_s"].values()) * 0.9
    assert 20 < found["memory_mb"]["api"] < 250 < found["memory_mb"]["worker"] + 100
