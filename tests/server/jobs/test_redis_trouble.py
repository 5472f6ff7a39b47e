"""What is wrong with Redis is said by its true name, and once: real servers in each state."""

import asyncio
import logging
from typing import Any

import pytest
from redis.asyncio import Redis

from gram_server.errors import StoreUnavailable
from gram_server.jobs import redis_store
from gram_server.jobs.redis_connection import DOWN_S, RedisConnection
from gram_server.jobs.redis_store import RedisStore
from gram_server.settings import QueueConfig, RedisConfig
from tests.conftest import StartRedis
from tests.server.jobs.conftest import MakeJob

pytestmark = [pytest.mark.anyio, pytest.mark.redis]
NUM_TRIES = 20


async def refusals(url: str, make_job: MakeJob) -> set[str]:
    """Hand in job after job; return what each call said."""
    config = RedisConfig(store=url, redis_timeout_s=5.0)
    store = RedisStore(RedisConnection(config), QueueConfig())
    said = set()
    for number in range(NUM_TRIES):
        with pytest.raises(StoreUnavailable) as refused:
            await store.submit(make_job(f"j{number}", width=1))
        said.add(str(refused.value))
    await store.close()
    return said


def lines(caplog: pytest.LogCaptureFixture) -> list[str]:
    records = (record for record in caplog.records if record.levelno >= logging.WARNING)
    return [record.getMessage() for record in records if record.name.startswith("gram_server")]


@pytest.fixture
async def admin(start_redis: StartRedis) -> Any:
    """A Redis of the test's own, and a client that may do everything."""
    server = start_redis()
    async with Redis.from_url(server.url) as client:
        yield server, client


async def check(
    *causes: str, url: str, make_job: MakeJob, caplog: pytest.LogCaptureFixture
) -> None:
    """Each call says one of these causes, and each cause is one line of the log."""
    assert await refusals(url, make_job) <= set(causes)
    assert set(lines(caplog)) <= set(causes)
    assert len(lines(caplog)) == len(set(lines(caplog))) > 0


@pytest.mark.parametrize(
    ("command", "account", "cause"),
    [
        (
            "CONFIG SET requirepass secret",
            "",
            "Redis wants a password, and none was given (NOAUTH)",
        ),
        (
            "CONFIG SET requirepass new",
            ":hunter@",
            "Redis does not accept the password (WRONGPASS)",
        ),
        (
            "ACL SETUSER gram on >pw ~* +@all -xadd",
            "gram:pw@",
            "Redis does not let this user do that (NOPERM)",
        ),
        (
            "ACL SETUSER gram on >pw ~* -@all +ping",
            "gram:pw@",
            "Redis does not let this user do that (NOPERM)",
        ),
        ("CONFIG SET maxmemory 1", "", "the memory of Redis is full (OOM)"),
    ],
)
async def test_what_redis_refuses_with(
    admin: Any,
    make_job: MakeJob,
    caplog: pytest.LogCaptureFixture,
    command: str,
    account: str,
    cause: str,
) -> None:
    server, client = admin
    await client.execute_command(*command.split())
    url = server.url.replace("//", f"//{account}")
    await check(cause, url=url, make_job=make_job, caplog=caplog)
    assert "hunter" not in caplog.text


async def test_what_redis_repeats_of_a_command_that_it_lacks_is_not_told(
    start_redis: StartRedis, make_job: MakeJob, caplog: pytest.LogCaptureFixture
) -> None:
    url = start_redis("--rename-command", "AUTH", "").url.replace("//", "//:hunter22@")
    assert await refusals(url, make_job) == {"Redis refuses this: ResponseError"}
    assert lines(caplog) == ["Redis refuses this: ResponseError: unknown command 'AUTH'"]


async def test_a_replica(
    admin: Any, make_job: MakeJob, caplog: pytest.LogCaptureFixture, start_redis: StartRedis
) -> None:
    server, _ = admin
    replica = start_redis("--replicaof", "127.0.0.1", str(server.port))
    async with Redis.from_url(replica.url) as other, asyncio.timeout(20.0):
        # What is waited for happens in other processes, here and below.
        while (await other.info("replication"))["master_link_status"] != "up":  # noqa: ASYNC110
            await asyncio.sleep(0.05)
    cause = "this Redis is a replica, which takes no writes (READONLY)"
    await check(cause, url=replica.url, make_job=make_job, caplog=caplog)


async def test_a_replica_without_its_master(
    admin: Any, make_job: MakeJob, caplog: pytest.LogCaptureFixture
) -> None:
    server, client = admin
    await client.config_set("replica-serve-stale-data", "no")
    await client.replicaof("127.0.0.1", 1)
    causes = (
        "this Redis is a replica without its master (MASTERDOWN)",
        # What the library is not loaded for.
        "this Redis is a replica, which takes no writes (READONLY)",
    )
    await check(*causes, url=server.url, make_job=make_job, caplog=caplog)


async def test_a_redis_that_is_loading(
    admin: Any, make_job: MakeJob, caplog: pytest.LogCaptureFixture
) -> None:
    server, client = admin
    await client.execute_command("DEBUG", "POPULATE", 200_000)
    await client.config_set("key-load-delay", 100)
    await client.config_set("loading-process-events-interval-bytes", 1024)
    loading = asyncio.create_task(client.execute_command("DEBUG", "RELOAD"))
    await asyncio.sleep(0.5)
    async with asyncio.timeout(20.0):
        said: set[str] = set()
        while "Redis is loading its data (LOADING)" not in said:
            said = await refusals(server.url, make_job)
    server.kill()
    await asyncio.gather(loading, return_exceptions=True)
    assert 1 <= len(lines(caplog)) <= 3


async def test_nobody_there_is_said_once_and_that_somebody_is_again(
    make_job: MakeJob, caplog: pytest.LogCaptureFixture, start_redis: StartRedis
) -> None:
    caplog.set_level(logging.INFO, "gram_server")
    server = start_redis()
    connection = RedisConnection(RedisConfig(store=server.url, redis_timeout_s=5.0))
    await connection.execute("PING")
    for _ in range(2):
        server.stop()
        for _ in range(10):
            with pytest.raises(StoreUnavailable, match="cannot be reached"):
                await connection.execute("PING")
            await asyncio.sleep(DOWN_S / 4)
        server.start()
        await asyncio.sleep(1.1 * DOWN_S)
        await connection.execute("PING")
    await connection.close()
    assert "Connect call failed" in caplog.messages[0]
    said = [message.partition(":")[0] for message in caplog.messages]
    # Within a minute once more at most, however often it comes and goes.
    assert len(said) <= 8, said
    assert said.count("Redis can be reached again") == 1


async def test_jobs_given_up_while_redis_is_gone_do_not_fill_the_memory(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(redis_store, "MAX_REMEMBERED", 20)
    store = RedisStore(RedisConnection(RedisConfig(store="redis://127.0.0.1:1/0")), QueueConfig())
    for number in range(100):
        await store.withdraw(f"j{number}")
    assert list(store._withdrawn) == [f"j{number}" for number in range(80, 100)]
    assert len(lines(caplog)) == 2
    await store.close()
