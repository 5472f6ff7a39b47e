"""Redis behind Sentinel, and as a cluster of three shards."""

import asyncio
import gc
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from gram_server.job import JobState
from tests.conftest import StartRedis
from tests.faults.conftest import OpenQueue, Park

pytestmark = [
    *(pytest.mark.anyio, pytest.mark.redis, pytest.mark.faults),
    # redis-py leaves calls and sockets behind when it loses a master or a shard.
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
]

SERVICE = "gram"


@pytest.fixture(autouse=True)
def swept() -> Iterator[None]:
    """Sweep up what redis-py left behind while it is still a matter of this test."""
    yield
    gc.collect()


def ask(port: int, *command: str) -> str:
    cli = ["redis-cli", "-p", str(port), *command]
    return subprocess.run(cli, capture_output=True, text=True, check=False).stdout


def wait_for(condition: Callable[[], bool], timeout_s: float = 40.0) -> None:
    end_s = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < end_s
        time.sleep(0.1)


@pytest.fixture
def start_sentinels(tmp_path: Path) -> Iterator[Callable[[int, list[int]], None]]:
    processes: list[subprocess.Popen[bytes]] = []

    def start(master_port: int, ports: list[int]) -> None:
        for port in ports:
            config = tmp_path / f"sentinel-{port}.conf"
            config.write_text(
                f"port {port}\n"
                "bind 127.0.0.1\n"
                f"dir {tmp_path}\n"
                f"sentinel monitor {SERVICE} 127.0.0.1 {master_port} 2\n"
                f"sentinel down-after-milliseconds {SERVICE} 1000\n"
                f"sentinel failover-timeout {SERVICE} 5000\n"
            )
            command = ["redis-server", str(config), "--sentinel"]
            with (tmp_path / f"sentinel-{port}.log").open("wb") as log:
                processes.append(subprocess.Popen(command, stdout=log, stderr=log))
        wait_for(
            lambda: all(
                f"num-other-sentinels\n{len(ports) - 1}" in ask(port, "sentinel", "master", SERVICE)
                for port in ports
            )
        )

    yield start
    for process in processes:
        process.terminate()
        process.wait(20.0)


async def test_a_failover_by_sentinel_loses_no_replicated_job(
    start_redis: StartRedis,
    start_sentinels: Any,
    make_ports: Callable[[int], list[int]],
    open_queue: OpenQueue,
    park: Park,
) -> None:
    master = start_redis("--appendonly", "yes")
    replica = start_redis("--appendonly", "yes", "--replicaof", "127.0.0.1", str(master.port))
    await asyncio.to_thread(
        wait_for, lambda: "master_link_status:up" in ask(replica.port, "info", "replication")
    )
    ports = make_ports(3)
    await asyncio.to_thread(start_sentinels, master.port, ports)
    hosts = ",".join(f"127.0.0.1:{port}" for port in ports)
    queue = await open_queue(f"redis+sentinel://{hosts}/{SERVICE}", look_at=replica.url)
    park.worker(queue.url, "--work-s", "0.5", "--room", "2", "--lease-s", "3")
    job_ids = await queue.submit_many(16)
    await asyncio.to_thread(wait_for, lambda: ask(master.port, "wait", "1", "1000").strip() == "1")
    ends = asyncio.create_task(queue.ends(job_ids))
    await asyncio.sleep(0.5)
    master.kill()
    records = await ends
    assert {record.state for record in records} == {JobState.DONE}
    assert "role:master" in ask(replica.port, "info", "replication")
    assert [end.state for end in await queue.ends(await queue.submit_many(4))] == ["done"] * 4
    await queue.clean()


async def test_a_cluster_of_three_shards_holds_a_queue(
    start_redis: StartRedis, open_queue: OpenQueue, park: Park
) -> None:
    if shutil.which("redis-cli") is None:
        pytest.skip("there is no redis-cli to make a cluster with")
    nodes = [start_redis("--cluster-enabled", "yes") for _ in range(3)]
    hosts = [f"127.0.0.1:{node.port}" for node in nodes]
    ask(nodes[0].port, "--cluster", "create", *hosts, "--cluster-yes")
    await asyncio.to_thread(
        wait_for,
        lambda: all("cluster_state:ok" in ask(node.port, "cluster", "info") for node in nodes),
    )
    url = f"redis+cluster://{','.join(hosts)}"
    slot = ask(nodes[0].port, "cluster", "keyslot", "{gram}").strip()
    [owner] = [node for node in nodes if f"MOVED {slot}" not in ask(node.port, "get", "{gram}x")]
    queue = await open_queue(url, look_at=owner.url)
    park.worker(url, "--work-s", "0.1", "--lease-s", "3")
    records = await queue.ends(await queue.submit_many(20))
    assert {record.state for record in records} == {JobState.DONE}
    await queue.store.cancel(await queue.submit())
    owner.kill()
    await asyncio.sleep(0.5)
    owner.start()
    await queue.clean()
