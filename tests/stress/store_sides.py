"""The two stores in a time that moves only when told, each on an event loop of its own."""

import asyncio
import shutil
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from types import SimpleNamespace
from typing import Any, NamedTuple, TypeVar
from unittest.mock import patch

from redis.asyncio import Redis

from gram_server.jobs import dead_letters
from gram_server.jobs.dead_letters import DeadLetters
from gram_server.jobs.memory_store import MemoryStore
from gram_server.jobs.redis_connection import PeriodicTask, RedisConnection
from gram_server.jobs.redis_library import Keys
from gram_server.jobs.redis_store import RedisStore
from gram_server.jobs.redis_worker import RedisWorker
from gram_server.jobs.store import JobStore, WorkerStore
from gram_server.jobs.worker_rpc import MemoryWorker
from gram_server.settings import QueueConfig, RedisConfig
from tests.conftest import RedisServer

LEASE_S = 30.0
T = TypeVar("T")


class Moment:
    """The time of day, which nobody but the test moves."""

    def __init__(self, now_s: float) -> None:
        self.now_s = now_s

    def __call__(self) -> float:
        return self.now_s


@dataclass(slots=True, eq=False)
class Hand:
    """A worker's side, with what it was told is no longer wanted."""

    name: str
    store: WorkerStore
    told: set[str] = field(default_factory=set)
    listening: "asyncio.Task[None] | None" = None

    async def listen(self) -> None:
        async for job_id in self.store.cancellations():
            self.told.add(job_id)


class Key(NamedTuple):
    """A key in Redis, and for how long it stays: -1 for ever."""

    name: str
    left_ms: int


class Side:
    """One store, its clock and its workers."""

    name: str
    has_leases: bool
    store: JobStore

    def __init__(self, loop: asyncio.AbstractEventLoop, moment: Moment) -> None:
        self._loop = loop
        self.moment = moment

    def do(self, work: Coroutine[Any, Any, T]) -> T:
        return self._loop.run_until_complete(work)

    def connect(self, name: str) -> Hand:
        async def open_side() -> Hand:
            hand = Hand(name, self._worker(name))
            hand.listening = asyncio.create_task(hand.listen())
            return hand

        return self.do(open_side())

    def move_to(self, now_s: float) -> None:
        raise NotImplementedError

    async def patience(self) -> None:
        raise NotImplementedError

    def close(self, hands: list[Hand]) -> None:
        async def leave() -> None:
            for hand in hands:
                await hand.store.close()
                if hand.listening is not None:
                    await hand.listening
            await self.store.close()

        self.do(leave())

    def _worker(self, name: str) -> WorkerStore:
        raise NotImplementedError


class _ToldLoop(asyncio.SelectorEventLoop):
    """A loop whose time is a moment."""

    def __init__(self, moment: Moment) -> None:
        super().__init__()
        self._moment = moment

    def time(self) -> float:
        return self._moment()


class MemorySide(Side):
    """The store in memory: its timers go by the loop's time, so that is told too."""

    name = "memory"
    has_leases = False

    def __init__(self, config: QueueConfig, now_s: float) -> None:
        moment = Moment(now_s)
        super().__init__(_ToldLoop(moment), moment)
        self.store = self._memory = MemoryStore(config, clock=moment)

    def move_to(self, now_s: float) -> None:
        self.moment.now_s = now_s
        self.do(self.patience())

    async def patience(self) -> None:
        for _ in range(5):
            await asyncio.sleep(0)

    def close(self, hands: list[Hand]) -> None:
        super().close(hands)
        self._loop.close()

    def _worker(self, name: str) -> WorkerStore:
        return MemoryWorker(self._memory, name)


class RedisSide(Side):
    """The store in Redis: what Redis would do as time goes by is done to its keys."""

    name = "redis"
    has_leases = True

    def __init__(self, config: QueueConfig, now_s: float, url: str) -> None:
        super().__init__(asyncio.new_event_loop(), Moment(now_s))
        self.keys = Keys("gram")
        self._settings = RedisConfig(store=url, redis_timeout_s=30.0)
        self._config = config
        self._own = Redis.from_url(url)
        self.do(self._empty())
        self.store = RedisStore(self._connection(), config)

    def move_to(self, now_s: float) -> None:
        past_ms = (now_s - self.moment.now_s) * 1e3
        self.moment.now_s = now_s
        self.do(self._age(past_ms))

    async def patience(self) -> None:
        await asyncio.sleep(0.005)

    async def _empty(self) -> None:
        await self._own.flushall()

    async def keys_left(self) -> list[Key]:
        """Return every key there is."""
        names = [name async for name in self._own.scan_iter(count=1000)]
        async with self._own.pipeline(transaction=False) as pipeline:
            for name in names:
                pipeline.pttl(name)
            left = await pipeline.execute()
        return [Key(name.decode(), ms) for name, ms in zip(names, left, strict=True) if ms != -2]

    async def entries_left(self) -> int:
        """Return how many entries the job streams have."""
        return sum([int(await self._own.xlen(name)) for name in self.keys.streams])

    async def expire(self) -> None:
        """End what is past its deadline, as every process does now and then."""
        await self.store.expire()  # type: ignore[attr-defined]

    async def replay(self, job_id: str) -> str:
        """Hand a dead letter in again, as ``gram-server dlq replay`` does."""
        settings: Any = SimpleNamespace(redis=self._settings, queue=self._config)
        letters = DeadLetters(settings, clock=self.moment)
        with patch.object(dead_letters, "time", _TimeOf(self.moment)):
            try:
                return await letters.replay(job_id)
            finally:
                await letters.close()

    def close(self, hands: list[Hand]) -> None:
        super().close(hands)
        self.do(self._own.aclose())
        self._loop.close()

    def _worker(self, name: str) -> WorkerStore:
        attempts = self._config.max_attempts
        return _QuietWorker(self._connection(), name=name, lease_s=LEASE_S, max_attempts=attempts)

    async def _age(self, past_ms: float) -> None:
        await self.expire()
        async with self._own.pipeline(transaction=False) as pipeline:
            for name, left_ms in await self.keys_left():
                # What is told to a worker is read at once.
                if left_ms >= 0 and ":cancelled:" not in name:
                    pipeline.pexpire(name, max(1, int(left_ms - past_ms)))
            await pipeline.execute()
        await asyncio.sleep(0.002)

    def _connection(self) -> RedisConnection:
        return RedisConnection(self._settings, clock=self.moment)


class _QuietWorker(RedisWorker):
    """A worker whose periodic tasks are done by hand."""

    def periodic_tasks(self) -> list[PeriodicTask]:
        return []


class _TimeOf:
    """Stands in for the module ``time``."""

    def __init__(self, moment: Moment) -> None:
        self.time: Callable[[], float] = moment


@contextmanager
def redis_of_our_own() -> Iterator[str | None]:
    """Start a Redis and return its address; None where there is none to start."""
    if shutil.which("redis-server") is None:
        yield None
        return
    with TemporaryDirectory(prefix="gram-stress-") as folder:
        server = RedisServer(Path(folder)).start()
        try:
            yield server.url
        finally:
            server.stop()
