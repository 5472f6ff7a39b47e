"""The queue in Redis, as a worker sees it: claims on a lease that it has to renew.

While Redis is gone a worker goes on with what it holds, and insists on telling the results when it
is back. Jobs of a worker that fell silent are taken back by the others.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Sequence

from gram_server.errors import StoreUnavailable
from gram_server.job import Event, EventKind, Job, JobState, WorkerReport, outcome_of
from gram_server.jobs.chores import Chore, end_tasks, jittered
from gram_server.jobs.codec import dump_report, to_bytes
from gram_server.jobs.redis_connection import Argument, RedisConnection
from gram_server.jobs.redis_records import load_claimed
from gram_server.jobs.store import Outcome

REPORT_KEPT_S = 15.0
"""How long a report stands for its worker."""
RECONCILE_S = 10.0
RETRY_S = 0.5
FAREWELL_S = 3.0
"""How long a worker that leaves tries to say so; after that its leases run out."""

logger = logging.getLogger(__name__)


class RedisWorker:
    """A worker's side of the queue."""

    def __init__(
        self, connection: RedisConnection, *, name: str, lease_s: float, max_attempts: int
    ) -> None:
        """Open a side under a name that no other worker ever has; needs a running loop."""
        self._connection = connection
        self._name = name
        self._lease_s = lease_s
        self._max_attempts = max_attempts
        # A dict keeps the order in which the jobs were claimed.
        self._held: dict[str, None] = {}
        self._cancelled: asyncio.Queue[str | None] = asyncio.Queue()
        self._last: dict[str, str] = {}
        self._last_report: WorkerReport | None = None
        self._has_lost_an_answer = False
        self._returns: set[asyncio.Task[None]] = set()
        self._tasks = [asyncio.create_task(chore.run()) for chore in self._chores()]
        self._tasks.append(asyncio.create_task(self._read_cancellations()))

    async def claim(
        self, *, max_jobs: int, max_width: int | None = None, can_wait: bool = True
    ) -> list[Job]:
        """Wait until a job is there, then take up to ``max_jobs``; safe to cancel."""
        while True:
            taking = asyncio.create_task(self._take(max_jobs, max_width))
            try:
                jobs = await asyncio.shield(taking)
            except asyncio.CancelledError:
                self._start_return(taking)
                raise
            except StoreUnavailable:
                # What the script may have given out must not wait for the end of its lease.
                self._has_lost_an_answer = True
                await asyncio.sleep(jittered(RETRY_S))
                continue
            if jobs or not can_wait:
                return jobs
            await self._wait_for_entries()

    async def publish(self, job_id: str, event: Event) -> None:
        """Add an event to the job's; ignored once the job is final."""
        answer = b""
        if event.kind is EventKind.SOLUTION:
            answer = to_bytes(event.identity)
        data = to_bytes(event.data)
        arguments = (self._name, job_id, event.kind, data, answer, int(event.is_passing))
        if not event.is_passing:
            await self._insist("publish", *arguments)
            return
        try:
            await self._connection.run("publish", *arguments)
        except StoreUnavailable:
            logger.debug("job=%s nobody saw how it stands", job_id)

    async def complete(
        self, job_id: str, result: dict[str, object], *, outcome: Outcome = JobState.DONE
    ) -> None:
        """Store the result and finish the job; ``EXPIRED`` when its deadline cut it short."""
        ended = outcome_of(outcome, result)
        await self._insist("complete", self._name, job_id, outcome, to_bytes(result), "", ended)
        self._drop(job_id, outcome)

    async def fail(self, job_id: str, *, code: str, detail: str) -> None:
        """Finish the job as failed."""
        error = to_bytes({"code": code, "detail": detail})
        await self._insist("complete", self._name, job_id, JobState.FAILED, "", error, "failed")
        self._drop(job_id, JobState.FAILED)

    async def hand_back(self, job_ids: Sequence[str]) -> None:
        """Return claimed jobs to the front of the queue, their attempt count unchanged."""
        await self._give_back(job_ids, "kept")

    async def cancellations(self) -> AsyncIterator[str]:
        """Yield ids of claimed jobs that nobody waits for any more, or that another has now."""
        while (job_id := await self._cancelled.get()) is not None:
            yield job_id

    async def report(self, report: WorkerReport) -> None:
        """Tell how the worker stands."""
        self._last_report = report
        text = to_bytes(dump_report(report))
        try:
            await self._connection.run("report", self._name, text, REPORT_KEPT_S)
        except StoreUnavailable:
            logger.debug("nobody heard the report of %s", self._name)

    async def close(self) -> None:
        """Let go; jobs still claimed go to another worker."""
        self._cancelled.put_nowait(None)
        await end_tasks(self._tasks)
        await asyncio.gather(*self._returns)
        await self._give_back(list(self._held), "lost")
        await self._try("leave", self._name)
        await self._connection.close()

    async def _take(self, max_jobs: int, max_width: int | None) -> list[Job]:
        if self._has_lost_an_answer:
            await self._return_unknown()
        width = "inf" if max_width is None else max_width
        reply = await self._connection.run(
            "claim", self._name, max_jobs, width, is_repeatable=False
        )
        now, last, taken = reply
        if last:
            numbers = (number.decode() for number in last)
            self._last = dict(zip(self._connection.keys.streams, numbers, strict=True))
        offset_s = self._connection.clock.offset_s(float(now))
        jobs = [load_claimed(fields, offset_s) for fields in taken]
        # One that came back to us before we knew that it was lost is already being worked on.
        new = [job for job in jobs if job.id not in self._held]
        self._held.update(dict.fromkeys(job.id for job in new))
        return new

    async def _wait_for_entries(self) -> None:
        try:
            await self._connection.read_new(self._last, count=1)
        except StoreUnavailable:
            await asyncio.sleep(jittered(RETRY_S))

    async def _return_unknown(self) -> None:
        """Give back jobs whose handing out was never heard of here."""
        ids = [job_id.decode() for job_id in await self._connection.run("held", self._name)]
        unknown = [job_id for job_id in ids if job_id not in self._held]
        if unknown:
            await self._connection.run(
                "hand_back", self._name, "kept", self._max_attempts, *unknown
            )
        self._has_lost_an_answer = False

    def _start_return(self, taking: "asyncio.Task[list[Job]]") -> None:
        returning = asyncio.create_task(self._return(taking))
        self._returns.add(returning)
        returning.add_done_callback(self._returns.discard)

    async def _return(self, taking: "asyncio.Task[list[Job]]") -> None:
        try:
            jobs = await taking
        except StoreUnavailable:
            self._has_lost_an_answer = True
        else:
            await self.hand_back([job.id for job in jobs])

    async def _give_back(self, job_ids: Sequence[str], how: str) -> None:
        for job_id in job_ids:
            self._held.pop(job_id, None)
        if job_ids:
            await self._try("hand_back", self._name, how, self._max_attempts, *job_ids)

    def _drop(self, job_id: str, state: JobState) -> None:
        self._held.pop(job_id, None)
        logger.info("job=%s state=%s", job_id, state)

    async def _insist(self, script: str, *arguments: Argument) -> None:
        """Run a script, however long it takes until Redis is there."""
        while True:
            try:
                await self._connection.run(script, *arguments)
            except StoreUnavailable:
                await asyncio.sleep(jittered(RETRY_S))
            else:
                return

    async def _try(self, script: str, *arguments: Argument) -> None:
        """Run a script, or give up after a while."""
        try:
            async with asyncio.timeout(FAREWELL_S):
                await self._insist(script, *arguments)
        except TimeoutError:
            logger.warning("%s left without a word: its leases will run out", self._name)

    def _chores(self) -> list[Chore]:
        """Return what keeps the leases, and everyone's share of putting the queue right."""
        return [
            Chore(self._lease_s / 3, self._renew),
            Chore(min(self._lease_s / 6, 1.0), self._reclaim),
            Chore(1.0, self._expire),
            Chore(RECONCILE_S, self._reconcile),
            Chore(REPORT_KEPT_S / 3, self._repeat_report),
        ]

    async def _renew(self) -> None:
        if not self._held:
            return
        lost = await self._connection.run("renew", self._name, *self._held)
        for job_id in lost:
            self._give_up(job_id.decode())

    async def _reclaim(self) -> None:
        lease_ms = int(self._lease_s * 1e3)
        count = await self._connection.run("reclaim", self._name, lease_ms, self._max_attempts)
        if count:
            logger.warning("took back %d jobs of workers that fell silent", count)

    async def _expire(self) -> None:
        await self._connection.run("expire")

    async def _reconcile(self) -> None:
        start = 0
        while True:
            count, start = await self._connection.run("reconcile", self._max_attempts, start)
            if count:
                logger.warning("queued %d jobs again whose entries were lost", count)
            if not start:
                return

    async def _repeat_report(self) -> None:
        if self._last_report is not None:
            await self.report(self._last_report)

    async def _read_cancellations(self) -> None:
        name = self._connection.keys.cancelled(self._name)
        last = "0-0"
        while True:
            try:
                found = await self._connection.read_new({name: last})
            except StoreUnavailable:
                await asyncio.sleep(jittered(RETRY_S))
                continue
            for number, fields in found.get(name, ()):
                last = number.decode()
                self._give_up(fields[b"job"].decode())

    def _give_up(self, job_id: str) -> None:
        if job_id in self._held:
            self._held.pop(job_id, None)
            self._cancelled.put_nowait(job_id)
