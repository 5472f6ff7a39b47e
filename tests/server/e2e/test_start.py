"""Starts that cannot work end with one line, and starts can be stopped at any moment."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import psutil
import pytest

from tests.clients.terminal import on_terminal

pytestmark = pytest.mark.slow

COMMAND = (sys.executable, "-m", "gram_server")
SERVE = (*COMMAND, "serve", "--port", "0", "--num-threads", "1")
# A worker's settings are looked at before anybody is asked for jobs.
WORKER = (*COMMAND, "worker", "--store", "redis://127.0.0.1:1")
LIMIT_S = 240.0


@pytest.fixture
def broken(checkpoint: Path, tmp_path: Path) -> Path:
    """A checkpoint whose weights were cut off."""
    shutil.copytree(checkpoint, tmp_path / "broken")
    weights = tmp_path / "broken" / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1000])
    return tmp_path / "broken"


@pytest.fixture
def never_warm(checkpoint: Path, tmp_path: Path) -> Path:
    """A checkpoint that loads, and yields no numbers."""
    from safetensors.torch import load_file, save_file

    from gram_core.catalog import fingerprint

    folder = tmp_path / "never-warm"
    shutil.copytree(checkpoint, folder)
    weights = load_file(folder / "model.safetensors")
    save_file({name: value * float("nan") for name, value in weights.items()}, folder / "w")
    (folder / "w").replace(folder / "model.safetensors")
    config = json.loads((folder / "config.json").read_text())
    config["fingerprint"] = fingerprint(folder / "model.safetensors")
    (folder / "config.json").write_text(json.dumps(config))
    return folder


def end_of(command: tuple[str, ...], **environment: str) -> tuple[int, list[str]]:
    """Return the status of a command and its lines on standard error."""
    ran = subprocess.run(
        command,
        stderr=subprocess.PIPE,
        text=True,
        timeout=LIMIT_S,
        env={**os.environ, **environment},
    )
    return ran.returncode, ran.stderr.splitlines()


@pytest.mark.parametrize(
    ("role", "flags", "words"),
    [
        (SERVE, ("--model", "nosuch"), "pass a shipped model's name"),
        (WORKER, ("--model", "nosuch"), "pass a shipped model's name"),
        (SERVE, ("--device", "cuda:7"), "device='cuda:7': "),
        (WORKER, ("--model", "{broken}"), "cannot be read"),
        (SERVE, ("--precision", "bf16", "--model", "{checkpoint}"), "runs without native code"),
    ],
)
def test_settings_that_cannot_work_end_the_start_with_one_line(
    role: tuple[str, ...], flags: tuple[str, ...], words: str, broken: Path, checkpoint: Path
) -> None:
    named = [flag.format(broken=broken, checkpoint=checkpoint) for flag in flags]
    # Without a compiler there is no native code.
    status, lines = end_of((*role, *named), PATH="/nowhere")
    errors = [line for line in map(json.loads, lines) if line["level"] != "warning"]
    assert status == 2
    assert [line["level"] for line in errors] == ["error"]
    assert words in errors[0]["message"]


def test_a_terminal_shows_one_line_when_the_server_is_ready(checkpoint: Path) -> None:
    stopped = False

    def stop_when_ready(process: "subprocess.Popen[bytes]", shown: str) -> None:
        nonlocal stopped
        found = re.search(r"ready at (http://127\.0\.0\.1:\d+)\r?\n", shown)
        if found and not stopped:
            stopped = True
            assert httpx.get(f"{found[1]}/readyz").status_code == 200
            assert httpx.post(f"{found[1]}/solve", content=".234341221434321").status_code == 200
            process.send_signal(signal.SIGINT)

    serve = (*SERVE[2:], "--model", str(checkpoint))
    shown, status = on_terminal(*serve, act=stop_when_ready)
    # The random weights may not solve the puzzle that warms them up.
    lines = [line for line in shown.splitlines() if not line.startswith("warning: ")]
    assert status == 0
    assert lines[0].startswith("ready at http://127.0.0.1:")
    assert lines[1:] == ["SIGINT: draining 0 requests and 0 jobs"]


def test_a_terminal_shows_why_a_server_does_not_start() -> None:
    shown, status = on_terminal(*SERVE[2:], "--model", "nosuch")
    (line,) = shown.splitlines()
    assert status == 2
    assert line.startswith("error: ")
    assert "nosuch" in line


def test_a_width_above_the_bound_names_what_to_set() -> None:
    status, lines = end_of((*SERVE, "--max-trajectories", "64"))
    assert status == 2
    assert len(lines) == 1
    assert "GRAM_SERVER_MAX_WIDTH" in lines[0]


def test_a_server_whose_worker_never_gets_ready_says_why_and_ends(never_warm: Path) -> None:
    process = subprocess.Popen(
        (*SERVE, "--model", str(never_warm)), stderr=subprocess.PIPE, text=True
    )
    assert process.stderr is not None
    lines, reasons = [], set()
    try:
        for text in process.stderr:
            lines.append(json.loads(text))
            if lines[-1]["message"].startswith("listening on "):
                url = lines[-1]["message"].removeprefix("listening on ")
            if "ended with status" in lines[-1]["message"]:
                reasons.add(_why_not_ready(url))
        assert process.wait(LIMIT_S) == 1
    finally:
        process.kill()
        process.stderr.close()
    words = "yields no finite numbers"
    assert words in lines[-1]["message"]
    assert "3 times before it was ready" in lines[-1]["message"]
    assert [reason for reason in reasons if "ended once" in reason and words in reason], reasons


def _why_not_ready(url: str) -> str:
    try:
        return str(httpx.get(f"{url}/readyz").json().get("detail"))
    except httpx.TransportError:
        return "gone"


@pytest.fixture
def started(checkpoint: Path) -> Iterator[list["subprocess.Popen[str]"]]:
    processes: list[subprocess.Popen[str]] = []
    yield processes
    for process in processes:
        process.kill()
        process.wait()
        if process.stderr is not None:
            process.stderr.close()


@pytest.mark.parametrize(
    ("number", "after_s"),
    [*((signal.SIGTERM, after_s) for after_s in (0.5, 1.0, 2.0, 4.0, 8.0)), (signal.SIGINT, 1.0)],
)
def test_a_server_can_be_stopped_while_it_starts(
    started: "list[subprocess.Popen[str]]",
    checkpoint: Path,
    tmp_path: Path,
    number: int,
    after_s: float,
) -> None:
    # Where the moment falls depends on the machine: no moment may be a bad one.
    process = subprocess.Popen(
        (*SERVE, "--model", str(checkpoint)),
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "TMPDIR": "/tmp"},
    )
    started.append(process)
    time.sleep(after_s)
    children = psutil.Process(process.pid).children(recursive=True)
    process.send_signal(number)
    _, errors = process.communicate(timeout=LIMIT_S)
    assert process.returncode == 0
    assert "Traceback" not in errors, errors
    assert "Fatal" not in errors, errors
    psutil.wait_procs(children, timeout=LIMIT_S)
    assert not any(child.is_running() for child in children)


@pytest.mark.redis
@pytest.mark.parametrize("after_s", [0.5, 2.0, 4.0, 6.0])
def test_a_worker_can_be_stopped_before_it_is_ready(
    started: "list[subprocess.Popen[str]]", checkpoint: Path, redis_url: str, after_s: float
) -> None:
    process = subprocess.Popen(
        (*COMMAND, "worker", "--store", redis_url, "--model", str(checkpoint)),
        stderr=subprocess.PIPE,
        text=True,
    )
    started.append(process)
    time.sleep(after_s)
    process.terminate()
    _, errors = process.communicate(timeout=LIMIT_S)
    assert process.returncode == 0
    assert "Traceback" not in errors, errors
    assert "Fatal" not in errors, errors


def test_the_first_process_of_a_container_can_be_stopped_at_once(
    started: "list[subprocess.Popen[str]]", checkpoint: Path
) -> None:
    """The kernel drops signals that process 1 of a namespace has no handler for."""
    unshare: tuple[str, ...] = (
        "unshare",
        "--user",
        "--map-root-user",
        "--pid",
        "--fork",
        "--kill-child",
    )
    if subprocess.run((*unshare, "true"), capture_output=True).returncode:
        unshare = tuple(word for word in unshare if word not in ("--user", "--map-root-user"))
    allowed = subprocess.run((*unshare, "true"), capture_output=True)
    if allowed.returncode:
        pytest.skip(f"no PID namespace can be made here: {allowed.stderr.decode()}")
    process = subprocess.Popen(
        (*unshare, *SERVE, "--model", str(checkpoint)), stderr=subprocess.PIPE, text=True
    )
    started.append(process)
    first = _first_of(process.pid)
    # The interpreter is up, and nothing of the server is.
    _wait_for_handler(first.pid)
    first.send_signal(signal.SIGTERM)
    process.communicate(timeout=20.0)
    assert process.returncode == 0


def _first_of(pid: int) -> psutil.Process:
    end_s = time.monotonic() + 20.0
    while not (children := psutil.Process(pid).children()):
        assert time.monotonic() < end_s
        time.sleep(0.001)
    return children[0]


def _wait_for_handler(pid: int) -> None:
    """Wait until SIGTERM is caught, which takes much less than the start."""
    end_s = time.monotonic() + 20.0
    bit = 1 << (signal.SIGTERM - 1)
    while not int(_status_of(pid)["SigCgt"], 16) & bit:
        assert time.monotonic() < end_s
        time.sleep(0.001)
    maps = Path(f"/proc/{pid}/maps").read_text()
    assert "uvloop" not in maps, "the handler came only after what takes long"


def _status_of(pid: int) -> dict[str, str]:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return {name: value.strip() for name, _, value in (line.partition(":") for line in lines)}
