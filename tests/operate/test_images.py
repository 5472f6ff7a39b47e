"""The images, built in clean roots and run as containers would be: make images."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import httpx
import psutil
import pytest
import yaml

from tests.conftest import free_port
from tests.operate.clean_root import CleanRoots
from tests.operate.dockerfile import read

ROOT = Path(__file__).parents[2]
_, STAGES = read(ROOT / "docker/Dockerfile")
PUZZLE = "1.34341221434321"
SOLUTION = "1234341221434321"
MAX_API_MIB = 120
"""What the smallest image adds to its base."""

pytestmark = [pytest.mark.images, pytest.mark.timeout(3600)]


@pytest.fixture(scope="module")
def roots() -> CleanRoots:
    if os.geteuid() or shutil.which("debootstrap") is None:
        pytest.skip("needs root, and debootstrap: install it to run this test")
    return CleanRoots(stages=STAGES, context=ROOT, folder=ROOT / "build/images")


def built(roots: CleanRoots, target: str) -> int:
    """Build a stage, and return how many MiB what we add to the base has."""
    started_s = time.monotonic()
    folder = roots.build(target) / "opt/gram"
    size = subprocess.check_output(["du", "--summarize", "--block-size=1M", str(folder)], text=True)
    num_mib = int(size.split()[0])
    took_s = time.monotonic() - started_s
    say(f"{target}: built in {took_s:.0f} s, /opt/gram has {num_mib} MiB")
    return num_mib


def say(text: str) -> None:
    sys.stderr.write(f"{text}\n")


@contextmanager
def container(
    roots: CleanRoots, target: str, folder: Path, arguments: Sequence[str], **settings: str
) -> Iterator["subprocess.Popen[bytes]"]:
    """Run a container of a stage, and end it as its supervisor would."""
    words = [*json.loads(STAGES[target].last("ENTRYPOINT")), *arguments]
    log = folder / f"{target}.log"
    with log.open("wb") as output:
        command = roots.command(target, words, folder / "volumes", **settings)
        running = subprocess.Popen(command, stdout=output, stderr=output)
        try:
            yield running
            running.send_signal(signal.SIGTERM)
            assert running.wait(60.0) == 0, log.read_text()
        except BaseException:
            say(log.read_text())
            raise
        finally:
            running.kill()
            running.wait()


def wait_for(condition: Callable[[], bool], running: "subprocess.Popen[bytes]") -> float:
    started_s = time.monotonic()
    while not condition():
        assert running.poll() is None, "it ended"
        assert time.monotonic() < started_s + 300.0, "it never comes so far"
        time.sleep(0.2)
    return time.monotonic() - started_s


def answers(url: str) -> bool:
    try:
        return httpx.get(url, timeout=5.0).status_code == 200
    except httpx.TransportError:
        return False


def is_healthy(
    roots: CleanRoots, target: str, folder: Path, init: "subprocess.Popen[bytes]", port: int
) -> bool:
    """Ask as the image's own health check does, of that container alone."""
    words = json.loads(STAGES[target].last("HEALTHCHECK").partition("CMD ")[2])
    for child in psutil.Process(init.pid).children():
        words += ["--pid", str(child.pid)]
    command = roots.command(target, words, folder / "volumes", GRAM_SERVER_PORT=str(port))
    return subprocess.run(command, capture_output=True).returncode == 0


def has(roots: CleanRoots, target: str, package: str) -> bool:
    return any(roots.build(target).glob(f"opt/gram/lib/*/site-packages/{package}"))


def check_work(url: str) -> None:
    reply = httpx.post(f"{url}/solve?width=4", content=PUZZLE, timeout=60.0).json()
    assert [solution["answer"] for solution in reply["solutions"]] == [SOLUTION]


def can_write(roots: CleanRoots, target: str, folder: Path, place: str) -> bool:
    command = roots.command(target, ["touch", f"{place}/new"], folder / "volumes")
    return subprocess.run(command, capture_output=True).returncode == 0


def check_can_write_to_its_temporary_folder_alone(
    roots: CleanRoots, target: str, folder: Path
) -> None:
    places = ("/opt/gram", "/etc", "/root", "/tmp")
    assert [each for each in places if can_write(roots, target, folder, each)] == ["/tmp"]


@pytest.mark.parametrize("target", ["cpu", "cuda"])
def test_an_image_with_its_engine_solves_as_anybody_on_a_root_it_cannot_write_to(
    roots: CleanRoots, tmp_path: Path, target: str
) -> None:
    built(roots, target)
    check_can_write_to_its_temporary_folder_alone(roots, target, tmp_path)
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    arguments = json.loads(STAGES[target].last("CMD"))
    settings = {"GRAM_SERVER_PORT": str(port), "GRAM_SERVER_NUM_THREADS": "1"}
    with container(roots, target, tmp_path, arguments, **settings) as running:
        alive_s = wait_for(lambda: is_healthy(roots, target, tmp_path, running, port), running)
        ready_s = alive_s + wait_for(lambda: answers(f"{url}/readyz"), running)
        check_work(url)
    say(f"{target}: healthy after {alive_s:.1f} s, ready after {ready_s:.1f} s")
    assert "native code: the installed object" in (tmp_path / f"{target}.log").read_text()
    assert has(roots, target, "torch")
    assert has(roots, target, "opentelemetry/sdk")
    assert has(roots, target, "pynvml.py") == (target == "cuda")


@pytest.mark.redis
def test_the_api_image_and_a_worker_of_the_cpu_image_solve_together(
    roots: CleanRoots, tmp_path: Path, redis_url: str
) -> None:
    assert built(roots, "api") < MAX_API_MIB
    built(roots, "cpu")
    assert not has(roots, "api", "torch")
    assert has(roots, "api", "opentelemetry/sdk")
    check_can_write_to_its_temporary_folder_alone(roots, "api", tmp_path)
    services = yaml.safe_load((ROOT / "docker/compose.yaml").read_text())["services"]
    store = services["api"]["environment"]["GRAM_SERVER_STORE"]
    command = [word.replace(store, redis_url) for word in services["worker-cpu"]["command"]]
    metrics, port = free_port(), free_port()
    command = [word.replace("9100", str(metrics)) for word in command]
    url = f"http://127.0.0.1:{port}"
    settings = {"GRAM_SERVER_PORT": str(port), "GRAM_SERVER_STORE": redis_url}
    arguments = json.loads(STAGES["api"].last("CMD"))
    with (
        container(roots, "api", tmp_path, arguments, **settings) as server,
        container(roots, "cpu", tmp_path, command, GRAM_SERVER_NUM_THREADS="1") as worker,
    ):
        wait_for(lambda: is_healthy(roots, "api", tmp_path, server, port), server)
        wait_for(lambda: answers(f"{url}/readyz"), worker)
        check_work(url)
        assert "gram_slots_alive" in httpx.get(f"http://127.0.0.1:{metrics}/metrics").text
