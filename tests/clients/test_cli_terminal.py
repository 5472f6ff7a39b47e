"""``gram`` where people see it: colours, redrawing, Ctrl-C, and statuses that say what happened."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from click.testing import CliRunner

from gram_client.cli import main
from gram_client.cli.display import beside
from tests.clients.scripted import (
    BOARD,
    JOB,
    MODEL,
    PUZZLE,
    RESULT,
    UNSOLVED,
    Reply,
    ScriptedServer,
    gram,
    stream,
)
from tests.clients.terminal import on_terminal
from tests.processes import wait_for

CLI = "gram_client.cli"
ACCEPTED = {"id": "job-1", "puzzle": "sudoku", "model": "m", "width": 4, "depth": 8, "seed": 7}
SUMMARY = {name: JOB[name] for name in JOB if name not in ("result", "error", "parts")}


def look(step: int, answer: str) -> dict[str, object]:
    views = [
        {"trajectory": number, "step": step, "answer": answer, "state": "running"}
        for number in range(4)
    ]
    return {"step": step, "live": 4, "solved": 0, "trajectories": views}


def watched(server: ScriptedServer) -> None:
    server.say(
        stream(
            (1, "accepted", ACCEPTED),
            (2, "progress", look(1, "12.4341221434321")),
            (3, "progress", look(2, "1224341221434321")),
            (4, "done", RESULT),
        )
    )


@pytest.mark.parametrize(
    ("environment", "is_coloured"),
    [({}, True), ({"NO_COLOR": "1"}, False), ({"TERM": "dumb"}, False), ({"NO_COLOR": ""}, True)],
)
def test_colours_are_shown_to_those_who_want_them(
    server: ScriptedServer, environment: dict[str, str], is_coloured: bool
) -> None:
    server.say(Reply(body=RESULT))
    environment = {"NO_COLOR": "", **environment, "GRAM_BASE_URL": server.url}
    shown, status = on_terminal(CLI, "solve", PUZZLE, environment=environment)
    assert status == 0
    assert ("\x1b[36m" in shown) == is_coloured
    if not is_coloured:
        assert "\x1b" not in shown
        assert BOARD in shown


def test_a_terminal_that_cannot_go_back_gets_lines_alone(
    server: ScriptedServer, tmp_path: Path
) -> None:
    path = tmp_path / "many.txt"
    path.write_text(f"{PUZZLE}\n" * 3, encoding="utf-8")
    server.say(Reply(body=RESULT))
    dumb = {"TERM": "dumb", "GRAM_BASE_URL": server.url}
    shown, status = on_terminal(CLI, "solve", str(path), environment=dumb)
    assert (status, "\x1b" in shown, "solved" in shown) == (0, False, True)
    server.received.clear()
    watched(server)
    shown, status = on_terminal(CLI, "solve", PUZZLE, "--watch", environment=dumb)
    assert (status, "\x1b" in shown) == (0, False)
    assert "step 1: 4 live, 0 solved\nstep 2: 4 live, 0 solved\n" in shown


def test_trajectories_are_drawn_over_each_other_while_they_run(server: ScriptedServer) -> None:
    watched(server)
    environment = {"GRAM_BASE_URL": server.url}
    shown, status = on_terminal(CLI, "solve", PUZZLE, "--watch", environment=environment)
    assert status == 0
    assert server.received[0].params["show_trajectories"] == "16"
    frame = shown[shown.index("step 1") : shown.index("\x1b[9A\x1b[J")]
    # Four boards of fifteen characters stand side by side: a line, a title and seven of each.
    assert frame.count("\n") == 9
    assert "0 running" in frame
    assert "3 running" in frame
    # The last frame makes room for the result.
    last = shown[shown.index("step 2") :]
    assert last.index("\x1b[9A\x1b[J") < last.index("solution 1, 15 votes")


def test_watching_elsewhere_is_lines_on_stderr_and_the_result_on_stdout(
    server: ScriptedServer,
) -> None:
    watched(server)
    run = gram(server, "solve", PUZZLE, "--watch", "--width=2")
    assert run.exit_code == 0
    assert json.loads(run.stdout)["status"] == "solved"
    assert run.stderr == "step 1: 4 live, 0 solved\nstep 2: 4 live, 0 solved\n"
    assert server.received[0].params["show_trajectories"] == "2"
    assert gram(server, "solve", "-", "--watch", stdin=f"{PUZZLE}\n" * 2).exit_code == 2


@pytest.mark.slow
@pytest.mark.parametrize("command", ["solve", "many", "watch"])
def test_ctrl_c_is_status_130_at_once(server: ScriptedServer, tmp_path: Path, command: str) -> None:
    server.say(Reply(body=RESULT, delay_s=30))
    path = tmp_path / "many.txt"
    path.write_text(f"{PUZZLE}\n" * 1000, encoding="utf-8")
    arguments = {"solve": ("solve", PUZZLE), "many": ("solve", str(path)), "watch": ("watch", "x")}
    process = subprocess.Popen(
        (sys.executable, "-m", CLI, *arguments[command]),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**os.environ, "GRAM_BASE_URL": server.url},
        text=True,
        # What runs in the background of a script ignores it.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    with process:
        try:
            wait_for(lambda: bool(server.received))
            started_s = time.monotonic()
            process.send_signal(signal.SIGINT)
            _, errors = process.communicate(timeout=20)
        finally:
            process.kill()
    assert (process.returncode, "Traceback" in errors) == (130, False), errors
    assert time.monotonic() - started_s < 10


# ``gram``, with Ctrl-C at the worst moment: a thread has waited, and has not got its lock back.
INTERRUPTED_LOCK = """
import sys, threading
from concurrent.futures import ThreadPoolExecutor

left = int(sys.argv.pop(1))

def trace(frame, event, argument):
    global left
    if event == "call" and frame.f_code is threading.Condition._acquire_restore.__code__:
        left -= 1
        if not left:
            sys.settrace(None)
            raise KeyboardInterrupt
    return trace

def submit(self, *arguments):
    sys.settrace(trace)
    return plain_submit(self, *arguments)

plain_submit, ThreadPoolExecutor.submit = ThreadPoolExecutor.submit, submit
from gram_client.cli import main
main(prog_name="gram")
"""


@pytest.mark.slow
@pytest.mark.parametrize("place", [1, 2, 4])
def test_ctrl_c_beside_a_lock_of_threads_is_status_130_at_once(
    server: ScriptedServer, tmp_path: Path, place: int
) -> None:
    server.say(Reply(body=RESULT, delay_s=60))
    path = tmp_path / "many.txt"
    path.write_text(f"{PUZZLE}\n" * 1000, encoding="utf-8")
    run = subprocess.run(
        (sys.executable, "-c", INTERRUPTED_LOCK, str(place), "solve", str(path)),
        capture_output=True,
        env={**os.environ, "GRAM_BASE_URL": server.url},
        text=True,
        check=False,
        timeout=40,
    )
    assert (run.returncode, run.stderr) == (130, "solving\n\n")


@pytest.mark.parametrize("output", ["/nonexistent/x.jsonl", "/dev/full", "/proc/x.jsonl"])
def test_an_output_that_cannot_be_written_is_status_2_in_one_line(
    server: ScriptedServer, output: str
) -> None:
    server.say(Reply(body=RESULT))
    run = gram(server, "solve", PUZZLE, "--output", output)
    assert (run.exit_code, run.stdout) == (2, "")
    last = run.stderr.splitlines()[-1]
    assert last.startswith("gram: ")
    assert "Traceback" not in run.stderr


def test_a_full_disk_is_status_2_and_a_reader_that_left_status_1(server: ScriptedServer) -> None:
    server.say(Reply(body={"models": [MODEL] * 3}))
    gram = f"{sys.executable} -m {CLI} models --base-url {server.url}"
    for place, status, words in (("> /dev/full", 2, "gram: "), ("| true", 1, "")):
        script = f"set -o pipefail; {gram} {place}"
        run = subprocess.run(["bash", "-c", script], capture_output=True, text=True, check=False)
        assert (run.returncode, run.stderr.startswith(words)) == (status, True)
        assert "Exception" not in run.stderr


def test_without_an_output_it_is_status_2_in_one_line(server: ScriptedServer) -> None:
    gram = f"{sys.executable} -m {CLI} solve {PUZZLE} --base-url {server.url}"
    run = subprocess.run(["sh", "-c", f"{gram} >&-"], capture_output=True, text=True, check=False)
    assert (run.returncode, run.stderr) == (2, "gram: standard output is closed\n")
    assert server.received == []


def test_jobs_are_listed_newest_first_over_all_pages(server: ScriptedServer) -> None:
    jobs = [{**SUMMARY, "id": f"job-{number}"} for number in range(4)]
    server.say(Reply(body={"jobs": jobs[:2], "cursor": "more"}), Reply(body={"jobs": jobs[2:]}))
    run = gram(server, "jobs", "--boards", "--limit=3")
    what = "queued, sudoku, width 16, 2026-01-01T00:00:00.000+00:00"
    assert run.stdout == f"job-0 {what}\njob-1 {what}\njob-2 {what}\n"
    assert [received.params for received in server.received] == [
        {"limit": "3"},
        {"limit": "3", "cursor": "more"},
    ]
    server.received.clear()
    server.say(Reply(body={"jobs": jobs[:1]}))
    assert json.loads(gram(server, "jobs").stdout) == jobs[0]


@pytest.mark.parametrize(
    ("more", "status"),
    [
        ({"state": "done", "result": RESULT}, 0),
        ({"state": "done", "result": UNSOLVED}, 1),
        ({"state": "running"}, 0),
        ({"state": "failed", "error": {"code": "job_failed", "detail": "engine: no"}}, 1),
    ],
)
def test_a_job_is_shown_with_what_became_of_it(
    server: ScriptedServer, more: dict[str, object], status: int
) -> None:
    server.say(Reply(body={**JOB, **more}))
    run = gram(server, "show", "job-1", "--boards")
    assert run.exit_code == status
    assert run.stdout.startswith(f"job-1 {more['state']}\n")
    assert ("solution 1, 15 votes\n" in run.stdout) == (more.get("result") is RESULT)
    assert ("engine: no" in run.stderr) == (more["state"] == "failed")
    shown = json.loads(gram(server, "show", "job-1").stdout)
    assert shown["result"] is None or shown["result"].pop("posted") is None
    assert shown == {**JOB, **more}


def test_the_parts_of_a_batch_are_shown(server: ScriptedServer) -> None:
    part = {**JOB, "id": "part-1", "state": "done", "result": RESULT}
    size = {"size": 1, "finished": 1}
    server.say(Reply(body={**JOB, "state": "done", "batch": size, "parts": [part]}))
    run = gram(server, "show", "job-1", "--boards")
    assert run.stdout == (
        f"job-1 done, 1 of 1 puzzles done\npart-1 done\nsolution 1, 15 votes\n{BOARD}"
    )


def test_the_help_names_statuses_and_environment() -> None:
    for flag in ("-h", "--help"):
        shown = CliRunner().invoke(main, [flag]).stdout
        for word in ("GRAM_BASE_URL", "GRAM_API_KEY", "GRAM_LOG", "NO_COLOR", "130"):
            assert word in shown


def test_what_is_drawn_side_by_side_stays_within_the_terminal() -> None:
    boards = [f"{number}\n{'x' * 30}\n{'y' * 30}" for number in range(9)]
    shown = beside(boards, os.terminal_size((70, 10)))
    assert [line.split() for line in shown[:2]] == [["0", "1"], ["x" * 30] * 2]
    assert len(shown) == 6
    assert beside(boards, os.terminal_size((20, 3))) == [f"0{' ' * 19}"]
    assert beside([], os.terminal_size((20, 3))) == []
