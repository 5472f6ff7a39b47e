"""The functions of the queue in Redis: loaded where they are missing, side by side with others'."""

from dataclasses import replace

import pytest

from gram_server.errors import StoreUnavailable
from gram_server.job import JobState
from gram_server.jobs import redis_connection, redis_library
from gram_server.jobs.redis_library import Library, library
from tests.server.jobs.conftest import MakeJob, Queue

pytestmark = [pytest.mark.anyio, pytest.mark.redis]
OTHER = "0123456789ab"


def other_version() -> Library:
    """Return the library as another version of the server might have it."""
    ours = library()
    text = ours.text.replace(ours.version, OTHER)
    return replace(ours, text=text, version=OTHER)


async def libraries(queue: Queue) -> int:
    return len(await queue.redis.function_list("gram_queue_*"))


async def test_functions_that_are_lost_are_loaded_again(queue: Queue, make_job: MakeJob) -> None:
    await queue.store.submit(make_job())
    await queue.redis.function_flush()
    (job,) = await queue.worker.claim(max_jobs=1)
    await queue.redis.function_flush()
    await queue.worker.complete(job.id, {"status": "solved"})
    assert (await queue.store.wait(job.id, timeout_s=20.0)).state is JobState.DONE
    assert await libraries(queue) == 1


async def test_servers_of_two_versions_share_a_queue(
    queue: Queue, make_job: MakeJob, monkeypatch: pytest.MonkeyPatch
) -> None:
    await queue.redis.function_flush()
    await queue.store.submit(make_job("a"))
    other = other_version()
    monkeypatch.setattr(redis_connection, "library", lambda: other)
    (job,) = await queue.worker.claim(max_jobs=1)
    monkeypatch.setattr(redis_connection, "library", redis_library.library)
    assert (await queue.store.get(job.id)).state is JobState.RUNNING
    monkeypatch.setattr(redis_connection, "library", lambda: other)
    await queue.worker.complete(job.id, {"status": "solved"})
    monkeypatch.setattr(redis_connection, "library", redis_library.library)
    assert (await queue.store.wait(job.id, timeout_s=20.0)).state is JobState.DONE
    assert await libraries(queue) == 2
    await queue.redis.function_flush()


async def test_a_full_redis_without_the_functions_finishes_what_it_has(
    queue: Queue, make_job: MakeJob
) -> None:
    await queue.store.submit(make_job())
    await queue.redis.config_set("maxmemory", 1)
    try:
        await queue.redis.function_flush()
        with pytest.raises(StoreUnavailable, match="OOM"):
            await queue.store.submit(make_job("b"))
        (job,) = await queue.worker.claim(max_jobs=1)
        await queue.worker.complete(job.id, {"status": "solved"})
        assert (await queue.store.wait(job.id, timeout_s=20.0)).state is JobState.DONE
        assert await libraries(queue) == 0
    finally:
        await queue.redis.config_set("maxmemory", 0)
    await queue.store.submit(make_job("b"))
