"""Sockets of both address families, and what is said of them, from real processes."""

import json
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager

import httpx
import pytest

from gram_server.errors import ConfigError
from gram_server.listening import authority, bind, is_open_to_others

NOBODY = "redis://127.0.0.1:1/0"


def has_ipv6() -> bool:
    try:
        with socket.socket(socket.AF_INET6) as probe:
            probe.bind(("::1", 0))
    except OSError:
        return False
    return True


needs_ipv6 = pytest.mark.skipif(not has_ipv6(), reason="this machine has no IPv6")


@contextmanager
def serving(*arguments: str) -> Iterator[tuple[dict[str, str], list[str]]]:
    """Yield the URL of each port by its name, and the lines so far."""
    command = [sys.executable, "-m", "gram_server.cli", "serve", "--store", NOBODY, *arguments]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    urls: dict[str, str] = {}
    lines: list[str] = []
    try:
        while len(urls) < 1 + ("--metrics-port" in arguments):
            line = process.stderr.readline()
            assert line, lines
            lines.append(json.loads(line)["message"])
            what, is_address, rest = lines[-1].partition(" on http://")
            if is_address:
                urls[what] = f"http://{rest}"
        yield urls, lines
    finally:
        process.terminate()
        process.wait(30.0)
        process.stderr.close()


def port_of(url: str) -> str:
    return url.rpartition(":")[2]


@pytest.mark.slow
@needs_ipv6
@pytest.mark.parametrize("beside", [(), ("--metrics-port", "0")])
def test_every_address_serves_both_families_with_and_without_a_port_for_metrics(
    beside: tuple[str, ...],
) -> None:
    with serving("--host", "::", "--port", "0", *beside) as (urls, lines):
        assert urls["listening"].startswith("http://[::]:")
        for host in ("127.0.0.1", "[::1]"):
            public = f"http://{host}:{port_of(urls['listening'])}"
            assert httpx.get(f"{public}/livez").status_code == 200
            if beside:
                private = f"http://{host}:{port_of(urls['metrics'])}"
                assert httpx.get(f"{private}/metrics").status_code == 200
                assert httpx.get(f"{private}/livez").status_code == 404
        assert any("asks for no key" in line for line in lines)


@pytest.mark.slow
@needs_ipv6
def test_an_address_of_one_family_is_printed_so_that_it_can_be_opened() -> None:
    with serving("--host", "::1", "--port", "0") as (urls, lines):
        assert httpx.get(f"{urls['listening']}/livez").status_code == 200
        assert not any("asks for no key" in line for line in lines)
        with pytest.raises(httpx.ConnectError):
            httpx.get(f"http://127.0.0.1:{port_of(urls['listening'])}/livez")


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
def test_a_connection_that_rests_as_long_as_balancers_let_it_is_kept() -> None:
    with serving("--port", "0") as (urls, _):
        address = ("127.0.0.1", int(port_of(urls["listening"])))
        with socket.create_connection(address, timeout=20.0) as connection:
            ask(connection)
            # Nothing comes: neither bytes nor an end.
            connection.settimeout(7.0)
            with pytest.raises(TimeoutError):
                connection.recv(1)
            connection.settimeout(20.0)
            ask(connection)


@pytest.mark.slow
def test_how_long_a_connection_may_rest_is_a_setting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GRAM_SERVER_KEEP_ALIVE_S", "0.5")
    with serving("--port", "0") as (urls, _):
        address = ("127.0.0.1", int(port_of(urls["listening"])))
        with socket.create_connection(address, timeout=20.0) as connection:
            ask(connection)
            assert connection.recv(1) == b""
