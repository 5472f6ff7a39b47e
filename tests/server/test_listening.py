"""Sockets of both address families, and what is said of them, from real processes."""

import socket
import subprocess
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager, closing
from functools import partial
from pathlib import Path

import httpx
import psutil
import pytest

from gram_server.errors import ConfigError
from gram_server.listening import authority, bind, is_open_to_others
from gram_server.settings import HttpConfig, Settings
from tests.processes import Running, running
from tests.server.api.conftest import key_entry, write_keys

NOBODY = "redis://127.0.0.1:1/0"
METRICS = "metrics on "
Serving = Callable[..., AbstractContextManager[Running]]


def has_ipv6() -> bool:
    try:
        with socket.socket(socket.AF_INET6) as probe:
            probe.bind(("::1", 0))
    except OSError:
        return False
    return True


needs_ipv6 = pytest.mark.skipif(not has_ipv6(), reason="this machine has no IPv6")


@pytest.fixture
def serving(tmp_path: Path) -> Serving:
    """Run an API process without a Redis, with flags of a test's own."""
    return partial(running, tmp_path / "log", "serve", "--store", NOBODY)


def port_of(url: str) -> str:
    return url.rpartition(":")[2]


@pytest.mark.slow
@needs_ipv6
@pytest.mark.parametrize("beside", [(), ("--metrics-port", "0")])
def test_every_address_serves_both_families_with_and_without_a_port_for_metrics(
    beside: tuple[str, ...], serving: Serving
) -> None:
    with serving("--host", "::", "--port", "0", *beside) as server:
        assert server.url().startswith("http://[::]:")
        for host in ("127.0.0.1", "[::1]"):
            public = f"http://{host}:{port_of(server.url())}"
            assert httpx.get(f"{public}/livez").status_code == 200
            if beside:
                private = f"http://{host}:{port_of(server.url(METRICS))}"
                assert httpx.get(f"{private}/metrics").status_code == 200
                assert httpx.get(f"{private}/livez").status_code == 404
        assert "asks for no key" in server.log.read_text()


@pytest.mark.slow
@needs_ipv6
def test_an_address_of_one_family_is_printed_so_that_it_can_be_opened(serving: Serving) -> None:
    with serving("--host", "::1", "--port", "0") as server:
        assert httpx.get(f"{server.url()}/livez").status_code == 200
        assert "asks for no key" not in server.log.read_text()
        # Another program may have the same port of the other family.
        listening = psutil.Process(server.process.pid).net_connections("tcp")
        hosts = {each.laddr.ip for each in listening if each.status == psutil.CONN_LISTEN}
        assert hosts == {"::1"}


def test_the_name_of_this_machine_is_every_address_that_it_has_at_one_port() -> None:
    sockets = bind("localhost", 0, setting="port")
    ports = {each.getsockname()[1] for each in sockets}
    hosts = {each.getsockname()[0] for each in sockets}
    for each in sockets:
        each.close()
    assert len(ports) == 1
    assert hosts <= {"127.0.0.1", "::1"}
    assert "127.0.0.1" in hosts


@pytest.mark.parametrize("host", ["127.0.0.1", pytest.param("::1", marks=needs_ipv6)])
def test_a_taken_port_is_one_sentence_with_the_address(host: str) -> None:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with closing(socket.create_server((host, 0), family=family)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(ConfigError) as refused:
            bind(host, port, setting="metrics_port")
    assert "metrics_port" in str(refused.value)
    assert authority(host, port) in str(refused.value)


@pytest.mark.slow
@pytest.mark.parametrize("command", ["serve", "worker"])
def test_a_command_whose_port_is_taken_ends_with_status_2_and_a_sentence(command: str) -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as taken:
        port = str(taken.getsockname()[1])
        flag = "--metrics-port" if command == "worker" else "--port"
        arguments = [command, flag, port, "--store", NOBODY, "--model", "sudoku-4x4"]
        ran = subprocess.run(
            [sys.executable, "-m", "gram_server.cli", *arguments],
            capture_output=True,
            text=True,
            timeout=100,
        )
    assert ran.returncode == 2
    assert f"cannot listen on 127.0.0.1:{port}: Address already in use" in ran.stderr
    assert "Traceback" not in ran.stderr


def test_a_host_that_there_is_not_is_refused() -> None:
    for host in ("no.such.host.invalid", "192.0.2.1", f"{'x' * 70}.invalid"):
        with pytest.raises(ConfigError, match="cannot listen on"):
            bind(host, 0, setting="port")


def test_whether_others_can_come_in_is_known_by_the_address() -> None:
    assert not is_open_to_others("127.0.0.1")
    assert not is_open_to_others("127.8.9.10")
    assert not is_open_to_others("localhost")
    assert is_open_to_others("0.0.0.0")


@needs_ipv6
def test_whether_others_can_come_in_by_ipv6() -> None:
    assert not is_open_to_others("::1")
    assert is_open_to_others("::")


def ask(connection: socket.socket) -> None:
    connection.sendall(b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n")
    answer = b""
    while not answer.endswith(b"}"):
        part = connection.recv(4096)
        assert part, answer
        answer += part
    assert answer.startswith(b"HTTP/1.1 200 ")


@pytest.mark.slow
def test_a_connection_that_rests_as_long_as_balancers_let_it_is_kept(serving: Serving) -> None:
    with serving("--port", "0") as server:
        address = ("127.0.0.1", int(port_of(server.url())))
        with socket.create_connection(address, timeout=20.0) as connection:
            ask(connection)
            # Nothing comes: neither bytes nor an end.
            connection.settimeout(7.0)
            with pytest.raises(TimeoutError):
                connection.recv(1)
            connection.settimeout(20.0)
            ask(connection)


@pytest.mark.slow
def test_how_long_a_connection_may_rest_is_a_setting(
    serving: Serving, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GRAM_SERVER_KEEP_ALIVE_S", "0.5")
    with serving("--port", "0") as server:
        address = ("127.0.0.1", int(port_of(server.url())))
        with socket.create_connection(address, timeout=20.0) as connection:
            ask(connection)
            assert connection.recv(1) == b""


@pytest.mark.slow
def test_metrics_have_a_port_of_their_own_and_it_has_nothing_else(
    serving: Serving, tmp_path: Path
) -> None:
    keys = write_keys(tmp_path / "keys.json", key_entry("root", "admin"))
    admin = {"Authorization": "Bearer root-token"}
    with serving("--port", "0", "--metrics-port", "0", "--keys", str(keys)) as server:
        public, private = server.url(), server.url(METRICS)
        scraped = httpx.get(f"{private}/metrics")
        assert scraped.status_code == 200
        assert "gram_ready 0.0" in scraped.text
        for path in ("/", "/solve", "/jobs", "/livez", "/docs", "/metrics/"):
            for method in ("GET", "POST"):
                assert httpx.request(method, f"{private}{path}").status_code in (307, 404), path
        assert httpx.post(f"{private}/metrics").status_code == 405
        assert httpx.get(f"{public}/metrics").status_code == 401
        assert httpx.get(f"{public}/metrics", headers=admin).status_code == 404
        assert httpx.get(f"{public}/livez").status_code == 200
        document = httpx.get(f"{public}/openapi.json", headers=admin).json()
        assert "/metrics" not in document["paths"]


def test_both_ports_cannot_be_the_same() -> None:
    with pytest.raises(ConfigError, match="metrics_port"):
        HttpConfig(port=9000, metrics_port=9000)
    assert Settings.load({"metrics_port": 9090}, environ={}).http.metrics_port == 9090
