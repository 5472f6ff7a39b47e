"""What has ended is kept for its time and then forgotten, whatever happened before."""

import asyncio
import random
import re
from collections.abc import Awaitable, Callable  # noqa: TC003
from contextlib import suppress
from dataclasses import replace
from typing import Any

import pytest

from gram_server.errors import JobNotFound, NotReplayed, QueueFull
from gram_server.job import Event, EventKind, Job
from gram_server.jobs.store import IdempotencyKey
from tests.server.jobs.conftest import Eventually, Harness, MakeJob

pytestmark = pytest.mark.anyio

RESULT: dict[str, object] = {"status": "solved", "solutions": [1]}
SOLUTION = Event(kind=EventKind.SOLUTION, data={"answer": "x"})
KEEP_ANSWER_S, KEEP_JOB_S = 60.0, 3_600.0
"""As the configuration of ``harness`` has them."""
LASTING = re.compile(
    r"^\{gram\}:1:((queue|back):\d|last(:.+)?|asides?(:.+)?|totals|counts|backlog)$"
)
"""What docs/operations.md says is kept for ever."""


class History:
    """Does things to a store in a random order, and knows for how long what must be there."""

    def __init__(self, harness: Harness, make_job: MakeJob, seed: int) -> None:
        self._harness = harness
        self._make_job = make_job
        self._chance = random.Random(seed)
        self._workers: list[tuple[Any, list[str]]] = []
        self._num_made = 0
        self.batch_of: dict[str, str | None] = {}
        """By id of every job that was accepted, batches included."""
        self._owned: set[str] = set()
        self.ended_s: dict[str, float] = {}
        self.num_replayed = 0

    async def run(self, num_steps: int) -> None:
        steps: list[Callable[[], Awaitable[object]]]
        steps = [self._submit, self._submit, self._submit_batch, self._submit_batch]
        steps += [self._claim, self._claim, self._complete, self._complete, self._publish]
        steps += [
            self._cancel,
            *[self._lose_all] * 2,
            self._hand_back,
            self._expire,
            self._pass_time,
        ]
        steps += [self._replay] * 2 if self._harness.dead_letters else []
        for step in self._chance.choices(steps, k=num_steps):
            await step()
            await self._note_ends()

    async def drain(self) -> None:
        """Let everything end that has not."""
        for worker, _ in self._workers:
            await worker.close()
        for job_id in self.batch_of:
            if job_id not in self.ended_s:
                await self._harness.store.cancel(job_id)
        await self._note_ends()

    async def check(self) -> None:
        """Everything is there that was promised, and nothing whose time was over long ago."""
        for job_id, until_s in {one: self.until_s(one) for one in self.batch_of}.items():
            if until_s > self._harness.clock():
                record = await self._harness.store.get(job_id)
                size = record.job.num_parts
                assert len(record.parts) == size, f"{job_id} lost parts"
            elif until_s < self._harness.clock() - 1.0:
                with pytest.raises(JobNotFound):
                    await self._harness.store.get(job_id)
                del self.batch_of[job_id], self.ended_s[job_id]

    def until_s(self, job_id: str) -> float:
        keep_s = KEEP_JOB_S if job_id in self._owned else KEEP_ANSWER_S
        return self.ended_s.get(self.batch_of[job_id] or job_id, float("inf")) + keep_s

    def _new_job(self, **changes: Any) -> Job:
        self._num_made += 1
        job = self._make_job(f"j{self._num_made:03d}", width=1, submitted_s=self._harness.clock())
        return replace(job, priority=self._chance.randrange(3), **changes)

    def _accepted(self, *jobs: Job) -> None:
        for job in jobs:
            self.batch_of[job.id] = job.batch
            if job.owner is not None:
                self._owned.add(job.id)

    async def _submit(self, **changes: Any) -> Job:
        owner = self._chance.choice([None, "me", "you"])
        job = self._new_job(owner=owner, **changes)
        ticket = None
        if owner and self._chance.random() < 0.3:
            ticket = IdempotencyKey(owner=owner, key=f"key of {job.id}", fingerprint="f")
        with suppress(QueueFull):
            await self._harness.store.submit(job, ticket=ticket)
            self._accepted(job)
        return job

    async def _submit_batch(self) -> None:
        owner = self._chance.choice(["me", "you"])
        batch = self._new_job(owner=owner, num_parts=self._chance.randrange(1, 5))
        parts = [self._new_job(owner=owner, batch=batch.id) for _ in range(batch.num_parts)]
        with suppress(QueueFull):
            await self._harness.store.submit(batch, parts=parts)
            self._accepted(batch, *parts)

    async def _worker(self) -> tuple[Any, list[str]]:
        if len(self._workers) < 2:
            self._num_made += 1
            self._workers.append((await self._harness.worker(f"w{self._num_made}"), []))
        return self._chance.choice(self._workers)

    async def _claim(self) -> None:
        worker, held = await self._worker()
        jobs = await worker.claim(max_jobs=self._chance.randrange(1, 6), can_wait=False)
        held.extend(job.id for job in jobs)

    async def _complete(self) -> None:
        worker, held = await self._worker()
        for job_id in held[: self._chance.randrange(3)]:
            held.remove(job_id)
            if self._chance.random() < 0.8:
                await worker.complete(job_id, RESULT)
            else:
                await worker.fail(job_id, code="bad", detail="so")
        await self._settle(worker)

    async def _publish(self) -> None:
        worker, held = await self._worker()
        for job_id in held:
            await worker.publish(job_id, SOLUTION)

    async def _hand_back(self) -> None:
        worker, held = await self._worker()
        await worker.hand_back(held)
        held.clear()
        await self._settle(worker)

    async def _lose_all(self) -> None:
        """Let workers claim jobs and be lost, until some have cost too many."""
        for _ in range(3):
            await self._claim()
            while self._workers:
                worker, _ = self._workers.pop()
                await worker.close()
            await asyncio.sleep(0.01)

    async def _settle(self, worker: Any) -> None:
        """What was said over a socket has arrived once an answer comes back on it."""
        await worker.claim(max_jobs=0, can_wait=False)

    async def _cancel(self) -> None:
        known = [job_id for job_id in self.batch_of if job_id not in self.ended_s]
        if known:
            await self._harness.store.cancel(self._chance.choice(known))

    async def _expire(self) -> None:
        job = await self._submit(deadline_s=self._harness.clock() + 0.001)
        if self._chance.random() < 0.5:
            await self._claim()
        await self._harness.advance(2.0)
        if job.id in self.batch_of:
            await self._harness.store.wait(job.id, timeout_s=20.0)

    async def _replay(self) -> None:
        for letter in await self._harness.letters.list(3):
            try:
                await self._harness.letters.replay(letter["id"])
            except NotReplayed:
                await self._harness.letters.purge(letter["id"])
                continue
            job_id = letter["id"]
            self.num_replayed += 1
            if self.ended_s.get(self.batch_of.setdefault(job_id, None) or "", 0.0):
                del self.ended_s[self.batch_of[job_id] or ""]
            self.ended_s.pop(job_id, None)

    async def _pass_time(self) -> None:
        await self.pass_time(self._chance.choice([0.5, 20.0, 61.0, 1_000.0, 3_000.0]))
        await self.check()

    async def pass_time(self, duration_s: float) -> None:
        await self._harness.advance(duration_s)
        # The store in memory forgets when it is given something.
        job = await self._submit()
        if job.id in self.batch_of:
            await self._harness.store.cancel(job.id)
        await self._note_ends()

    async def _note_ends(self) -> None:
        for job_id in self.batch_of:
            if job_id not in self.ended_s:
                record = await self._harness.store.get(job_id)
                if record.state.is_final:
                    self.ended_s[job_id] = self._harness.clock()


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(3))
async def test_everything_is_kept_for_its_time_and_nothing_for_ever(
    harness: Harness, make_job: MakeJob, eventually: Eventually, seed: int
) -> None:
    harness.clock.stop()
    history = History(harness, make_job, seed)
    await history.run(70)
    assert history.num_replayed > 0 or harness.dead_letters is None
    await history.drain()
    await history.check()

    async def are_all_counted() -> bool:
        return bool((await harness.store.stats()).finished_jobs == len(history.batch_of))

    await eventually(are_all_counted)
    await check_keys(harness)
    await history.pass_time(KEEP_JOB_S + 10.0)
    await history.check()
    assert len(history.batch_of) == 1
    await eventually(are_all_counted)
    await harness.advance(40 * 86_400.0)
    await check_keys(harness, has_ended=True)


async def check_keys(harness: Harness, *, has_ended: bool = False) -> None:
    """No key of Redis stays for ever that is not meant to; nor any other when all has ended."""
    if harness.redis is None:
        return
    async for raw in harness.redis.scan_iter():
        name = raw.decode()
        if not LASTING.match(name):
            assert await harness.redis.ttl(name) >= 0, f"{name} stays for ever"
            # What those who are still connected say of themselves.
            assert not has_ended or name.split(":")[2] in ("fleet", "report", "notes"), name
