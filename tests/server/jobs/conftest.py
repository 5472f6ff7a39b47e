"""Every store the suite runs on: add one here and all its tests run on it too."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from gram_server.job import Job, SolveOptions
from gram_server.jobs.link import LinkServer, LinkStore
from gram_server.jobs.memory_store import MemoryStore
from gram_server.jobs.store import JobStore, WorkerStore
from gram_server.settings import QueueConfig

NOW_S = 1_000.0


@dataclass(slots=True)
class Clock:
    now_s: float = NOW_S

    def __call__(self) -> float:
        return self.now_s


@dataclass(slots=True, kw_only=True)
class Bench:
    """A store with its clock, and a way to open a worker's side."""

    store: JobStore
    clock: Clock
    connect: Callable[[str], Awaitable[WorkerStore]]
    workers: list[WorkerStore] = field(default_factory=list)

    async def worker(self, name: str = "w1") -> WorkerStore:
        worker = await self.connect(name)
        self.workers.append(worker)
        return worker


@asynccontextmanager
async def _memory(config: QueueConfig, path: Path) -> AsyncIterator[Bench]:
    clock = Clock()
    store = MemoryStore(config, clock=clock)

    async def connect(name: str) -> WorkerStore:
        return store.connect(name)

    yield Bench(store=store, clock=clock, connect=connect)
    await store.close()


@asynccontextmanager
async def _link(config: QueueConfig, path: Path) -> AsyncIterator[Bench]:
    clock = Clock()
    store = MemoryStore(config, clock=clock)
    server = LinkServer(store, path / "link.sock")
    await server.start()

    async def connect(name: str) -> WorkerStore:
        return await LinkStore.connect(path / "link.sock", worker=name)

    bench = Bench(store=store, clock=clock, connect=connect)
    yield bench
    for worker in bench.workers:
        await worker.close()
    await server.close()
    await store.close()


STORES = {"memory": _memory, "link": _link}


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(params=sorted(STORES))
async def bench(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Bench]:
    """A store that holds 64 trajectories, allows two lost workers and forgets after a minute."""
    config = QueueConfig(max_trajectories=64, max_attempts=2, keep_finished_s=60.0)
    async with STORES[request.param](config, tmp_path) as opened:
        yield opened


@pytest.fixture
def make_job() -> Callable[..., Job]:
    def make(
        job_id: str = "a",
        *,
        width: int = 16,
        priority: int = 1,
        submitted_s: float = NOW_S,
        deadline_s: float | None = None,
    ) -> Job:
        return Job(
            id=job_id,
            puzzle="sudoku",
            task="sudoku-4x4",
            model="sudoku-4x4",
            body={"puzzle": "sudoku", "grid": "1..............."},
            options=SolveOptions(model="sudoku-4x4", seed=1, width=width),
            submitted_s=submitted_s,
            deadline_s=deadline_s,
            priority=priority,
        )

    return make


@pytest.fixture
def eventually() -> Callable[[Callable[[], Awaitable[bool]]], Awaitable[None]]:
    """Wait until something is so; words over a socket take a moment to arrive."""

    async def wait(condition: Callable[[], Awaitable[bool]]) -> None:
        async with asyncio.timeout(5.0):
            # What is waited for may happen in another process.
            while not await condition():  # noqa: ASYNC110
                await asyncio.sleep(0.001)

    return wait
