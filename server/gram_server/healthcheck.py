"""``gram-server healthcheck``: checks the server or worker of this container.

Role and address come from the command line of the running process, so that an image needs only one
health check.
"""

import json
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple
from urllib.error import HTTPError
from urllib.request import urlopen

from gram_server.listening import authority
from gram_server.settings import Settings
from gram_server.supervisor import read_heartbeat

ROLES = ("serve", "worker")
WARM = re.compile(r'^gram_startup_phase_seconds_count\{phase="warm_up"\} [1-9]', re.MULTILINE)
LOOPBACK = {"0.0.0.0": "127.0.0.1", "::": "::1"}


class Running(NamedTuple):
    """A running server or worker."""

    pid: int
    role: str
    arguments: Sequence[str]


class Health(NamedTuple):
    """Result of the check."""

    is_well: bool
    detail: str


def find_running(pid: int | None = None, *, folder: Path = Path("/proc")) -> Running | None:
    """Return the server or worker of this container, or of a process id; None where there is none.

    Skips a child worker of a server, unless asked for by id.
    """
    found = sorted(_processes(folder))
    chosen = (each for each in found if pid in (None, each.pid))
    return next((each for each in chosen if pid or "--link" not in each.arguments), None)


def _processes(folder: Path) -> Iterator[Running]:
    for entry in folder.iterdir():
        if not entry.name.isdecimal():
            continue
        try:
            words = (entry / "cmdline").read_bytes().decode(errors="replace").split("\0")[:-1]
        except OSError:
            # The process ended or is another user's.
            continue
        command = _after_program(words)
        if command and command[0] in ROLES:
            yield Running(int(entry.name), command[0], tuple(command[1:]))


def _after_program(words: Sequence[str]) -> Sequence[str]:
    """Return the arguments of ``gram-server``, run as a script or module, not through an init."""
    for index, word in enumerate(words[:3]):
        is_script = Path(word).name == "gram-server"
        is_module = word == "gram_server.cli" and words[index - 1] == "-m"
        is_python = Path(words[0]).name.startswith("python")
        if (is_script and (index == 0 or is_python)) or is_module:
            return words[index + 1 :]
    return ()


def ask_server(settings: Settings, *, timeout_s: float) -> Health:
    """Query ``/livez``, and ``/startupz`` too if the server has a child worker."""
    http = settings.http
    if not http.port:
        return Health(False, "its port is drawn at the start: name one with --port")
    base = f"http://{authority(LOOPBACK.get(http.host, http.host), http.port)}"
    paths = ["/livez"]
    if settings.redis.store is None:
        paths.append("/startupz")
    for path in paths:
        status, text = _get(f"{base}{path}", timeout_s)
        if status != 200:
            return Health(False, f"{path}: {_reason(text)}")
    return Health(True, f"{base} is alive")


def ask_worker(settings: Settings, heartbeat: Path | None, *, timeout_s: float) -> Health:
    """Check that a worker's models are loaded, by its metrics, else check its heartbeat."""
    engine = settings.engine
    if engine.worker_metrics_port:
        host = LOOPBACK.get(engine.worker_metrics_host, engine.worker_metrics_host)
        url = f"http://{authority(host, engine.worker_metrics_port)}/metrics"
        status, text = _get(url, timeout_s)
        if status != 200:
            return Health(False, f"{url}: {_reason(text)}")
        is_warm = WARM.search(text) is not None
        return Health(is_warm, "its models are loaded" if is_warm else "its models are not loaded")
    if heartbeat is None:
        return Health(False, "it has neither --metrics-port nor --heartbeat to be asked by")
    beat = read_heartbeat(heartbeat)
    if beat is None or (beat.num_live and beat.age_s > engine.hang_s):
        return Health(False, "it shows no sign of life")
    return Health(True, f"its last sign of life is {beat.age_s:.1f} s old")


def _get(url: str, timeout_s: float) -> tuple[int, str]:
    """Return status and text of an answer; status 0 and the reason if there is none."""
    try:
        with urlopen(url, timeout=timeout_s) as reply:
            return reply.status, reply.read().decode()
    except HTTPError as error:
        with error:
            return error.code, error.read().decode(errors="replace")
    except OSError as error:
        return 0, str(error)


def _reason(text: str) -> str:
    """Return the detail of a problem document, else the start of the text."""
    try:
        problem: Any = json.loads(text)
        return str(problem["detail"])
    except (ValueError, KeyError, TypeError):
        return text[:200]
