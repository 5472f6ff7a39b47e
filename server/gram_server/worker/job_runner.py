"""Claims jobs from the store, hands them to the engines, and stores an end for every one.

Asynchronous, in a thread of its own; never touches an engine, only its loop's inbox. A worker takes
what it has slots for, and a few jobs more; it leaves jobs to others that may have slots for them.
The jobs that it holds never shut out jobs of higher classes or of other models.
"""

import asyncio
import logging
import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress

from gram_core.catalog import ModelInfo
from gram_core.errors import CoreError
from gram_server.engine import EngineEvent, Finished, Progress
from gram_server.errors import LinkClosed, ServerError
from gram_server.job import EXACT, PRIORITY_CLASSES, Job, WorkerReport, WorkerState
from gram_server.jobs.store import WorkerStore
from gram_server.tracing import JobTrace, Tracer
from gram_server.worker.claimed_job import ClaimedJob
from gram_server.worker.engine_loop import Abort, Message, Submit
from gram_server.worker.job_results import JobResults

BUSY_REPORT_S = 1.0
IDLE_REPORT_S = 5.0
MAX_HELD_JOBS = 256
"""Jobs a worker holds at once; for a full worker, jobs per model, lower classes not counted. Jobs
that only wait for exact searches do not count: ``search_pool`` bounds them."""
MAX_SHARING_JOBS = 32
"""Jobs of a model that may share the slots of a full worker, lower classes not counted; more wait
for a worker with free slots."""
FULL_POLL_S = 0.02
"""Seconds for which a full worker leaves a job to others before it looks for one."""

logger = logging.getLogger(__name__)


class JobRunner:
    """Holds the claimed jobs until their end is stored or they are handed back."""

    def __init__(
        self,
        store: WorkerStore,
        models: Sequence[ModelInfo],
        *,
        send: Callable[[Message], None],
        report: Callable[[WorkerState], WorkerReport],
        drain_s: float,
        free_slots: Callable[[], int | None] = lambda: None,
        tracer: Tracer | None = None,
    ) -> None:
        """Must be called in the event loop.

        ``drain_s`` is how long live jobs may go on after ``drain``. ``free_slots`` returns None
        where no other worker could take what this one leaves.
        """
        self._store = store
        self._models = {name: model for model in models for name in (model.name, model.id)}
        self._send = send
        self._report = report
        self._free_slots = free_slots
        self._drain_s = drain_s
        self._tracer = tracer or Tracer()
        self._held: dict[str, ClaimedJob] = {}
        self._changed = asyncio.Event()
        """A job left the engine or the worker, or the worker is to drain."""
        self._results = JobResults(
            store, send=send, left_engine=self._changed.set, release=self._release
        )
        self._events: asyncio.Queue[EngineEvent] = asyncio.Queue()
        self._report_due = asyncio.Event()
        self._draining = asyncio.Event()
        self._stop_now = asyncio.Event()

    async def run(self) -> None:
        """Work until drained; raise ``LinkClosed`` when the store goes away first."""
        claims = asyncio.create_task(self._claim_jobs())
        drained = asyncio.create_task(self._wait_until_drained(claims))
        loops = (self._follow_cancellations(), self._handle_events(), self._send_reports())
        tasks = [drained, *map(asyncio.create_task, loops)]
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
            if not drained.done():
                raise LinkClosed("the store is gone")
            if self._held:
                # So that another worker starts them at once.
                logger.warning("handing back %d jobs", len(self._held))
                await self._store.hand_back(list(self._held))
            for claimed in self._held.values():
                claimed.trace.end("handed_back")
            self._held.clear()
        finally:
            for task in (claims, *tasks):
                task.cancel()
            await asyncio.gather(claims, *tasks, return_exceptions=True)
            await self._results.close()
            for claimed in self._held.values():
                claimed.trace.end("store_lost", is_failure=True)

    def on_events(self, events: Sequence[EngineEvent]) -> None:
        for event in events:
            if isinstance(event, Progress):
                claimed = self._held.get(event.job_id)
                if claimed is None:
                    continue
                is_waiting = claimed.next_progress is not None
                claimed.next_progress = event
                if is_waiting:
                    # The store is slow: the newest progress replaces the one before.
                    continue
            self._events.put_nowait(event)

    def drain(self) -> None:
        """Claim no more and end when held jobs are done; called twice, end at once."""
        if self._draining.is_set():
            self._stop_now.set()
        self._draining.set()
        self._report_due.set()
        self._changed.set()

    async def _claim_jobs(self) -> None:
        """Claim what there are slots for; when full, wait, then claim one job to share them."""
        while True:
            free_slots = self._free_slots()
            if not self._is_full():
                jobs = await self._store.claim(
                    max_jobs=MAX_HELD_JOBS - self._num_in_engine,
                    max_width=free_slots,
                    models=[*self._models, EXACT.name],
                )
            else:
                self._changed.clear()
                await _set_within(self._changed, FULL_POLL_S)
                limit = MAX_HELD_JOBS if free_slots is None else MAX_SHARING_JOBS
                jobs = await self._claim_beyond(limit)
            for job in jobs:
                self._accept(job)

    async def _claim_beyond(self, limit: int) -> list[Job]:
        """When full, claim a job of a model and class that has fewer than ``limit`` jobs.

        Jobs of lower classes do not count: the engine lets them wait.
        """
        tried: list[str] = []
        for lowest in reversed(range(len(PRIORITY_CLASSES))):
            held = Counter(
                claimed.job.model
                for claimed in self._held.values()
                if claimed.job.priority <= lowest and not claimed.has_left_engine
            )
            models = [name for name, model in self._models.items() if held[model.name] < limit]
            # Needs no slot.
            models.append(EXACT.name)
            if models == tried:
                continue
            if not self._is_full():
                break
            if jobs := await self._store.claim(
                max_jobs=1, can_wait=False, models=models, down_to=lowest
            ):
                return jobs
            tried = models
        return []

    @property
    def _num_in_engine(self) -> int:
        return sum(not claimed.has_left_engine for claimed in self._held.values())

    def _is_full(self) -> bool:
        free_slots = self._free_slots()
        return self._num_in_engine >= MAX_HELD_JOBS or (free_slots is not None and free_slots <= 0)

    def _accept(self, job: Job) -> None:
        """Start a job synchronously: a cancellation after its claim must find it started."""
        if job.id in self._held:
            # It was lost and claimed again. The run here goes on and may still have a result.
            self._held[job.id].again = job
            return
        now_s = time.time()
        trace = JobTrace(self._tracer, job, claimed_s=now_s)
        try:
            claimed = ClaimedJob.parse(job, self._models, now_s=now_s, trace=trace)
        except (CoreError, ServerError) as error:
            self._results.start(self._results.refuse(job, trace, error))
            return
        if not self._held:
            self._report_due.set()
        self._held[job.id] = claimed
        if not claimed.needs_engine:
            claimed.has_left_engine = True
            self._events.put_nowait(Finished(job_id=job.id, outcome="done"))
            return
        offset_s = time.monotonic() - time.time()
        self._send(Submit(job.model, claimed.engine_job(clock_offset_s=offset_s)))

    def _release(self, claimed: ClaimedJob) -> None:
        """Drop a job that ended; start it again if it was claimed again meanwhile."""
        self._held.pop(claimed.job.id, None)
        self._changed.set()
        if claimed.must_restart and claimed.again is not None:
            self._accept(claimed.again)

    async def _follow_cancellations(self) -> None:
        async for job_id in self._store.cancellations():
            claimed = self._held.get(job_id)
            if claimed is not None:
                claimed.is_cancelled, claimed.again = True, None
                self._results.drop_search(claimed)
                self._send(Abort(job_id))

    async def _handle_events(self) -> None:
        while True:
            event = await self._events.get()
            claimed = self._held.get(event.job_id)
            if claimed is not None:
                await self._results.handle(claimed, event)

    async def _send_reports(self) -> None:
        """Report at once when draining starts, soon after work begins, else now and then."""
        while True:
            state = WorkerState.DRAINING if self._draining.is_set() else WorkerState.READY
            is_idle = not self._held
            self._report_due.clear()
            await self._store.report(self._report(state))
            if self._draining.is_set():
                await asyncio.sleep(BUSY_REPORT_S)
                continue
            # A report costs as much as several small jobs: it must not follow each of them.
            await _set_within(self._draining, BUSY_REPORT_S)
            if is_idle and not self._draining.is_set():
                await _set_within(self._report_due, IDLE_REPORT_S - BUSY_REPORT_S)

    async def _wait_until_drained(self, claims: "asyncio.Task[None]") -> None:
        """Return after ``drain``, once no job is left, time is up or a second call came."""
        drain = asyncio.create_task(self._draining.wait())
        await asyncio.wait([drain, claims], return_when=asyncio.FIRST_COMPLETED)
        if not self._draining.is_set():
            drain.cancel()
            await claims
        claims.cancel()
        await asyncio.gather(claims, return_exceptions=True)
        with suppress(TimeoutError):
            async with asyncio.timeout(self._drain_s):
                while self._held and not self._stop_now.is_set():
                    self._changed.clear()
                    await self._changed.wait()


async def _set_within(event: asyncio.Event, timeout_s: float) -> None:
    # Not ``wait_for``: before Python 3.12 it loses a cancellation that comes with the event.
    with suppress(TimeoutError):
        async with asyncio.timeout(timeout_s):
            await event.wait()
