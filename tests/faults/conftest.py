"""Real processes to be hurt: Redis, API processes, and workers that sleep instead of thinking."""

import asyncio
import re
import subprocess
import sys
import time
import uuid
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import pytest
from redis.asyncio import Redis
from redis.exceptions import ConnectionError as RedisConnectionError

from gram_server.errors import StoreUnavailable
from gram_server.job import Job, JobState
from gram_server.jobs.redis_connection import RedisConnection
from gram_server.jobs.redis_store import RedisStore
from gram_server.settings import QueueConfig, RedisConfig
from tests.conftest import StartRedis
from tests.jobs import new_job
from tests.processes import Running, until

EASY = ".234341221434321"
DURABLE = ("--appendonly", "yes", "--appendfsync", "always")
LASTING = re.compile(
    r"^\{[^}]+\}:1:((queue|back):\d|last(:.+)?|asides?(:.+)?|totals|counts|backlog)$"
)
"""Keys that stay for ever, as docs/operations.md has them."""


@dataclass(slots=True)
class Park:
    """Starts processes, and ends all that are left."""

    folder: Path
    environ: Mapping[str, str] | None = None
    processes: list[Running] = field(default_factory=list)

    def start(self, *command: str) -> Running:
        log = self.folder / f"{len(self.processes)}.log"
        with log.open("wb") as output:
            process = subprocess.Popen(
                [sys.executable, *command], stdout=output, stderr=output, env=self.environ
            )
        self.processes.append(Running(process, log))
        return self.processes[-1]

    def start_worker(self, url: str, *flags: str) -> Running:
        return self.start(
            str(Path(__file__).with_name("sleeping_worker.py")), "--store", url, *flags
        )

    def start_api(self, url: str, *flags: str) -> Running:
        command = ("-m", "gram_server.cli", "serve", "--port", "0", "--store", url)
        return self.start(*command, *flags)

    async def worker(self, url: str, *flags: str) -> Running:
        return await until_said(self.start_worker(url, *flags), "started")

    def close(self) -> None:
        for running in self.processes:
            # A process that stands still is killed all the same.
            running.kill()


async def until_said(running: Running, words: str) -> Running:
    await until(lambda: words in running.text or running.process.poll() is not None, every_s=0.02)
    assert words in running.text, running.text
    return running


async def end_of(running: Running) -> int:
    """Return the status with which a process ends, while others are served here."""
    return await asyncio.to_thread(running.process.wait, 60.0)


class Api(NamedTuple):
    """An API process, and a client that asks it."""

    running: Running
    client: httpx.AsyncClient


async def answers(
    client: httpx.AsyncClient, path: str, status: int, *, post: str | None = None
) -> bool:
    """Whether a GET, or a POST of some text, has the status."""
    method = "GET" if post is None else "POST"
    return (await client.request(method, path, content=post)).status_code == status


@dataclass(slots=True)
class Queue:
    """A queue in a Redis, as an API process of the test's own sees it."""

    url: str
    store: RedisStore
    redis: Any
    """A client of the test's own; redis-py says of no answer whether it is bytes or text."""

    def job(self, *, width: int = 1, seed: int = 1, deadline_ms: int | None = None) -> Job:
        now_s = time.time()
        deadline_s = None if deadline_ms is None else now_s + deadline_ms / 1e3
        times = {"deadline_ms": deadline_ms, "submitted_s": now_s, "deadline_s": deadline_s}
        job_id = uuid.uuid4().hex
        return new_job(job_id, grid=EASY, width=width, seed=seed, owner="me", **times)

    async def submit(self, **options: Any) -> str:
        return await self.store.submit(self.job(**options))

    async def submit_many(self, count: int, **options: Any) -> list[str]:
        return list(await asyncio.gather(*(self.submit(**options) for _ in range(count))))

    async def ends(self, job_ids: Sequence[str]) -> list[Any]:
        waits = (self.store.wait(job_id, timeout_s=60.0) for job_id in job_ids)
        return list(await asyncio.gather(*waits))

    async def done(self, job_ids: Sequence[str]) -> list[Any]:
        """Return the records of jobs that all come to a good end."""
        records = await self.ends(job_ids)
        assert {record.state for record in records} == {JobState.DONE}
        return records

    async def kinds(self, job_id: str) -> list[str]:
        return [event.kind async for event in self.store.events(job_id)]

    async def until_running(self, count: int) -> None:
        async def are_running() -> bool:
            return (await self.store.stats()).num_running == count

        await until(are_running, every_s=0.02)

    async def fault(self) -> str | None:
        """Say what of the queue is not as it should be once nothing is left to do."""
        stats = await self.store.stats()
        if stats.num_running or stats.reserved_trajectories:
            return f"running {stats.num_running}, reserved {stats.reserved_trajectories}"
        ended = sum(value for count, value in stats.counts.items() if count.what != "accepted")
        if sum(stats.counts.values()) != 2 * ended:
            return f"jobs that did not end, or not once: {stats.counts}"
        if any(part.num_jobs or part.num_trajectories for part in stats.classes):
            return f"waiting: {stats.classes}"
        async for raw in self.redis.scan_iter(count=1000):
            name = raw.decode()
            short = name.split(":1:")[-1]
            if short in ("open", "deadlines", "leases") or short.startswith("waiting:"):
                return f"{name} is not empty"
            if short.split(":")[0] in ("queue", "back", "last") or short.startswith("aside:"):
                length = await self.redis.xlen(name)
                groups = await self.redis.xinfo_groups(name) if length == 0 else []
                if length or any(group["pending"] for group in groups):
                    return f"{name} has {length} entries"
            if await self.redis.ttl(name) < 0 and not LASTING.match(name):
                return f"{name} lasts for ever"
        return None

    async def clean(self) -> None:
        """Wait until the queue is as it should be with nothing to do, and say what is not."""
        fault: str | None = "never looked"
        for _ in range(200):
            # A Redis that has just come back is still taken to be down for a moment.
            with suppress(RedisConnectionError, StoreUnavailable):
                fault = await self.fault()
            if fault is None:
                return
            await asyncio.sleep(0.05)
        raise AssertionError(fault)


@dataclass(slots=True)
class Site:
    """What a test has of its own, all of which ends with it."""

    park: Park
    redis: StartRedis
    stack: AsyncExitStack

    async def worker(self, url: str, *flags: str) -> Running:
        return await self.park.worker(url, *flags)

    async def api(self, url: str, *flags: str, needs_worker: bool = True) -> Api:
        """Start an API process, ready with a worker unless it needs none."""
        running = await until_said(self.park.start_api(url, *flags), "listening on ")
        client = httpx.AsyncClient(base_url=running.url(), timeout=60.0)
        await self.stack.enter_async_context(client)
        path = "/readyz" if needs_worker else "/livez"
        await until(lambda: answers(client, path, 200), every_s=0.05)
        return Api(running, client)

    async def queue(self, url: str, *, look_at: str | None = None) -> Queue:
        """Look at the queue in a Redis as an API process does."""
        connection = RedisConnection(RedisConfig(store=url, redis_timeout_s=30.0))
        store = RedisStore(connection, QueueConfig(max_trajectories=4096))
        own: Any = Redis.from_url(look_at or url)
        self.stack.push_async_callback(store.close)
        self.stack.push_async_callback(own.aclose)
        return Queue(url, store, own)


@pytest.fixture
async def site(start_redis: StartRedis, tmp_path: Path) -> AsyncIterator[Site]:
    folder = tmp_path / "logs"
    folder.mkdir()
    async with AsyncExitStack() as stack:
        park = Park(folder)
        stack.callback(park.close)
        yield Site(park, start_redis, stack)


@pytest.fixture
async def queue(redis_url: str, site: Site) -> Queue:
    """The queue in the Redis that the tests share, empty."""
    opened = await site.queue(redis_url)
    await opened.redis.flushall()
    return opened
