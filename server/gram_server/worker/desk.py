"""The worker's dealings with the store, in a thread of their own: claim, tell, finish, hand back.

Asynchronous; never touches an engine, only its loop's inbox.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Coroutine, Sequence
from contextlib import suppress
from dataclasses import replace

from gram_core.catalog import ModelInfo
from gram_core.errors import CoreError
from gram_server.engine import EngineEvent, Finished, FoundSolution, Progress
from gram_server.errors import LinkClosed, ServerError
from gram_server.job import (
    Event,
    EventKind,
    Job,
    JobState,
    WorkerReport,
    WorkerState,
    outcome_of,
)
from gram_server.jobs.store import Outcome, WorkerStore
from gram_server.tracing import SpanKind, Tracer
from gram_server.worker.assignment import Assignment, ExactFindings
from gram_server.worker.boards import Thinned, board, boards_result, is_out_of_time, thinned
from gram_server.worker.engine_loop import Abort, Message, Submit
from gram_server.worker.exact import find_exactly, needs_exact, thin, without_time
from gram_server.worker.intake import Intake
from gram_server.worker.job_trace import JobTrace
from gram_server.worker.search_pool import SearchDropped, SearchPool

BUSY_REPORT_S = 1.0
IDLE_REPORT_S = 5.0
NOTHING = ExactFindings()

logger = logging.getLogger(__name__)


class Desk:
    """Holds the claimed jobs and answers for every one of them."""

    def __init__(
        self,
        store: WorkerStore,
        models: Sequence[ModelInfo],
        *,
        send: Callable[[Message], None],
        report: Callable[[WorkerState], WorkerReport],
        drain_s: float,
        room: Callable[[], int | None] = lambda: None,
        tracer: Tracer | None = None,
    ) -> None:
        """Open for work; must be called in the event loop.

        Args:
            store: the worker's side of the store.
            models: the models whose jobs can be worked on.
            send: puts a message into the engine loop's inbox.
            report: makes a report of the worker in a state.
            drain_s: how long live jobs may go on after ``drain``.
            room: says for how many trajectories there are slots; None where no other worker could
                take what this one leaves.
            tracer: begins the spans of jobs; None records none.
        """
        self._store = store
        self._models = {name: model for model in models for name in (model.name, model.id)}
        self._send = send
        self._report = report
        self._drain_s = drain_s
        self._tracer = tracer or Tracer()
        self._held: dict[str, Assignment] = {}
        self._changed = asyncio.Event()
        self._outgoing: asyncio.Queue[EngineEvent] = asyncio.Queue()
        self._snapshots: dict[str, Progress] = {}
        self._draining = asyncio.Event()
        self._news = asyncio.Event()
        self._hurry = asyncio.Event()
        self._searches = SearchPool()
        self._searching: set[Assignment] = set()
        """Jobs that the engine has ended, and that only wait for exact searches."""
        self._intake = Intake(
            store, self._models, room, held=self._held, aside=self._searching, news=self._changed
        )
        self._beside: set[asyncio.Task[None]] = set()
        self._lines: dict[str, asyncio.Queue[FoundSolution | Finished]] = {}

    async def run(self) -> None:
        """Work until drained; raise ``LinkClosed`` when the store goes away first."""
        claims = asyncio.create_task(self._claim_jobs())
        tasks = [
            claims,
            asyncio.create_task(self._follow_cancellations()),
            asyncio.create_task(self._tell()),
            asyncio.create_task(self._report_often()),
        ]
        drained = asyncio.create_task(self._wait_until_drained(claims))
        try:
            done, _ = await asyncio.wait([*tasks[1:], drained], return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
            if not drained.done():
                raise LinkClosed("the store is gone")
            await self._hand_back()
        finally:
            for task in (*tasks, drained, *self._beside):
                task.cancel()
            await asyncio.gather(*tasks, drained, *self._beside, return_exceptions=True)
            await self._searches.close()
            for assignment in self._held.values():
                assignment.trace.end("store_lost", is_failure=True)

    def put(self, events: Sequence[EngineEvent]) -> None:
        """Take events of the engines, to be told to the store in their order."""
        for event in events:
            if isinstance(event, Progress):
                is_waiting = event.job_id in self._snapshots
                self._snapshots[event.job_id] = event
                if is_waiting:
                    # The store is slow: what it has not heard yet is told as it stands now.
                    continue
            self._outgoing.put_nowait(event)

    def drain(self) -> None:
        """Claim no more and end when what is held is done; asked twice, end at once."""
        if self._draining.is_set():
            self._hurry.set()
        self._draining.set()
        self._news.set()
        self._changed.set()

    async def _claim_jobs(self) -> None:
        while True:
            for job in await self._intake.claim():
                self._accept(job)

    def _accept(self, job: Job) -> None:
        """Begin with a job, at once: who cancels it after its claim must find it begun."""
        if job.id in self._held:
            # It was lost and came back. Its run may still have a result, and is the only one here.
            self._held[job.id].again = job
            return
        now_s = time.time()
        trace = JobTrace(self._tracer, job, claimed_s=now_s)
        try:
            assignment = Assignment.take(job, self._models, now_s=now_s, trace=trace)
        except (CoreError, ServerError) as error:
            self._keep(self._refuse(job, trace, error))
            return
        if not self._held:
            self._news.set()
        self._held[job.id] = assignment
        offset_s = time.monotonic() - time.time()
        self._send(Submit(job.model, assignment.engine_job(clock_offset_s=offset_s)))

    async def _refuse(self, job: Job, trace: JobTrace, error: CoreError | ServerError) -> None:
        with trace.logged():
            # The words of the rules may quote the puzzle.
            reason = error.code if isinstance(error, CoreError) else str(error)
            logger.warning("job=%s refused: %s", job.id, reason)
            await self._store.fail(job.id, code=error.code, detail=str(error))
        trace.end(error.code, is_failure=True)

    async def _follow_cancellations(self) -> None:
        async for job_id in self._store.cancellations():
            if job_id in self._held:
                self._held[job_id].is_cancelled = True
                self._held[job_id].again = None
                self._searches.drop(self._held[job_id])
                self._send(Abort(job_id))

    async def _tell(self) -> None:
        """Pass on what the engines found and finished, in its order."""
        while True:
            event = await self._outgoing.get()
            assignment = self._held.get(event.job_id)
            if isinstance(event, Progress):
                event = self._snapshots.pop(event.job_id)
                if assignment is not None:
                    await self._show(assignment, event)
            elif assignment is None:
                continue
            elif assignment.is_thinned:
                self._line_up(assignment, event)
            elif isinstance(event, FoundSolution):
                await self._publish(assignment, event)
            elif needs_exact(assignment, event) and not assignment.is_cancelled:
                self._wait_for_searches(assignment)
                self._keep(self._search(assignment, event))
            else:
                await self._finish(assignment, event, without_time(assignment, event))

    async def _show(self, assignment: Assignment, snapshot: Progress) -> None:
        """Tell how a watched job stands."""
        event = Event(kind=EventKind.PROGRESS, data=assignment.progress(snapshot).model_dump())
        await self._store.publish(assignment.job.id, event)

    def _wait_for_searches(self, assignment: Assignment) -> None:
        """Leave the place of a job that the engine has ended to another."""
        self._searching.add(assignment)
        self._changed.set()

    async def _search(self, assignment: Assignment, end: Finished) -> None:
        try:
            with assignment.trace.step("exact search"):
                exact = await find_exactly(self._searches, assignment, end)
        except SearchDropped:
            await self._finish(assignment, replace(end, outcome="cancelled"))
            return
        except Exception:
            # Whatever the search choked on, the engine's own findings are still good.
            with assignment.trace.logged():
                logger.exception("job=%s: the exact search broke", assignment.job.id)
            exact = ExactFindings(ended="failed")
        for tokens in exact.solutions:
            solution = assignment.exact_solution(tokens)
            event = Event(kind=EventKind.SOLUTION, data=solution.model_dump())
            await self._store.publish(assignment.job.id, event)
        await self._finish(assignment, end, exact)

    def _line_up(self, assignment: Assignment, event: FoundSolution | Finished) -> None:
        """Let the boards of a job be thinned one after the other, and its end wait for them."""
        line = self._lines.get(event.job_id)
        if line is None:
            line = self._lines[event.job_id] = asyncio.Queue()
            self._keep(self._thin_in_turn(assignment, line))
        if isinstance(event, Finished):
            self._wait_for_searches(assignment)
        line.put_nowait(event)

    async def _thin_in_turn(
        self, assignment: Assignment, line: "asyncio.Queue[FoundSolution | Finished]"
    ) -> None:
        job_id = assignment.job.id
        try:
            while isinstance(event := await line.get(), FoundSolution):
                if not is_out_of_time(assignment):
                    await self._thin(assignment, event)
            await self._finish(assignment, event)
        except Exception:
            with assignment.trace.logged():
                logger.exception("job=%s: thinning broke", job_id)
            assignment.trace.end("thinning_failed", is_failure=True)
            self._send(Abort(job_id))
            await self._store.fail(job_id, code="thinning_failed", detail="a board is not thinned")
            self._let_go(job_id)
        finally:
            del self._lines[job_id]

    async def _thin(self, assignment: Assignment, found: FoundSolution) -> None:
        with suppress(SearchDropped):
            tokens = await thin(self._searches, assignment, found)
            if tokens is not None:
                await self._publish(assignment, found, thinned(assignment, tokens))

    async def _publish(
        self, assignment: Assignment, found: FoundSolution, puzzle: Thinned | None = None
    ) -> None:
        if assignment.job.sampling is None:
            data = assignment.solution(found).model_dump()
        else:
            assignment.boards.append(board(assignment, found, puzzle))
            data = assignment.boards[-1].model_dump()
        await self._store.publish(found.job_id, Event(kind=EventKind.SOLUTION, data=data))

    async def _finish(
        self, assignment: Assignment, end: Finished, exact: ExactFindings = NOTHING
    ) -> None:
        """Store the end of a job; nobody is told of a cancelled one."""
        job_id, trace = end.job_id, assignment.trace
        trace.engine_ended(end)
        if assignment.again is not None and assignment.is_cancelled:
            trace.end("cancelled")
            self._let_go(job_id)
            self._accept(assignment.again)
            return
        if end.outcome == "failed":
            detail = "every trajectory left the range of finite numbers"
            with trace.step("store result", SpanKind.CLIENT):
                await self._store.fail(job_id, code="engine_failure", detail=detail)
            trace.end("engine_failure", is_failure=True)
        elif end.outcome == "cancelled":
            trace.end(end.outcome)
        else:
            is_solving = assignment.job.sampling is None
            answer = assignment.result(end, exact) if is_solving else boards_result(assignment, end)
            is_partial, result = answer.status == "partial", answer.model_dump()
            outcome: Outcome = JobState.EXPIRED if is_partial else JobState.DONE
            with trace.step("store result", SpanKind.CLIENT):
                await self._store.complete(job_id, result, outcome=outcome)
            trace.end(outcome_of(outcome, result))
        self._let_go(job_id)

    def _let_go(self, job_id: str) -> None:
        assignment = self._held.pop(job_id, None)
        if assignment is not None:
            self._searching.discard(assignment)
        self._changed.set()

    def _keep(self, work: Coroutine[None, None, None]) -> None:
        """Run work beside the rest, and end it with the rest."""
        task = asyncio.create_task(work)
        self._beside.add(task)
        task.add_done_callback(self._beside.discard)

    async def _report_often(self) -> None:
        while True:
            state = WorkerState.DRAINING if self._draining.is_set() else WorkerState.READY
            await self._store.report(self._report(state))
            interval_s = BUSY_REPORT_S if self._held else IDLE_REPORT_S
            if self._draining.is_set():
                await asyncio.sleep(interval_s)
                continue
            # The first job after a pause, and the order to drain, are told of at once.
            self._news.clear()
            with suppress(TimeoutError):
                async with asyncio.timeout(interval_s):
                    await self._news.wait()

    async def _wait_until_drained(self, claims: "asyncio.Task[None]") -> None:
        """Return once told to drain and out of work, time or patience."""
        drain = asyncio.create_task(self._draining.wait())
        await asyncio.wait([drain, claims], return_when=asyncio.FIRST_COMPLETED)
        if not self._draining.is_set():
            drain.cancel()
            await claims
        claims.cancel()
        await asyncio.gather(claims, return_exceptions=True)
        with suppress(TimeoutError):
            async with asyncio.timeout(self._drain_s):
                await self._wait_until_idle()

    async def _wait_until_idle(self) -> None:
        hurry = asyncio.create_task(self._hurry.wait())
        try:
            while self._held and not hurry.done():
                self._changed.clear()
                changed = asyncio.create_task(self._changed.wait())
                await asyncio.wait([changed, hurry], return_when=asyncio.FIRST_COMPLETED)
                changed.cancel()
        finally:
            hurry.cancel()

    async def _hand_back(self) -> None:
        """Return what is still held, so that another worker starts on it at once."""
        if self._held:
            logger.warning("handing back %d jobs", len(self._held))
            await self._store.hand_back(list(self._held))
        for assignment in self._held.values():
            assignment.trace.end("handed_back")
        self._held.clear()
        self._searching.clear()
