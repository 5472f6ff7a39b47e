"""A worker's side of the queue in Redis: claims on a lease that it has to renew.

While Redis is gone a worker goes on with its jobs, and retries until their results are stored.
Other workers reclaim jobs whose lease has run out. A worker may claim its own job again, so each
call names its claim.
"""

import asyncio
import logging
from collections import deque
from collections.abc import AsyncIterator, Coroutine, Iterable, Iterator, Sequence
from functools import partial
from typing import Unpack

from gram_server.errors import JobUnreadable, StoreRefused, StoreUnavailable
from gram_server.job import (
    PRIORITY_CLASSES,
    Event,
    EventKind,
    Job,
    JobState,
    WorkerReport,
    dump,
    outcome_of,
    to_bytes,
)
from gram_server.jobs.redis_connection import (
    Argument,
    PeriodicTask,
    RedisConnection,
    end_tasks,
    jittered,
)
from gram_server.jobs.redis_records import load_claimed
from gram_server.jobs.store import Outcome, Room

REPORT_KEPT_S = 15.0
"""How long a report is valid."""
RECONCILE_S = 10.0
RETRY_S = 0.5
SHUTDOWN_S = 2.0
"""How long a leaving worker retries, in all; after that its leases run out."""
MAX_REFUSALS = 3
"""Tries of a call that Redis refuses although it is up."""
MAX_RECLAIM_S = 0.5
"""Longest time between looks for the jobs of silent workers."""
NUM_ENDED = 256
"""Remembered claims that ended before this worker received them."""

logger = logging.getLogger(__name__)


class RedisWorker:
    """A worker's side of the queue."""

    def __init__(
        self, connection: RedisConnection, *, name: str, lease_s: float, max_attempts: int
    ) -> None:
        """Needs a running loop, and a name that no other worker ever has."""
        self._connection = connection
        self._name = name
        self._lease_s = lease_s
        self._max_attempts = max_attempts
        self._held: dict[str, str] = {}
        """The claim on each job, in the order of the claims."""
        self._ended: deque[str] = deque(maxlen=NUM_ENDED)
        self._cancelled: asyncio.Queue[tuple[str, str] | None] = asyncio.Queue()
        self._last: dict[str, str] = {}
        self._last_report: WorkerReport | None = None
        self._has_lost_an_answer = False
        self._is_unheard = False
        """Whether the last call before leaving did not reach Redis."""
        self._beside: set[asyncio.Task[None]] = set()
        self._tasks = [asyncio.create_task(one.run()) for one in self.periodic_tasks()]
        self._tasks.append(asyncio.create_task(self._read_cancellations()))

    async def claim(self, **room: Unpack[Room]) -> list[Job]:
        max_width, lowest = room.get("max_width"), room.get("down_to")
        width = "inf" if max_width is None else max_width
        lowest = len(PRIORITY_CLASSES) - 1 if lowest is None else lowest
        wanted = (room["max_jobs"], width, self._lease_s, lowest, *(room.get("models") or ()))
        while True:
            taking = asyncio.create_task(self._take(wanted))
            try:
                jobs = await asyncio.shield(taking)
            except asyncio.CancelledError:
                self._run_beside(self._return(taking))
                raise
            except StoreUnavailable:
                # Jobs that the function may have given out must not wait for their lease to end.
                self._has_lost_an_answer = True
                await asyncio.sleep(jittered(RETRY_S))
                continue
            # Some may have been cancelled since.
            jobs = [job for job in jobs if job.id in self._held]
            if jobs or not room.get("can_wait", True):
                return jobs
            try:
                await self._connection.read_new(self._last, count=1)
            except StoreUnavailable:
                await asyncio.sleep(jittered(RETRY_S))

    async def publish(self, job_id: str, event: Event) -> None:
        if (claim := self._held.get(job_id)) is None:
            return
        answer = to_bytes(event.identity) if event.kind is EventKind.SOLUTION else b""
        data = to_bytes(event.data)
        arguments = (job_id, claim, event.kind, data, answer, int(event.is_passing))
        try:
            if event.is_passing:
                await self._connection.run("publish", *arguments)
            else:
                await self._retry_forever("publish", *arguments)
        except StoreUnavailable as error:
            level = logging.DEBUG if event.is_passing else logging.ERROR
            logger.log(level, "job=%s an event is lost: %s", job_id, error)

    async def complete(
        self, job_id: str, result: dict[str, object], *, outcome: Outcome = JobState.DONE
    ) -> None:
        ended = outcome_of(outcome, result)
        if not await self._end(job_id, outcome, to_bytes(result), "", ended):
            await self.fail(job_id, code="result_refused", detail="Redis refuses the result")

    async def fail(self, job_id: str, *, code: str, detail: str) -> None:
        error = to_bytes({"code": code, "detail": detail})
        if not await self._end(job_id, JobState.FAILED, "", error, "failed"):
            # The lease runs out, and another worker tries.
            self._held.pop(job_id, None)

    async def hand_back(self, job_ids: Sequence[str]) -> None:
        held = self._held
        await self._give_back({name: held[name] for name in job_ids if name in held}, "kept")

    async def cancellations(self) -> AsyncIterator[str]:
        # Includes jobs that another worker has now.
        while (ended := await self._cancelled.get()) is not None:
            job_id, _ = ended
            # A job that was claimed again since is not cancelled.
            if job_id not in self._held:
                yield job_id

    async def report(self, report: WorkerReport) -> None:
        self._last_report = report
        await self._send_report()

    async def _send_report(self) -> None:
        if self._last_report is None:
            return
        text = to_bytes(dump(self._last_report))
        try:
            await self._connection.run("report", self._name, text, REPORT_KEPT_S)
        except StoreUnavailable:
            logger.debug("the report of %s was not received", self._name)

    async def close(self) -> None:
        self._cancelled.put_nowait(None)
        await end_tasks(self._tasks)
        if self._is_unheard:
            await end_tasks(self._beside)
        else:
            try:
                async with asyncio.timeout(SHUTDOWN_S):
                    await asyncio.gather(*self._beside)
                    await self._give_back(dict(self._held), "lost")
                    await self._retry_until_shutdown("leave", self._name)
            except TimeoutError:
                self._note_unheard()
        await self._connection.close()

    async def _take(self, wanted: tuple[Argument, ...]) -> list[Job]:
        if self._has_lost_an_answer:
            # Jobs given to this worker in an answer that was lost.
            await self._return_all_but_held(await self._connection.run("held", self._name))
            self._has_lost_an_answer = False
        last: list[bytes] = []
        taken: list[list[bytes]] = []
        while not last and not taken:
            now, last, taken = await self._connection.run(
                "claim", self._name, *wanted, is_repeatable=False
            )
        if last:
            numbers = (number.decode() for number in last)
            self._last = dict(zip(self._connection.keys.streams, numbers, strict=True))
        offset_s = self._connection.offset_s(now)
        jobs: list[Job] = []
        for fields in taken:
            job_id, claim = fields[0].decode(), fields[1].decode()
            if claim in self._ended:
                continue
            # A job claimed again before its loss was noticed already runs here.
            is_here = job_id in self._held
            self._held[job_id] = claim
            if is_here:
                continue
            try:
                jobs.append(load_claimed(fields, offset_s))
            except (JobUnreadable, ValueError) as error:
                logger.warning("job=%s refused: %s", job_id, error)
                self._run_beside(self.fail(job_id, code=JobUnreadable.code, detail=str(error)))
        return jobs

    async def _return_all_but_held(self, claims: Sequence[bytes]) -> None:
        known = self._held.items()
        if words := _flat(claim for claim in _pairs(claims) if claim not in known):
            await self._connection.run("hand_back", "kept", self._max_attempts, *words)

    def _run_beside(self, work: Coroutine[None, None, None]) -> None:
        """Run work in the background; ``close`` waits for it."""
        task = asyncio.create_task(work)
        self._beside.add(task)
        task.add_done_callback(self._beside.discard)

    async def _return(self, taking: "asyncio.Task[list[Job]]") -> None:
        try:
            jobs = await taking
        except StoreUnavailable:
            self._has_lost_an_answer = True
        else:
            await self.hand_back([job.id for job in jobs])

    async def _give_back(self, claims: dict[str, str], how: str) -> None:
        for job_id in claims:
            self._held.pop(job_id, None)
        if claims:
            words = _flat(claims.items())
            await self._retry_until_shutdown("hand_back", how, self._max_attempts, *words)

    async def _end(self, job_id: str, state: JobState, *words: Argument) -> bool:
        """Make a job final; return false where Redis refuses the call."""
        # Again if the job was lost and claimed again during the call.
        while (claim := self._held.get(job_id)) is not None:
            try:
                await self._retry_forever("complete", job_id, claim, state, *words)
            except StoreRefused as error:
                logger.error("job=%s is not %s: %s", job_id, state, error)
                return False
            if self._held.get(job_id) == claim:
                del self._held[job_id]
                logger.info("job=%s state=%s", job_id, state)
        return True

    async def _retry_forever(self, script: str, *arguments: Argument) -> None:
        """Run a function, retrying until Redis is up.

        Raises:
            StoreRefused: Redis is up and refuses the call.
        """
        num_refusals = 0
        while True:
            try:
                await self._connection.run(script, *arguments)
            except StoreUnavailable as error:
                num_refusals += isinstance(error, StoreRefused)
                if num_refusals == MAX_REFUSALS:
                    raise
                await asyncio.sleep(jittered(RETRY_S))
            else:
                return

    async def _retry_until_shutdown(self, script: str, *arguments: Argument) -> None:
        """Run a function, retrying for up to ``SHUTDOWN_S``."""
        try:
            async with asyncio.timeout(SHUTDOWN_S):
                await self._retry_forever(script, *arguments)
        except TimeoutError:
            self._note_unheard()
        except StoreRefused as error:
            logger.error("%s: its leases will run out: %s", self._name, error)
        else:
            self._is_unheard = False

    def _note_unheard(self) -> None:
        self._is_unheard = True
        logger.warning("%s left without a word: its leases will run out", self._name)

    def periodic_tasks(self) -> list[PeriodicTask]:
        return [
            PeriodicTask(self._lease_s / 3, self.renew),
            PeriodicTask(min(self._lease_s / 6, MAX_RECLAIM_S), self.reclaim),
            PeriodicTask(1.0, partial(self._connection.run, "expire")),
            PeriodicTask(RECONCILE_S, self.reconcile),
            PeriodicTask(REPORT_KEPT_S / 3, self._send_report),
        ]

    async def renew(self) -> None:
        if not self._held:
            return
        claims = _flat(self._held.items())
        lost = await self._connection.run("renew", self._name, self._lease_s, *claims)
        for job_id, claim in _pairs(lost):
            self._give_up(job_id, claim)

    async def reclaim(self) -> None:
        count, own = await self._connection.run("reclaim", self._name, self._max_attempts)
        if count:
            logger.warning("took back %d jobs of workers that fell silent", count)
        # Known claims are renewed; the answers with the others were lost.
        await self._return_all_but_held(own)

    async def reconcile(self) -> None:
        start = 0
        while True:
            count, start = await self._connection.run("reconcile", self._max_attempts, start)
            if count:
                logger.warning("queued %d jobs again whose entries were lost", count)
            if not start:
                return

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
                job_id = fields[b"job"].decode()
                self._give_up(job_id, fields[b"claim"].decode())

    def _give_up(self, job_id: str, claim: str) -> None:
        """Report a held claim as cancelled; remember any other as ended."""
        if self._held.get(job_id) == claim:
            del self._held[job_id]
            self._cancelled.put_nowait((job_id, claim))
        else:
            self._ended.append(claim)


def _flat(claims: Iterable[tuple[str, str]]) -> list[str]:
    return [word for claim in claims for word in claim]


def _pairs(words: Sequence[bytes]) -> Iterator[tuple[str, str]]:
    texts = [word.decode() for word in words]
    return zip(texts[::2], texts[1::2], strict=True)
