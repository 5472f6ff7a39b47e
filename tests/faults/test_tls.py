"""Redis behind TLS, with certificates of our own, and users that may do no more than they need."""

import asyncio
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import pytest

from gram_server.errors import StoreUnavailable
from gram_server.job import JobState
from tests.conftest import StartRedis
from tests.faults.conftest import OpenQueue, Park, Queue

pytestmark = [pytest.mark.anyio, pytest.mark.redis, pytest.mark.faults]

SERVICE = "gram"
RIGHTS = ("~{gram}:*", "+@read", "+@write", "+@scripting", "+@connection", "+time", "+config|get")
"""What docs/operations.md says that a user of Redis needs."""


def openssl(*arguments: str) -> None:
    subprocess.run(["openssl", *arguments], check=True, capture_output=True)


@dataclass(frozen=True, slots=True)
class Authority:
    """Signs certificates for 127.0.0.1."""

    folder: Path

    @property
    def certificate(self) -> str:
        return str(self.folder / "ca.pem")

    def found(self) -> "Authority":
        self.folder.mkdir()
        key = str(self.folder / "ca.key")
        flags = ("-newkey", "rsa:2048", "-nodes", "-keyout", key, "-subj", "/CN=tests")
        openssl("req", "-x509", "-days", "2", *flags, "-out", self.certificate)
        return self

    def sign(self, name: str) -> tuple[str, str]:
        """Return the files of a certificate and its key."""
        request, key, signed, names = (
            str(self.folder / f"{name}.{end}") for end in ("csr", "key", "pem", "txt")
        )
        Path(names).write_text("subjectAltName=IP:127.0.0.1,DNS:localhost")
        flags = ("-newkey", "rsa:2048", "-nodes", "-keyout", key, "-subj", f"/CN={name}")
        openssl("req", *flags, "-out", request)
        issuer = ("-CA", self.certificate, "-CAkey", str(self.folder / "ca.key"))
        openssl("x509", "-req", "-in", request, *issuer, "-CAcreateserial", "-days", "2")
        more = ("-extfile", names, "-out", signed)
        openssl("x509", "-req", "-in", request, *issuer, "-CAcreateserial", "-days", "2", *more)
        return signed, key

    def flags(self, port: int) -> tuple[str, ...]:
        """Return what a Redis needs to listen on a port with TLS."""
        signed, key = self.sign(f"server-{port}")
        files = ("--tls-cert-file", signed, "--tls-key-file", key)
        return ("--tls-port", str(port), *files, "--tls-ca-cert-file", self.certificate)


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("tls") / "ours").found()


def ask(authority: Authority, port: int, *command: str) -> str:
    cli = ["redis-cli", "--tls", "--cacert", authority.certificate, "-p", str(port), *command]
    return subprocess.run(cli, capture_output=True, text=True, check=False).stdout


def wait_for(condition: Callable[[], bool]) -> None:
    end_s = time.monotonic() + 40.0
    while not condition():
        assert time.monotonic() < end_s
        time.sleep(0.1)


async def assert_works(queue: Queue, park: Park) -> None:
    async def is_reached() -> bool:
        with suppress(StoreUnavailable):
            return bool(await queue.store.stats())
        return False

    # The certificates of the system are read for each connection, which takes its time.
    await queue.until(is_reached)
    park.worker(queue.url, "--work-s", "0.1", "--lease-s", "3")
    records = await queue.ends([await queue.submit() for _ in range(6)])
    assert {record.state for record in records} == {JobState.DONE}
    await queue.clean()


async def test_a_server_with_tls_is_reached_where_its_certificate_is_trusted(
    authority: Authority,
    start_redis: StartRedis,
    make_ports: Callable[[int], list[int]],
    open_queue: OpenQueue,
    park: Park,
    tmp_path: Path,
) -> None:
    [port] = make_ports(1)
    plain = start_redis(*authority.flags(port), "--tls-auth-clients", "no")
    url = f"rediss://127.0.0.1:{port}/0"
    trusted = f"{url}?ssl_ca_certs={authority.certificate}"
    await assert_works(await open_queue(trusted, look_at=plain.url), park)
    stranger = Authority(tmp_path / "stranger").found()
    for distrusted in (url, f"{url}?ssl_ca_certs={stranger.certificate}"):
        queue = await open_queue(distrusted, look_at=plain.url)
        with pytest.raises(StoreUnavailable):
            await queue.submit()


async def test_a_server_that_asks_for_a_certificate_gets_ours(
    authority: Authority,
    start_redis: StartRedis,
    make_ports: Callable[[int], list[int]],
    open_queue: OpenQueue,
    park: Park,
) -> None:
    [port] = make_ports(1)
    plain = start_redis(*authority.flags(port), "--tls-auth-clients", "yes")
    url = f"rediss://127.0.0.1:{port}/0?ssl_ca_certs={authority.certificate}"
    nobody = await open_queue(url, look_at=plain.url)
    with pytest.raises(StoreUnavailable):
        await nobody.submit()
    signed, key = authority.sign("client")
    url += f"&ssl_certfile={signed}&ssl_keyfile={key}"
    await assert_works(await open_queue(url, look_at=plain.url), park)


@pytest.fixture
def start_sentinel(authority: Authority, tmp_path: Path) -> Iterator[Callable[[int, int], None]]:
    processes: list[subprocess.Popen[bytes]] = []

    def start(port: int, master_port: int) -> None:
        pairs = zip(*[iter(authority.flags(port))] * 2, strict=True)
        lines = [f"{flag.removeprefix('--')} {value}" for flag, value in pairs]
        lines += ["port 0", "bind 127.0.0.1", f"dir {tmp_path}", "tls-auth-clients no"]
        lines += ["tls-replication yes", f"sentinel monitor {SERVICE} 127.0.0.1 {master_port} 1"]
        config = tmp_path / "sentinel.conf"
        config.write_text("\n".join(lines) + "\n")
        with (tmp_path / "sentinel.log").open("wb") as log:
            command = ["redis-server", str(config), "--sentinel"]
            processes.append(subprocess.Popen(command, stdout=log, stderr=log))
        wait_for(lambda: "PONG" in ask(authority, port, "ping"))

    yield start
    for process in processes:
        process.terminate()
        process.wait(20.0)


async def test_sentinel_and_its_master_are_reached_with_tls(
    authority: Authority,
    start_redis: StartRedis,
    start_sentinel: Callable[[int, int], None],
    make_ports: Callable[[int], list[int]],
    open_queue: OpenQueue,
    park: Park,
) -> None:
    port, sentinel_port = make_ports(2)
    plain = start_redis(*authority.flags(port), "--tls-auth-clients", "no")
    await asyncio.to_thread(start_sentinel, sentinel_port, port)
    url = f"rediss+sentinel://127.0.0.1:{sentinel_port}/{SERVICE}"
    url += f"?ssl_ca_certs={authority.certificate}"
    await assert_works(await open_queue(url, look_at=plain.url), park)


async def test_a_cluster_is_reached_with_tls(
    authority: Authority,
    start_redis: StartRedis,
    make_ports: Callable[[int], list[int]],
    open_queue: OpenQueue,
    park: Park,
) -> None:
    # A node also listens 10,000 above the port that it is known by.
    ports = [port % 20_000 + 20_000 for port in make_ports(3)]
    cluster = ("--cluster-enabled", "yes", "--tls-cluster", "yes", "--tls-auth-clients", "no")
    nodes = [start_redis(*authority.flags(port), *cluster) for port in ports]
    hosts = [f"127.0.0.1:{port}" for port in ports]
    created = ask(authority, ports[0], "--cluster", "create", *hosts, "--cluster-yes")
    await asyncio.to_thread(
        wait_for,
        lambda: all(
            "cluster_state:ok" in ask(authority, port, "cluster", "info") for port in ports
        ),
    )
    slot = ask(authority, ports[0], "cluster", "keyslot", "{gram}").strip()
    moved = [f"MOVED {slot}" in ask(authority, port, "get", "{gram}x") for port in ports]
    assert sorted(moved) == [False, True, True], created
    url = f"rediss+cluster://{','.join(hosts)}?ssl_ca_certs={authority.certificate}"
    await assert_works(await open_queue(url, look_at=nodes[moved.index(False)].url), park)


async def test_a_user_needs_no_more_rights_than_the_documentation_says(
    start_redis: StartRedis, open_queue: OpenQueue, park: Park
) -> None:
    text = (Path(__file__).parents[2] / "docs/operations.md").read_text()
    assert f"`{' '.join(RIGHTS)}`" in text
    redis = start_redis()
    opened = await open_queue(redis.url)
    await opened.redis.execute_command("ACL", "SETUSER", "gram", "on", ">se%cret", *RIGHTS)
    url = redis.url.replace("redis://", "redis://gram:se%25cret@")
    queue = await open_queue(url, look_at=redis.url)
    await assert_works(queue, park)
    await queue.store.cancel(await queue.submit(deadline_ms=60_000))
    log = await opened.redis.execute_command("ACL", "LOG")
    assert log == []
    wrong = await open_queue(redis.url.replace("redis://", "redis://gram:wrong@"))
    with pytest.raises(StoreUnavailable):
        await wrong.submit()
