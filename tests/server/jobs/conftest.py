"""Every store the suite runs on: add one here and all its tests run on it too."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from redis.asyncio import Redis

from gram_server.job import Event, EventKind, Job
from gram_server.jobs import redis_worker
from gram_server.jobs.dead_letters import DeadLetters
from gram_server.jobs.memory_store import MemoryStore
from gram_server.jobs.redis_connection import RedisConnection
from gram_server.jobs.redis_store import RedisStore
from gram_server.jobs.redis_worker import RedisWorker
from gram_server.jobs.store import JobStore, WorkerStore
from gram_server.jobs.worker_rpc import MemoryWorker, WorkerRpcClient, WorkerRpcServer
from gram_server.settings import HttpConfig, QueueConfig, RedisConfig, Settings
from tests.jobs import new_job

NOW_S = 1_000.0
MakeJob = Callable[..., Job]
RESULT: dict[str, object] = {"status": "solved"}
Eventually = Callable[[Callable[[], Awaitable[bool]]], Awaitable[None]]
Open = Callable[
    [str, QueueConfig, Path, pytest.FixtureRequest], AbstractAsyncContextManager["Harness"]
]


def solution(answer: str) -> Event:
    return Event(kind=EventKind.SOLUTION, data={"answer": answer})


class Clock:
    """Runs like any other, from a start of its own, can be put forward, and be stopped."""

    def __init__(self) -> None:
        self._skew_s = NOW_S - time.monotonic()
        self._stopped_s: float | None = None

    def __call__(self) -> float:
        running_s = time.monotonic() if self._stopped_s is None else self._stopped_s
        return running_s + self._skew_s

    def stop(self) -> None:
        """From now on time is what the test makes it."""
        self._stopped_s = time.monotonic()

    def put_forward(self, duration_s: float) -> None:
        self._skew_s += duration_s


async def _nothing(duration_s: float) -> None:
    pass


@dataclass(slots=True, kw_only=True)
class Harness:
    """A store with its clock, and a way to open a worker's side."""

    store: JobStore
    clock: Clock
    connect: Callable[[str], Awaitable[WorkerStore]]
    age: Callable[[float], Awaitable[None]] = _nothing
    """Makes what the store keeps for a while older."""
    dead_letters: DeadLetters | None = None
    """Where the store has any."""
    redis: "Redis | None" = None
    """A client of the test's own."""
    workers: list[WorkerStore] = field(default_factory=list)
    job: MakeJob = field(default=partial(new_job, width=16, submitted_s=NOW_S))
    """Makes a job, of 16 trajectories if not said otherwise."""

    @property
    def letters(self) -> DeadLetters:
        """What only Redis has."""
        assert self.dead_letters is not None
        return self.dead_letters

    async def worker(self, name: str = "w1") -> WorkerStore:
        worker = await self.connect(name)
        self.workers.append(worker)
        return worker

    async def submit(self, *job_ids: str, **values: Any) -> None:
        """Hand in jobs, of one trajectory if not said otherwise."""
        for job_id in job_ids:
            await self.store.submit(self.job(job_id, **{"width": 1, **values}))

    async def submit_owned(self, job_id: str, owner: str = "me", **values: Any) -> None:
        """Hand in a job that its owner may read later."""
        await self.submit(job_id, owner=owner, **values)

    async def held(self, *job_ids: str, **values: Any) -> WorkerStore:
        """Hand in jobs; return a worker that has claimed them all."""
        await self.submit(*job_ids, **values)
        worker = await self.worker()
        assert len(await worker.claim(max_jobs=len(job_ids))) == len(job_ids)
        return worker

    async def complete(self, worker: WorkerStore, *job_ids: str) -> None:
        """Let a worker end jobs, and wait until the store knows."""
        for job_id in job_ids:
            await worker.complete(job_id, RESULT)
        for job_id in job_ids:
            await self.store.wait(job_id, timeout_s=10.0)

    def batch(self, size: int, *, name: str = "batch", width: int = 1) -> tuple[Job, list[Job]]:
        """Return a batch and its parts, whose names begin with that of the batch."""
        parts = [
            self.job(f"{name}-{number}", width=width, batch=name, owner="me")
            for number in range(size)
        ]
        return self.job(name, width=width, num_parts=size, owner="me"), parts

    async def submit_batch(self, size: int, *, name: str = "batch") -> None:
        batch, parts = self.batch(size, name=name)
        assert await self.store.submit(batch, parts=parts) == name

    async def kinds_and_ids(self, job_id: str, *, after: int = 0) -> list[tuple[str, int]]:
        """Follow a job to its end; return what its events were."""
        return [(event.kind, event.id) async for event in self.store.events(job_id, after=after)]

    async def advance(self, duration_s: float) -> None:
        self.clock.put_forward(duration_s)
        await self.age(duration_s)


@asynccontextmanager
async def _memory(config: QueueConfig, path: Path, _: Any) -> AsyncIterator[Harness]:
    clock = Clock()
    store = MemoryStore(config, clock=clock)

    async def connect(name: str) -> WorkerStore:
        return MemoryWorker(store, name)

    yield Harness(store=store, clock=clock, connect=connect)
    await store.close()


@asynccontextmanager
async def _link(config: QueueConfig, path: Path, _: Any) -> AsyncIterator[Harness]:
    clock = Clock()
    store = MemoryStore(config, clock=clock)
    server = WorkerRpcServer(store, path / "link.sock")
    await server.start()

    async def connect(name: str) -> WorkerStore:
        return await WorkerRpcClient.connect(path / "link.sock", worker=name)

    harness = Harness(store=store, clock=clock, connect=connect)
    yield harness
    for worker in harness.workers:
        await worker.close()
    await server.close()
    await store.close()


@asynccontextmanager
async def _redis(config: QueueConfig, path: Path, request: Any) -> AsyncIterator[Harness]:
    url = request.getfixturevalue("redis_url")
    clock = Clock()
    settings = RedisConfig(store=url, lease_s=LEASE_S, redis_timeout_s=10.0)
    # The link of a test's own: Redis has but one set of keys.
    own = Redis.from_url(url)
    await own.flushall()

    def connection() -> RedisConnection:
        return RedisConnection(settings, clock=clock)

    async def connect(name: str) -> WorkerStore:
        return RedisWorker(
            connection(), name=name, lease_s=LEASE_S, max_attempts=config.max_attempts
        )

    async def age(duration_s: float) -> None:
        names = [name async for name in own.scan_iter(count=1000)]
        async with own.pipeline(transaction=False) as pipeline:
            for name in names:
                pipeline.pttl(name)
            for name, left_ms in zip(names, await pipeline.execute(), strict=True):
                if left_ms >= 0:
                    pipeline.pexpire(name, max(1, int(left_ms - duration_s * 1e3)))
            await pipeline.execute()
        # What has a millisecond left is gone then.
        await asyncio.sleep(0.002)

    store = RedisStore(connection(), config)
    http = HttpConfig(max_width=config.max_trajectories)
    everything = Settings(http=http, redis=settings, queue=config)
    letters = DeadLetters(everything, clock=clock)
    harness = Harness(
        store=store, clock=clock, connect=connect, age=age, dead_letters=letters, redis=own
    )
    yield harness
    for worker in harness.workers:
        await worker.close()
    await letters.close()
    await store.close()
    await own.aclose()


STORES = {"memory": _memory, "link": _link, "redis": _redis}
LEASE_S = 5.0


@pytest.fixture(
    params=[
        "memory",
        "link",
        pytest.param("redis", marks=pytest.mark.redis),
    ]
)
async def harness(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Harness]:
    """A store that holds 64 trajectories, allows two lost workers and forgets after a minute."""
    config = QueueConfig(max_trajectories=64, max_attempts=2, keep_finished_s=60.0)
    async with STORES[request.param](config, tmp_path, request) as opened:
        yield opened


@pytest.fixture
def open_harness() -> Open:
    """Open a store by name with a configuration of the test's own."""

    def open_(name: str, config: QueueConfig, path: Path, request: pytest.FixtureRequest) -> Any:
        return STORES[name](config, path, request)

    return open_


@pytest.fixture
def make_job() -> MakeJob:
    """Make a job, of 16 trajectories if not said otherwise."""
    return partial(new_job, width=16, submitted_s=NOW_S)


@pytest.fixture
def eventually() -> Eventually:
    """Wait until something is so; words over a socket take a moment to arrive."""

    async def wait(condition: Callable[[], Awaitable[bool]]) -> None:
        async with asyncio.timeout(20.0):
            # What is waited for may happen in another process.
            while not await condition():  # noqa: ASYNC110
                await asyncio.sleep(0.001)

    return wait


@dataclass(slots=True)
class Queue:
    """A store on Redis, a worker's side, and a connection to spoil things with."""

    store: RedisStore
    worker: RedisWorker
    redis: "Redis"


@pytest.fixture
async def queue(redis_url: str, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Queue]:
    monkeypatch.setattr(redis_worker, "RETRY_S", 0.01)
    config = RedisConfig(store=redis_url, redis_timeout_s=10.0)
    async with Redis.from_url(redis_url) as redis:
        await redis.flushall()
        store = RedisStore(RedisConnection(config), QueueConfig())
        worker = RedisWorker(RedisConnection(config), name="w", lease_s=60.0, max_attempts=2)
        yield Queue(store, worker, redis)
        await worker.close()
        await store.close()
