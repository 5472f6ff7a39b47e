"""``gram-server healthcheck``, of real processes and of what a container may hold."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread
from urllib.request import urlopen

import pytest

from gram_server.healthcheck import Running, ask_server, ask_worker, find_running
from gram_server.settings import EngineConfig, HttpConfig, RedisConfig, Settings
from gram_server.worker.engine_loop import Heartbeat
from tests.conftest import free_port

OURS = [sys.executable, "-m", "gram_server.cli"]
NOBODY = "redis://127.0.0.1:1/0"


@contextmanager
def running(*arguments: str) -> Iterator["subprocess.Popen[bytes]"]:
    process = subprocess.Popen([*OURS, *arguments], stderr=subprocess.DEVNULL)
    try:
        yield process
    finally:
        process.terminate()
        process.wait(60.0)


def ask(pid: int) -> tuple[int, dict[str, object]]:
    command = [*OURS, "healthcheck", "--pid", str(pid)]
    ran = subprocess.run(command, capture_output=True, text=True, timeout=60)
    return ran.returncode, json.loads(ran.stdout) if ran.stdout else {"detail": ran.stderr}


def becomes_well(process: "subprocess.Popen[bytes]") -> list[dict[str, object]]:
    """Return what was said until the process was well."""
    end_s = time.monotonic() + 90.0
    said = []
    while True:
        status, health = ask(process.pid)
        said.append(health)
        if status == 0:
            return said
        assert status == 1
        assert process.poll() is None
        assert time.monotonic() < end_s, said[-1]
        time.sleep(0.2)


@pytest.mark.slow
def test_an_api_process_is_asked_where_its_command_line_says() -> None:
    port = str(free_port())
    with running("serve", "--host", "0.0.0.0", "--port", port, "--store", NOBODY) as api:
        last = becomes_well(api)[-1]
        assert (last["pid"], last["role"], last["is_well"]) == (api.pid, "serve", True)
    assert ask(api.pid)[0] == 1


@pytest.mark.slow
def test_a_server_with_a_worker_of_its_own_is_well_when_that_is_ready() -> None:
    port = str(free_port())
    with running("serve", "--port", port, "--model", "sudoku-4x4", "--num-threads", "1") as server:
        becomes_well(server)
        with urlopen(f"http://127.0.0.1:{port}/startupz", timeout=20) as reply:
            assert reply.status == 200


def test_a_server_whose_own_worker_was_never_ready_is_not_well() -> None:
    with answering({"/livez": (200, "{}"), "/startupz": (503, '{"detail": "loading"}')}) as port:
        http = HttpConfig(port=port)
        health = ask_server(Settings(http=http), timeout_s=5.0)
        assert health == (False, "/startupz: loading")
        # Workers elsewhere are no matter of an API process.
        elsewhere = Settings(http=http, redis=RedisConfig(store=NOBODY))
        assert ask_server(elsewhere, timeout_s=5.0).is_well


@pytest.mark.parametrize("status", [401, 500, 503])
def test_an_answer_that_is_no_success_is_not_well(status: int) -> None:
    answers = {"/livez": (status, "trouble"), "/metrics": (status, "trouble")}
    with answering(answers) as port:
        http, engine = HttpConfig(port=port), EngineConfig(worker_metrics_port=port)
        settings = Settings(http=http, engine=engine)
        for health in (
            ask_server(settings, timeout_s=5.0),
            ask_worker(settings, None, timeout_s=5.0),
        ):
            assert not health.is_well
            assert health.detail.endswith("trouble")


@pytest.mark.slow
@pytest.mark.redis
def test_a_worker_is_asked_for_its_models_and_not_for_a_server(redis_url: str) -> None:
    arguments = ["worker", "--store", redis_url, "--queue-name", "health", "--num-threads", "1"]
    arguments += ["--model", "sudoku-4x4", "--metrics-port", str(free_port())]
    with running(*arguments) as worker:
        last = becomes_well(worker)[-1]
    assert (last["role"], last["is_well"]) == ("worker", True)


@contextmanager
def answering(answers: Mapping[str, tuple[int, str]]) -> Iterator[int]:
    """Answer each path with a status and a text, and yield the port."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            status, text = answers[self.path]
            self.send_response(status)
            self.end_headers()
            self.wfile.write(text.encode())

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = Thread(target=server.serve_forever)
    thread.start()
    try:
        yield server.server_port
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.mark.parametrize(("count", "is_well"), [(None, False), ("0.0", False), ("1.0", True)])
def test_a_worker_whose_models_are_not_loaded_is_not_well(count: str | None, is_well: bool) -> None:
    line = f'gram_startup_phase_seconds_count{{phase="warm_up"}} {count}\n' if count else ""
    text = f'gram_startup_phase_seconds_count{{phase="load"}} 1.0\n{line}'
    with answering({"/metrics": (200, text)}) as port:
        settings = Settings(engine=EngineConfig(worker_metrics_port=port))
        assert ask_worker(settings, None, timeout_s=5.0).is_well is is_well


def test_a_worker_without_metrics_is_known_by_its_sign_of_life(tmp_path: Path) -> None:
    settings = Settings(engine=EngineConfig(hang_s=0.05))
    path = tmp_path / "beat"
    assert not ask_worker(settings, path, timeout_s=1.0).is_well
    assert not ask_worker(settings, None, timeout_s=1.0).is_well
    beat = Heartbeat(path)
    assert ask_worker(settings, path, timeout_s=1.0).is_well
    beat.beat(num_ticks=3, num_live=2)
    time.sleep(0.1)
    assert not ask_worker(settings, path, timeout_s=1.0).is_well


def test_a_port_where_nobody_listens_and_one_that_is_drawn_are_not_well() -> None:
    redis = RedisConfig(store=NOBODY)
    for port in (0, free_port()):
        settings = Settings(http=HttpConfig(port=port), redis=redis)
        assert not ask_server(settings, timeout_s=1.0).is_well


def processes(folder: Path, **lines: str) -> Path:
    for pid, line in lines.items():
        entry = folder / pid.removeprefix("p")
        entry.mkdir()
        (entry / "cmdline").write_bytes(line.replace(" ", "\0").encode() + b"\0")
    (folder / "self").mkdir()
    (folder / "99").mkdir()
    return folder


@pytest.mark.parametrize(
    ("lines", "found"),
    [
        (
            {
                "p1": "/usr/bin/tini -- /opt/gram/bin/gram-server worker --device cpu",
                "p7": "/opt/gram/bin/python /opt/gram/bin/gram-server worker --device cpu",
            },
            Running(7, "worker", ("--device", "cpu")),
        ),
        (
            {
                "p1": "/opt/gram/bin/python3.12 /opt/gram/bin/gram-server serve --port 9000",
                "p20": "/opt/gram/bin/python3.12 -m gram_server.cli worker --link /tmp/link.sock",
                "p30": "/opt/gram/bin/python3.12 /opt/gram/bin/gram-server healthcheck",
            },
            Running(1, "serve", ("--port", "9000")),
        ),
        ({"p1": "/opt/gram/bin/python /opt/gram/bin/gram-server train sudoku-4x4"}, None),
        ({"p1": "sh -c gram-server\tserve", "p2": "vi gram-server serve"}, None),
    ],
)
def test_the_process_of_a_container_is_found_behind_its_init(
    tmp_path: Path, lines: dict[str, str], found: Running | None
) -> None:
    assert find_running(folder=processes(tmp_path, **lines)) == found


def test_where_no_server_runs_the_check_says_so() -> None:
    status, health = ask(os.getpid())
    assert status == 1
    assert "no gram-server serve" in str(health["detail"])
