"""Redis behind Sentinel, and as a cluster of three shards."""

import asyncio
import gc
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import free_port
from tests.faults.conftest import Site
from tests.faults.topology import SERVICE, Cli, sentinels
from tests.processes import wait_for

pytestmark = [
    *(pytest.mark.anyio, pytest.mark.redis, pytest.mark.faults),
    # redis-py leaves calls and sockets behind when it loses a master or a shard.
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
]

ASK = Cli()


@pytest.fixture(autouse=True)
def swept() -> Iterator[None]:
    """Sweep up what redis-py left behind while it is still a matter of this test."""
    yield
    gc.collect()


async def test_a_failover_by_sentinel_loses_no_replicated_job(site: Site, tmp_path: Path) -> None:
    master = site.redis("--appendonly", "yes")
    replica = site.redis("--appendonly", "yes", "--replicaof", "127.0.0.1", str(master.port))
    wait_for(lambda: "master_link_status:up" in ASK(replica.port, "info", "replication"))
    ports = [free_port() for _ in range(3)]
    hosts = ",".join(f"127.0.0.1:{port}" for port in ports)
    with sentinels(tmp_path, ports, master.port, ASK, quorum=2):
        queue = await site.queue(f"redis+sentinel://{hosts}/{SERVICE}", look_at=replica.url)
        await site.worker(queue.url, "--work-s", "0.5", "--room", "2", "--lease-s", "3")
        job_ids = await queue.submit_many(16)
        wait_for(lambda: ASK(master.port, "wait", "1", "1000").strip() == "1")
        ends = asyncio.create_task(queue.done(job_ids))
        await asyncio.sleep(0.5)
        master.kill()
        await ends
        assert "role:master" in ASK(replica.port, "info", "replication")
        await queue.done(await queue.submit_many(4))
        await queue.clean()


async def test_a_cluster_of_three_shards_holds_a_queue(site: Site) -> None:
    nodes = [site.redis("--cluster-enabled", "yes") for _ in range(3)]
    owner = nodes[ASK.form_cluster([node.port for node in nodes])]
    url = f"redis+cluster://{','.join(f'127.0.0.1:{node.port}' for node in nodes)}"
    queue = await site.queue(url, look_at=owner.url)
    await site.worker(url, "--work-s", "0.1", "--lease-s", "3")
    await queue.done(await queue.submit_many(20))
    await queue.store.cancel(await queue.submit())
    owner.kill()
    await asyncio.sleep(0.5)
    owner.start()
    await queue.clean()
