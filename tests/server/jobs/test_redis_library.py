"""The functions of the queue in Redis: loaded where they are missing, side by side with others'."""

from dataclasses import replace

import pytest
from redis.asyncio import Redis

from gram_server.errors import StoreUnavailable
from gram_server.job import JobState
from gram_server.jobs import redis_connection, redis_library
from gram_server.jobs.redis_connection import RedisConnection
from gram_server.jobs.redis_library import Library, library
from gram_server.jobs.redis_store import RedisStore
from gram_server.jobs.redis_worker import RedisWorker
from gram_server.settings import QueueConfig, RedisConfig
from tests.server.jobs.conftest import MakeJob

pytestmark = [pytest.mark.anyio, pytest.mark.redis]
OTHER = "0123456789ab"


def other_version() -> Library:
    """Return the library as another version of the server might have it."""
    ours = library()
    text = ours.text.replace(ours.version, OTHER)
    return replace(ours, text=text, version=OTHER)


async def libraries(redis: Redis) -> int:
    return len(await redis.function_list("gram_queue_*"))


async def test_functions_that_are_lost_are_loaded_again(redis_url: str, make_job: MakeJob) -> None:
    settings = RedisConfig(store=redis_url)
    store = RedisStore(RedisConnection(settings), QueueConfig())
    worker = RedisWorker(RedisConnection(settings), name="w", lease_s=60.0, max_attempts=2)
    async with Redis.from_url(redis_url) as redis:
        await redis.flushall()
        await store.submit(make_job())
        await redis.function_flush()
        (job,) = await worker.claim(max_jobs=1)
        await redis.function_flush()
        await worker.complete(job.id, {"status": "solved"})
        assert (await store.wait(job.id, timeout_s=20.0)).state is JobState.DONE
        assert await libraries(redis) == 1
    await worker.close()
    await store.close()


async def test_servers_of_two_versions_share_a_queue(
    redis_url: str, make_job: MakeJob, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = RedisConfig(store=redis_url)
    store = RedisStore(RedisConnection(settings), QueueConfig())
    async with Redis.from_url(redis_url) as redis:
        await redis.flushall()
        await redis.function_flush()
        await store.submit(make_job("a"))
        other = other_version()
        monkeypatch.setattr(redis_connection, "library", lambda: other)
        worker = RedisWorker(RedisConnection(settings), name="w", lease_s=60.0, max_attempts=2)
        (job,) = await worker.claim(max_jobs=1)
        monkeypatch.setattr(redis_connection, "library", redis_library.library)
        assert (await store.get(job.id)).state is JobState.RUNNING
        monkeypatch.setattr(redis_connection, "library", lambda: other)
        await worker.complete(job.id, {"status": "solved"})
        monkeypatch.setattr(redis_connection, "library", redis_library.library)
        assert (await store.wait(job.id, timeout_s=20.0)).state is JobState.DONE
        assert await libraries(redis) == 2
        await redis.function_flush()
    await worker.close()
    await store.close()


async def test_a_full_redis_without_the_functions_finishes_what_it_has(
    redis_url: str, make_job: MakeJob
) -> None:
    settings = RedisConfig(store=redis_url)
    store = RedisStore(RedisConnection(settings), QueueConfig())
    worker = RedisWorker(RedisConnection(settings), name="w", lease_s=60.0, max_attempts=2)
    async with Redis.from_url(redis_url) as redis:
        await redis.flushall()
        await store.submit(make_job())
        await redis.config_set("maxmemory", 1)
        try:
            await redis.function_flush()
            with pytest.raises(StoreUnavailable, match="OOM"):
                await store.submit(make_job("b"))
            (job,) = await worker.claim(max_jobs=1)
            await worker.complete(job.id, {"status": "solved"})
            assert (await store.wait(job.id, timeout_s=20.0)).state is JobState.DONE
            assert await libraries(redis) == 0
        finally:
            await redis.config_set("maxmemory", 0)
        await store.submit(make_job("b"))
    await worker.close()
    await store.close()
