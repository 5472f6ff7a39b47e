"""The commands against real servers, on a model that solves at once."""

import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from gram_lab.bench.command import main

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    command = [sys.executable, "-m", "gram_server.cli", "serve", "--port", "0"]
    command += ["--model", "sudoku-4x4", "--num-threads", "1", "--num-slots", "8"]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    found = ""
    for line in process.stderr:
        if line.startswith("{") and "listening on " in (message := json.loads(line)["message"]):
            found = message.removeprefix("listening on ")
            break
    threading.Thread(target=process.stderr.read, daemon=True).start()
    while httpx.get(f"{found}/readyz").status_code != 200:
        assert process.poll() is None
    yield found
    process.terminate()
    process.wait(20.0)
    process.stderr.close()


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> Any:
    assert main(arguments) == 0
    return json.loads(capsys.readouterr().out)


def test_a_load_is_offered_counted_and_kept(
    url: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["serve", "--url", url, "--mix", "sudoku-4x4:1-4", "--num-questions", "20"]
    arguments += ["--rates", "10", "20", "--duration-s", "1", "--min-requests", "1"]
    result = run(capsys, *arguments, "--slo-ms", "5000", "--output", str(tmp_path))
    assert list(result["runs"]) == ["10/s", "20/s"]
    lines = (tmp_path / "serve.jsonl").read_text().splitlines()
    assert len(lines) == sum(each["num_requests"] for each in result["runs"].values())
    assert {json.loads(line)["end"] for line in lines} == {"solved"}
    agreed = result["agreement"]
    assert agreed["server"]["solved"] == agreed["client_with_warm_up"]["solved"] == len(lines) + 8


def test_a_kept_trace_is_replayed_at_its_moments(
    url: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    kept = tmp_path / "trace.jsonl"
    arguments = ["serve", "--url", url, "--duration-s", "0.2", "--min-requests", "1"]
    mixed = ["--mix", "sudoku-4x4:2", "--num-questions", "9", "--keep-questions", str(kept)]
    run(capsys, *arguments, *mixed, "--rates", "5")
    lines = [json.loads(line) for line in kept.read_text().splitlines()]
    timed = [{**line, "at_s": 0.1 * number} for number, line in enumerate(lines)]
    kept.write_text("".join(json.dumps(line) + "\n" for line in timed))
    result = run(capsys, *arguments, "--trace", str(kept), "--replay", "2")
    trace = result["runs"]["trace"]
    assert trace["num_requests"] == 9
    assert trace["rate"] == pytest.approx(9 / 0.4)


@pytest.mark.timeout(400)
def test_every_contender_is_compared_on_the_same_questions(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["compare", "--mix", "sudoku-4x4:1-4", "--models", "sudoku-4x4"]
    arguments += ["--num-questions", "10", "--duration-s", "0.2", "--min-requests", "1"]
    arguments += ["--rate", "1500", "--slo-ms", "60000", "--num-threads", "1"]
    arguments += ["--timeout-s", "30"]
    result = run(capsys, *arguments, "--output", str(tmp_path))
    assert list(result["results"]) == [
        "naive",
        "litserve",
        "static",
        "gram-server",
    ]
    for name, found in result["results"].items():
        ends = [each["ends"] for each in found["runs"].values()]
        # On a busy machine ours refuse what would wait for too long.
        assert all(set(counted) <= {"solved", "refused"} for counted in ends), name
        assert sum(counted.get("solved", 0) for counted in ends) > 100, name
    assert all(ratio is None or ratio > 0 for ratio in result["ours_is"].values())
    page = (tmp_path / "compare.md").read_text()
    assert "| LitServe, dynamic batches of 8 requests |" in page
    assert (tmp_path / "compare-questions.jsonl").read_text().count("\n") == 10
