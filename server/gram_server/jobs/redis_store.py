"""The API's side of the queue in Redis, for any number of API processes; none holds a job.

One task reads the stream of notices and wakes the waiters of each job. Waiters also poll, so that
a lost notice costs only time.
"""

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import partial
from typing import Any, NamedTuple, TypeVar

from gram_server.errors import JobGone, JobNotFound, KeyConflict, LinkClosed, StoreUnavailable
from gram_server.job import Event, EventKind, Job, JobRecord, JobState, dump, to_bytes
from gram_server.jobs.queued_job import CANCELLED
from gram_server.jobs.redis_connection import Argument, PeriodicTask, RedisConnection, end_tasks
from gram_server.jobs.redis_records import (
    dump_submission,
    load_events,
    load_fields,
    load_notice,
    load_record,
    load_stats,
)
from gram_server.jobs.store import IdempotencyKey, Page, QueueStats, too_crowded, too_full, too_late
from gram_server.jobs.waiters import CompletionNotice, Waiter, Waiters
from gram_server.logs import SparseLog
from gram_server.settings import QueueConfig

REFUSALS = {
    "OOM": "Redis is full: it takes no new jobs (OOM)",
    "READONLY": "Redis is a replica, which takes no jobs (READONLY)",
}
"""Meaning of the kinds of error with which Redis refuses writes."""
POLL_S = 1.0
"""Time between polls of one waiter."""
POLLS_PER_S = 500
"""Limit over all waiters: with many, each polls more rarely."""
OUTAGE_POLL_S = 0.3
HOUSEKEEPING_S = 1.0
GRACE_S = 1.0
"""How long past its deadline a running job may take; equal to GRACE_S of the functions."""
MAX_OUTAGE_S = 60.0
"""Longest outage of Redis that a waiter tolerates."""

MAX_WITHDRAWN = 500
"""Jobs withdrawn in one call."""
MAX_REMEMBERED = 10_000
"""Withdrawn jobs to tell Redis of after an outage; most never reached it."""

_T = TypeVar("_T")

logger = logging.getLogger(__name__)


class JobStatus(NamedTuple):
    """State of a job that has not ended."""

    state: JobState
    left_s: float | None
    events: list[Event]


class RedisStore:
    """The API's side of the queue."""

    def __init__(self, connection: RedisConnection, config: QueueConfig) -> None:
        self._connection = connection
        self._config = config
        self._waiters = Waiters()
        self._tasks: list[asyncio.Task[None]] = []
        self._is_closed = False
        # In the order of withdrawal.
        self._withdrawn: dict[str, None] = {}
        self._log = SparseLog(logger)

    async def submit(
        self, job: Job, *, parts: Sequence[Job] = (), ticket: IdempotencyKey | None = None
    ) -> str:
        self._start()
        request = dump_submission(job, parts, ticket, self._config)
        request["skew"] = self._connection.has_skew
        # The waiter first polls after POLL_S, so only where the deadline is later.
        if job.deadline_s is None or job.deadline_s - time.time() > POLL_S:
            self._waiters.preregister(job.id)
        accepted_id = None
        try:
            verdict, subject, rate = await self._connection.run("submit", to_bytes(request))
            if verdict == b"accepted":
                accepted_id = str(subject.decode())
                return accepted_id
        finally:
            if accepted_id != job.id:
                self._waiters.drop(job.id)
        width = sum(part.options.width for part in parts or (job,))
        raise self._refusal(verdict.decode(), subject.decode(), width, float(rate))

    async def known(self, ticket: IdempotencyKey) -> str | None:
        arguments = (f"{ticket.owner}:{ticket.key}", ticket.fingerprint)
        verdict, job_id = await self._connection.run("known", *arguments)
        if verdict in (b"conflict", b"gone"):
            raise self._refusal(verdict.decode(), job_id.decode(), 0, 0.0)
        return job_id.decode() or None

    async def page(self, owner: str, *, cursor: str | None, limit: int) -> Page:
        reply = await self._connection.run("page", owner, cursor or "", limit)
        offset_s = self._connection.offset_s(reply[0])
        records = (load_record(load_fields(flat), (), offset_s) for flat in reply[2])
        return Page(records=tuple(records), cursor=reply[1].decode() or None)

    async def events(self, job_id: str, *, after: int = 0) -> AsyncIterator[Event]:
        self._start()
        position = max(after, 0)
        with self._waiters.open(job_id) as waiter:
            while True:
                waiter.expect()
                ask = partial(self._run_while_open, "status", job_id, position)
                if not (reply := await self._retry_while_waiting(ask)):
                    raise JobNotFound(f"no job {job_id}")
                status = _load_status(*reply)
                for event in status.events:
                    yield await self._whole(job_id, event)
                    position = event.id
                if status.state.is_final:
                    return
                await self._pause(waiter, status, until_s=None)

    async def wait(self, job_id: str, *, timeout_s: float | None) -> JobRecord:
        self._start()
        now_s = asyncio.get_running_loop().time()
        until_s = None if timeout_s is None else now_s + timeout_s
        with self._waiters.open(job_id, is_for_end=True) as waiter:
            if waiter.is_preregistered:
                await waiter.wait(POLL_S if timeout_s is None else min(POLL_S, timeout_s))
            while True:
                if waiter.notice is not None:
                    self._raise_if_closed()
                    return self._read(
                        job_id, load_notice(waiter.notice.record), waiter.notice.heard_s
                    )
                waiter.expect()
                ask = partial(self._run_while_open, "record", job_id, "end")
                reply = await self._retry_while_waiting(ask)
                if len(reply) != len(("time", "state", "deadline")):
                    return self._read(job_id, reply)
                if not await self._pause(waiter, _load_status(*reply), until_s=until_s):
                    return await self._retry_while_waiting(lambda: self.get(job_id))

    async def get(self, job_id: str) -> JobRecord:
        return self._read(job_id, await self._connection.run("record", job_id))

    def _read(self, job_id: str, reply: Any, heard_s: float | None = None) -> JobRecord:
        """Return the record in a reply that came at ``heard_s``, or just now."""
        if not reply:
            raise JobNotFound(f"no job {job_id}")
        offset_s = self._connection.offset_s(reply[0], heard_s)
        record, *parts = (
            load_record(load_fields(flat), list(load_events(events)), offset_s)
            for flat, events in [reply[1:3], *reply[3]]
            if flat
        )
        return replace(record, parts=tuple(parts))

    async def cancel(self, job_id: str) -> None:
        if not await self._connection.run("cancel", job_id):
            raise JobNotFound(f"no job {job_id}")

    async def withdraw(self, job_id: str) -> None:
        # Sent again until Redis can be reached.
        self._withdrawn[job_id] = None
        if len(self._withdrawn) > MAX_REMEMBERED:
            del self._withdrawn[next(iter(self._withdrawn))]
        try:
            await self._send_withdrawn()
        except StoreUnavailable as error:
            text = "jobs without a waiting caller go on for now: %s"
            self._log.say(logging.WARNING, text, error)

    async def take_tokens(self, owner: str, amount: int, *, rate: float, burst: float) -> float:
        return float(await self._connection.run("take_tokens", owner, amount, rate, burst))

    async def stats(self) -> QueueStats:
        self._start()
        reply = await self._connection.run("stats")
        kind = await self._connection.probe()
        return load_stats(
            reply,
            max_trajectories=self._config.max_trajectories,
            store_errors=dict(self._connection.num_errors),
            refusal=REFUSALS.get(kind, f"Redis takes nothing new: {kind}") if kind else None,
        )

    def open_jobs(self) -> Sequence[Job]:
        return ()

    def ended_within(self, duration_s: float) -> Sequence[str]:
        return ()

    async def close(self) -> None:
        self._is_closed = True
        self._waiters.wake_all()
        with suppress(StoreUnavailable):
            await self._send_withdrawn()
        await end_tasks(self._tasks)
        await self._connection.close()

    def _start(self) -> None:
        """Start the background tasks, with the first call."""
        self._raise_if_closed()
        if not self._tasks:
            self._tasks = [
                asyncio.create_task(self._read_notices()),
                asyncio.create_task(PeriodicTask(HOUSEKEEPING_S, self.expire).run()),
                asyncio.create_task(PeriodicTask(HOUSEKEEPING_S, self._send_withdrawn).run()),
            ]

    def _refusal(self, verdict: str, subject: str, width: int, rate: float) -> Exception:
        match verdict:
            case "conflict":
                return KeyConflict("the key stands for another request", field="Idempotency-Key")
            case "gone":
                return JobGone(f"the job of this key, {subject}, has been forgotten")
            case "withdrawn":
                return StoreUnavailable(f"job {subject} was given up before it came")
            case "late":
                return too_late(float(subject), self._config)
            case "crowded":
                return too_crowded(int(subject), int(rate))
        return too_full(int(subject), width, self._config, rate=rate)

    async def _run_while_open(self, name: str, *arguments: Argument) -> Any:
        self._raise_if_closed()
        return await self._connection.run(name, *arguments)

    async def _retry_while_waiting(self, ask: Callable[[], Awaitable[_T]]) -> _T:
        """Ask until Redis answers, for up to ``MAX_OUTAGE_S``."""
        loop = asyncio.get_running_loop()
        give_up_s = loop.time() + MAX_OUTAGE_S
        while True:
            try:
                return await ask()
            except StoreUnavailable:
                self._raise_if_closed()
                if loop.time() > give_up_s:
                    raise
            await asyncio.sleep(OUTAGE_POLL_S)

    async def _pause(self, waiter: Waiter, status: JobStatus, *, until_s: float | None) -> bool:
        """Wait for news, a deadline or the next poll; return whether there is time left."""
        pause_s = max(POLL_S, self._waiters.num_open / POLLS_PER_S)
        if status.left_s is not None:
            grace_s = GRACE_S if status.state is JobState.RUNNING else 0.0
            left_s = status.left_s + grace_s
            if left_s <= 0:
                with suppress(StoreUnavailable):
                    await self.expire()
                left_s = POLL_S / 10
            pause_s = min(pause_s, left_s)
        if until_s is not None:
            left_s = until_s - asyncio.get_running_loop().time()
            if left_s <= 0:
                return False
            pause_s = min(pause_s, left_s)
        await waiter.wait(pause_s)
        return True

    async def _whole(self, job_id: str, event: Event) -> Event:
        """Return an event with its data; the record holds that of the last one."""
        if not event.kind.is_final or event.data:
            return event
        record = await self._retry_while_waiting(lambda: self.get(job_id))
        if event.kind is EventKind.ERROR:
            data = dump(record.error or CANCELLED)
        else:
            data = dict(record.result or {})
        return Event(kind=event.kind, data=data, id=event.id)

    async def _read_notices(self) -> None:
        notices = self._connection.keys.notices
        last: str | None = None
        while True:
            try:
                if last is None:
                    newest = await self._connection.execute(
                        "XREVRANGE", notices, "+", "-", "COUNT", 1
                    )
                    last = newest[0][0].decode() if newest else "0-0"
                    self._waiters.wake_all()
                found = await self._connection.read_new({notices: last})
            except StoreUnavailable:
                await asyncio.sleep(POLL_S / 4)
                continue
            for number, fields in found.get(notices, ()):
                last = number.decode()
                is_end = fields[b"end"] == b"1"
                record = fields.get(b"record")
                notice = CompletionNotice(record, time.time()) if record else None
                self._waiters.wake(fields[b"job"].decode(), is_end=is_end, notice=notice)

    async def expire(self) -> None:
        await self._connection.run("expire")

    async def _send_withdrawn(self) -> None:
        while job_ids := list(self._withdrawn)[:MAX_WITHDRAWN]:
            await self._connection.run("withdraw", *job_ids)
            for job_id in job_ids:
                self._withdrawn.pop(job_id, None)

    def _raise_if_closed(self) -> None:
        if self._is_closed:
            raise LinkClosed("the store is closed")


def _load_status(
    now: bytes, state: bytes, deadline: bytes, events: Sequence[Any] = ()
) -> JobStatus:
    left_s = float(deadline) - float(now) if deadline else None
    return JobStatus(JobState(state.decode()), left_s, list(load_events(events)))
