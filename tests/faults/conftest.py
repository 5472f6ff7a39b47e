"""Real processes to be hurt: Redis, API processes, and workers that sleep instead of thinking."""

import asyncio
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest
from redis.asyncio import Redis
from redis.exceptions import ConnectionError as RedisConnectionError

from gram_server.errors import StoreUnavailable
from gram_server.job import Job
from gram_server.jobs.redis_connection import RedisConnection
from gram_server.jobs.redis_store import RedisStore
from gram_server.settings import QueueConfig, RedisConfig
from tests.jobs import new_job

HERE = Path(__file__).parent
EASY = ".234341221434321"
START_S = 60.0
LASTING = re.compile(
    r"^\{[^}]+\}:1:((queue|back):\d|last(:.+)?|asides?(:.+)?|totals|counts|backlog)$"
)
"""Keys that stay for ever: the streams and the counters of the queue."""


@dataclass(slots=True)
class Process:
    """A process of ours, with what it logged."""

    handle: "subprocess.Popen[str]"
    lines: list[str] = field(default_factory=list)
    url: str = ""

    @property
    def pid(self) -> int:
        return self.handle.pid

    def read(self) -> None:
        assert self.handle.stdout is not None
        for line in self.handle.stdout:
            self.lines.append(line)
            if "listening on " in line:
                self.url = json.loads(line)["message"].removeprefix("listening on ")

    def kill(self) -> None:
        self.handle.kill()
        self.handle.wait(20.0)

    def pause(self) -> None:
        os.kill(self.pid, signal.SIGSTOP)

    def resume(self) -> None:
        os.kill(self.pid, signal.SIGCONT)

    def terminate(self) -> None:
        self.handle.terminate()

    def wait_for(self, text: str) -> None:
        end_s = time.monotonic() + START_S
        while not any(text in line for line in self.lines):
            assert self.handle.poll() is None, self.lines[-5:]
            assert time.monotonic() < end_s, self.lines[-5:]
            time.sleep(0.02)

    def end(self) -> None:
        if self.handle.poll() is None:
            self.resume()
            self.handle.kill()
            self.handle.wait(20.0)
        if self.handle.stdout is not None:
            self.handle.stdout.close()


@dataclass(slots=True)
class Park:
    """Starts processes, and ends all that are left."""

    processes: list[Process] = field(default_factory=list)

    def start(self, *command: str) -> Process:
        handle = subprocess.Popen(
            [sys.executable, *command],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        process = Process(handle)
        self.processes.append(process)
        threading.Thread(target=process.read, daemon=True).start()
        return process

    def start_worker(self, url: str, *flags: str) -> Process:
        return self.start(str(HERE / "sleeping_worker.py"), "--store", url, *flags)

    def worker(self, url: str, *flags: str) -> Process:
        process = self.start_worker(url, *flags)
        process.wait_for("started")
        return process

    def start_api(self, url: str, *flags: str) -> Process:
        command = ("-m", "gram_server.cli", "serve", "--port", "0", "--store", url)
        return self.start(*command, *flags)

    def api(self, url: str, *flags: str, needs_worker: bool = True) -> Process:
        process = self.start_api(url, *flags)
        self.wait_api(process, needs_worker=needs_worker)
        return process

    def wait_api(self, process: Process, *, needs_worker: bool = True) -> None:
        process.wait_for("listening on ")
        path = "/readyz" if needs_worker else "/livez"
        end_s = time.monotonic() + START_S
        while httpx.get(process.url + path).status_code != 200:
            assert time.monotonic() < end_s, process.lines[-5:]
            time.sleep(0.05)


@pytest.fixture
def park() -> Iterator[Park]:
    park = Park()
    yield park
    for process in park.processes:
        process.end()


@pytest.fixture
def make_ports() -> Callable[[int], list[int]]:
    """Return free ports."""

    def make(count: int) -> list[int]:
        listeners = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
        ports = [listener.getsockname()[1] for listener in listeners]
        for listener in listeners:
            listener.close()
        return ports

    return make


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
        return new_job(
            uuid.uuid4().hex,
            grid=EASY,
            width=width,
            seed=seed,
            deadline_ms=deadline_ms,
            submitted_s=now_s,
            deadline_s=deadline_s,
            owner="me",
        )

    async def submit(self, **options: Any) -> str:
        return await self.store.submit(self.job(**options))

    async def submit_many(self, count: int, **options: Any) -> list[str]:
        return list(await asyncio.gather(*(self.submit(**options) for _ in range(count))))

    async def ends(self, job_ids: list[str], *, timeout_s: float = 60.0) -> list[Any]:
        waits = (self.store.wait(job_id, timeout_s=timeout_s) for job_id in job_ids)
        return list(await asyncio.gather(*waits))

    async def until(self, condition: Callable[[], Awaitable[bool]], timeout_s: float = 60) -> None:
        async with asyncio.timeout(timeout_s):
            # What is waited for happens in another process.
            while not await condition():  # noqa: ASYNC110
                await asyncio.sleep(0.02)

    async def running(self) -> int:
        return (await self.store.stats()).num_running

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


OpenQueue = Callable[..., Awaitable[Queue]]


@pytest.fixture
async def open_queue() -> AsyncIterator[OpenQueue]:
    """Look at the queue in a Redis as an API process does."""
    queues: list[Queue] = []

    async def open_(url: str, *, max_trajectories: int = 4096, look_at: str | None = None) -> Queue:
        config = QueueConfig(max_trajectories=max_trajectories)
        store = RedisStore(RedisConnection(RedisConfig(store=url, redis_timeout_s=5.0)), config)
        queues.append(Queue(url, store, Redis.from_url(look_at or url)))
        return queues[-1]

    yield open_
    for queue in queues:
        await queue.store.close()
        await queue.redis.aclose()


@pytest.fixture
async def queue(redis_url: str, open_queue: OpenQueue) -> Queue:
    """The queue in the Redis that the tests share, empty."""
    opened = await open_queue(redis_url)
    await opened.redis.flushall()
    return opened
