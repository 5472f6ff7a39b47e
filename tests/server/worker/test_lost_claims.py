"""A worker that was silent for longer than its lease, and comes back: timers are fired by hand.

Real Redis and a real runner; the test plays the engine, and decides what overtakes what.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import pytest
from redis.asyncio import Redis

from gram_server.engine import Finished
from gram_server.job import Job, JobState, WorkerReport, WorkerState
from gram_server.jobs.redis_connection import PeriodicTask, RedisConnection
from gram_server.jobs.redis_store import RedisStore
from gram_server.jobs.redis_worker import RedisWorker
from gram_server.settings import QueueConfig, RedisConfig
from gram_server.worker.engine_loop import Abort, Message, Submit
from gram_server.worker.job_runner import JobRunner
from tests.processes import until
from tests.server.worker.harness import MakeEnd, MakeJob, MakeModel

pytestmark = [pytest.mark.anyio, pytest.mark.redis]

LEASE_S = 15.0
SILENCE_S = 40.0
PATIENCE_S = 30.0
RESULT: dict[str, object] = {"status": "solved"}


class Clock:
    """The time that the functions are told, to be put forward."""

    def __init__(self) -> None:
        self.skew_s = 0.0

    def __call__(self) -> float:
        return time.time() + self.skew_s


class Line(RedisConnection):
    """A connection on which the answer to a function can be held up."""

    def __init__(self, config: RedisConfig, clock: Clock) -> None:
        super().__init__(config, clock=clock)
        self.after: dict[str, Callable[[], Awaitable[object]]] = {}
        """What happens between a function and its answer, once."""

    async def run(self, name: str, *arguments: Any, is_repeatable: bool = True) -> Any:
        reply = await super().run(name, *arguments, is_repeatable=is_repeatable)
        if meanwhile := self.after.pop(name, None):
            await meanwhile()
        return reply


class QuietWorker(RedisWorker):
    """A side whose timers the test fires."""

    def periodic_tasks(self) -> list[PeriodicTask]:
        return []


@dataclass(slots=True)
class Worker:
    side: QuietWorker
    line: Line
    runner: JobRunner | None = None
    sent: list[Message] = field(default_factory=list)
    running: "asyncio.Task[None] | None" = None

    @property
    def kinds(self) -> list[type[Message]]:
        return [type(message) for message in self.sent]

    def put(self, end: Finished) -> None:
        assert self.runner is not None
        self.runner.on_events([end])

    async def until_sent(self, *kinds: type[Message]) -> None:
        await until(lambda: self.kinds == list(kinds))

    async def close(self) -> None:
        if self.running is not None:
            self.running.cancel()
            await asyncio.gather(self.running, return_exceptions=True)
        await self.side.close()


@dataclass(slots=True)
class World:
    url: str
    clock: Clock
    store: RedisStore
    info: Any
    workers: list[Worker] = field(default_factory=list)

    def open(self, name: str, *, lease_s: float = LEASE_S, has_runner: bool = False) -> Worker:
        line = Line(RedisConfig(store=self.url, redis_timeout_s=PATIENCE_S), self.clock)
        worker = Worker(QuietWorker(line, name=name, lease_s=lease_s, max_attempts=3), line)
        self.workers.append(worker)
        if has_runner:
            worker.runner = JobRunner(
                worker.side,
                [self.info],
                send=worker.sent.append,
                report=lambda state: WorkerReport(worker=name, state=WorkerState(state)),
                drain_s=1.0,
            )
            worker.running = asyncio.create_task(worker.runner.run())
        return worker

    def pass_by(self, duration_s: float) -> None:
        self.clock.skew_s += duration_s

    async def facts(self) -> tuple[JobState, int]:
        record = await self.store.get("a")
        return record.state, record.job.attempt

    async def take_back(self, other: Worker) -> None:
        """Let another worker, which was there all the time, find the leases run out."""
        await other.side.reclaim()
        self.pass_by(SILENCE_S / 2)
        for _ in range(10):
            await other.side.reclaim()
            self.pass_by(SILENCE_S / 20)


@pytest.fixture
async def world(redis_url: str, guessing_model: MakeModel) -> AsyncIterator[World]:
    async with Redis.from_url(redis_url) as redis:
        await redis.flushall()
    clock = Clock()
    config = RedisConfig(store=redis_url, redis_timeout_s=PATIENCE_S)
    store = RedisStore(RedisConnection(config, clock=clock), QueueConfig())
    opened = World(redis_url, clock, store, guessing_model("sudoku-4x4").info)
    yield opened
    for worker in opened.workers:
        await worker.close()
    await store.close()


async def started(world: World, make_job: MakeJob) -> Worker:
    """Return a worker that works on the job a."""
    worker = world.open("w1", has_runner=True)
    await world.store.submit(make_job(submitted_s=time.time()))
    await worker.until_sent(Submit)
    return worker


async def taken(world: World, make_job: MakeJob, *, lease_s: float = LEASE_S) -> Worker:
    """Return a worker without a runner that holds the job a."""
    worker = world.open("w1", lease_s=lease_s)
    await world.store.submit(make_job(submitted_s=time.time()))
    await worker.side.claim(max_jobs=1)
    return worker


async def ends_as(world: World, attempt: int) -> None:
    record = await world.store.wait("a", timeout_s=PATIENCE_S)
    assert (record.state, record.job.attempt) == (JobState.DONE, attempt)
    stats = await world.store.stats()
    assert (stats.num_running, stats.reserved_trajectories) == (0, 0)


async def test_a_worker_that_wakes_up_keeps_what_nobody_took(
    world: World, make_job: MakeJob, make_end: MakeEnd
) -> None:
    worker = await started(world, make_job)
    world.pass_by(SILENCE_S)
    for _ in range(3):
        await worker.side.reclaim()
    await worker.side.renew()
    assert await world.facts() == (JobState.RUNNING, 0)
    worker.put(make_end())
    await ends_as(world, 0)
    assert worker.kinds == [Submit]


async def test_a_job_that_comes_back_before_its_loss_is_known_goes_on_as_it_is(
    world: World, make_job: MakeJob, make_end: MakeEnd
) -> None:
    worker = await started(world, make_job)
    await world.take_back(world.open("w2"))
    await until(lambda: len(set(worker.side._held.values())) == 1)
    await until_running(world)
    await worker.side.renew()
    assert await world.facts() == (JobState.RUNNING, 1)
    worker.put(make_end())
    await ends_as(world, 1)
    assert worker.kinds == [Submit]


async def until_running(world: World) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while (await world.facts())[0] is not JobState.RUNNING:  # noqa: ASYNC110
            await asyncio.sleep(0.002)


@pytest.mark.parametrize("comes_back_first", [True, False])
async def test_a_job_that_comes_back_while_its_lost_run_ends_is_begun_anew(
    world: World, make_job: MakeJob, make_end: MakeEnd, comes_back_first: bool
) -> None:
    worker = await started(world, make_job)
    [claim] = worker.side._held.values()
    worker.side._give_up("a", claim)
    await worker.until_sent(Submit, Abort)
    # Its runner waits for jobs, and has it at once.
    await worker.line.run("hand_back", "lost", 3, "a", claim)
    if comes_back_first:
        await until(lambda: worker.side._held)
        assert worker.kinds == [Submit, Abort]
        worker.put(make_end("cancelled"))
    else:
        worker.put(make_end("cancelled"))
        await until_running(world)
    await worker.until_sent(Submit, Abort, Submit)
    worker.put(make_end())
    await ends_as(world, 1)


async def test_a_claim_that_overtakes_the_word_of_its_loss_stands(
    world: World, make_job: MakeJob, make_end: MakeEnd
) -> None:
    worker = await started(world, make_job)
    [old] = worker.side._held.values()
    await worker.line.run("hand_back", "lost", 3, "a", old)
    await until(lambda: [*worker.side._held.values()] not in ([old], []))
    worker.side._give_up("a", old)
    await worker.side.renew()
    assert await world.facts() == (JobState.RUNNING, 1)
    worker.put(make_end())
    await ends_as(world, 1)
    assert worker.kinds == [Submit]


async def test_a_claim_between_the_renewal_and_its_answer_stands(
    world: World, make_job: MakeJob
) -> None:
    worker, other = await taken(world, make_job), world.open("w2")
    await world.take_back(other)
    given: list[Job] = []

    async def claim() -> None:
        given.extend(await worker.side.claim(max_jobs=1, can_wait=False))

    worker.line.after["renew"] = claim
    await worker.side.renew()
    # It is at work on it, and not given it twice.
    assert given == []
    assert [*worker.side._held] == ["a"]
    await worker.side.complete("a", RESULT)
    await ends_as(world, 1)


async def test_an_older_cancellation_does_not_stop_a_newer_claim(
    world: World, make_job: MakeJob
) -> None:
    worker, other = await taken(world, make_job), world.open("w2")
    old = dict(worker.side._held)
    await world.take_back(other)
    await worker.side.renew()
    assert await anext(worker.side.cancellations()) == "a"
    await worker.side.claim(max_jobs=1)
    worker.side._give_up("a", old["a"])
    assert [*worker.side._held] == ["a"]


async def test_a_job_cancelled_in_the_moment_of_its_claim_is_not_begun(
    world: World, make_job: MakeJob
) -> None:
    worker = world.open("w1")

    async def cancel() -> None:
        await world.store.cancel("a")
        await until(lambda: worker.side._ended)

    worker.line.after["claim"] = cancel
    await world.store.submit(make_job("a", submitted_s=time.time()))
    assert await worker.side.claim(max_jobs=1, can_wait=False) == []
    assert not worker.side._held


@pytest.mark.parametrize("is_taken", [True, False])
async def test_a_result_of_a_worker_that_was_given_up_is_not_thrown_away(
    world: World, make_job: MakeJob, is_taken: bool
) -> None:
    worker, other = await taken(world, make_job), world.open("w2")
    await world.take_back(other)
    assert await world.facts() == (JobState.QUEUED, 1)
    if is_taken:
        await other.side.claim(max_jobs=1)
    await worker.side.complete("a", RESULT)
    await ends_as(world, 1)
    if is_taken:
        async with asyncio.timeout(PATIENCE_S):
            assert await anext(other.side.cancellations()) == "a"
        await other.side.complete("a", {"status": "unsolved"})
    assert (await world.store.get("a")).result == RESULT


async def test_only_a_whole_result_of_a_worker_that_was_given_up_counts(
    world: World, make_job: MakeJob
) -> None:
    worker, other = await taken(world, make_job), world.open("w2")
    await world.take_back(other)
    await worker.side.fail("a", code="engine_failure", detail="x")
    assert await world.facts() == (JobState.QUEUED, 1)
    assert await other.side.claim(max_jobs=1, can_wait=False)


async def wait_beside(world: World, other: Worker, duration_s: float) -> None:
    """Let time pass in which a worker looks for leases that ran out, as often as workers do."""
    for _ in range(round(duration_s / 0.4)):
        await other.side.reclaim()
        world.pass_by(0.4)
    await other.side.reclaim()


async def test_the_lease_is_that_of_the_claim_and_not_of_who_looks(
    world: World, make_job: MakeJob
) -> None:
    holder, looker = await taken(world, make_job), world.open("w2", lease_s=2.0)
    await wait_beside(world, looker, 14.0)
    assert await world.facts() == (JobState.RUNNING, 0)
    await holder.side.renew()
    await wait_beside(world, looker, 14.0)
    assert await world.facts() == (JobState.RUNNING, 0)
    await wait_beside(world, looker, 2.0)
    assert await world.facts() == (JobState.QUEUED, 1)


async def test_a_short_lease_runs_out_for_one_with_a_long_lease_too(
    world: World, make_job: MakeJob
) -> None:
    await taken(world, make_job, lease_s=2.0)
    looker = world.open("w2")
    await wait_beside(world, looker, 1.2)
    assert await world.facts() == (JobState.RUNNING, 0)
    await wait_beside(world, looker, 1.6)
    assert await world.facts() == (JobState.QUEUED, 1)


@pytest.mark.parametrize("holder_looks_first", [True, False])
async def test_leases_that_ran_out_while_nobody_could_renew_run_once_more(
    world: World, make_job: MakeJob, holder_looks_first: bool
) -> None:
    holder, looker = await taken(world, make_job), world.open("w2")
    await looker.side.reclaim()
    # Redis was frozen, and all of them look before any can renew.
    world.pass_by(SILENCE_S)
    if holder_looks_first:
        await holder.side.reclaim()
    await wait_beside(world, looker, LEASE_S - 2.0)
    assert await world.facts() == (JobState.RUNNING, 0)
    # And not for ever: the holder may really be gone.
    await wait_beside(world, looker, 4.0)
    assert await world.facts() == (JobState.QUEUED, 1)


async def test_an_answer_that_was_never_heard_leaves_no_job_behind(
    world: World, make_job: MakeJob
) -> None:
    worker = world.open("w1")
    await world.store.submit(make_job(submitted_s=time.time()))
    # The script ran, and its worker knows nothing of it.
    await worker.line.run("claim", "w1", 1, "inf", LEASE_S, 2)
    assert await world.facts() == (JobState.RUNNING, 0)
    await wait_beside(world, worker, LEASE_S + 1.0)
    assert await world.facts() == (JobState.QUEUED, 0)
    assert [job.id for job in await worker.side.claim(max_jobs=1)] == ["a"]
