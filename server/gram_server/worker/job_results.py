"""Handles a job's engine events: solutions, exact searches, reduced boards, its end.

Writes to the store in the order of the engine's events. Builds the requests for exact searches and
reads their replies; the searches run in processes of their own. Knows no claims and no engine.
"""

import asyncio
import logging
from collections.abc import Callable, Coroutine
from contextlib import suppress
from dataclasses import replace

import numpy as np
from pydantic import BaseModel

from gram_core.errors import CoreError
from gram_core.puzzles import Tokens
from gram_server.answers import ExactFindings
from gram_server.engine import EngineEvent, Finished, FoundSolution, Progress
from gram_server.errors import JobFailed, LinkClosed, ServerError
from gram_server.job import Event, EventKind, Job, JobState, outcome_of
from gram_server.jobs.store import Outcome, WorkerStore
from gram_server.search_process import Data
from gram_server.tracing import JobTrace, SpanKind
from gram_server.worker.claimed_job import ClaimedJob
from gram_server.worker.engine_loop import Abort, Message
from gram_server.worker.search_pool import SearchDropped, SearchPool

NOTHING = ExactFindings()
REDUCTION_STREAM = 0x7468696E
"""Separates the random draws of a reduction from other uses of the same seed."""

logger = logging.getLogger(__name__)


class JobResults:
    """Writes what the engines find to the store, after the exact searches that it needs."""

    def __init__(
        self,
        store: WorkerStore,
        *,
        send: Callable[[Message], None],
        left_engine: Callable[[], None],
        release: Callable[[ClaimedJob], None],
    ) -> None:
        """``left_engine`` is called when a job only waits for searches, ``release`` at its end."""
        self._store = store
        self._send = send
        self._left_engine = left_engine
        self._release = release
        self._searches = SearchPool()
        self._tasks: set[asyncio.Task[None]] = set()

    async def close(self) -> None:
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._searches.close()

    def start(self, work: Coroutine[None, None, None]) -> None:
        """Run work in the background until ``close``."""
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: "asyncio.Task[None]") -> None:
        self._tasks.discard(task)
        error = None if task.cancelled() else task.exception()
        # When the store is gone, ``JobRunner.run`` says so.
        if error is not None and not isinstance(error, LinkClosed):
            logger.error("a job was not ended: %r", error, exc_info=error)

    def drop_search(self, claimed: ClaimedJob) -> None:
        self._searches.drop(claimed)

    async def handle(self, claimed: ClaimedJob, event: EngineEvent) -> None:
        """Store an event, or start the searches that come before it."""
        if isinstance(event, Progress):
            progress, claimed.next_progress = claimed.next_progress, None
            if progress is not None:
                await self._publish(claimed, EventKind.PROGRESS, claimed.progress(progress))
        elif claimed.reduces_clues:
            # One board after the other; the end waits for them.
            if claimed.reductions is None:
                claimed.reductions = asyncio.Queue()
                self.start(self._reduce_in_order(claimed, claimed.reductions))
            if isinstance(event, Finished):
                self._leave_engine(claimed)
            claimed.reductions.put_nowait(event)
        elif isinstance(event, FoundSolution) and claimed.job.sampling is None:
            # Votes choose among candidates when all are in.
            if claimed.has_verifier:
                await self._publish(claimed, EventKind.SOLUTION, claimed.solution(event))
        elif isinstance(event, FoundSolution):
            await self._publish_board(claimed, event, None)
        elif needs_exact(claimed, event) and not claimed.is_cancelled:
            self._leave_engine(claimed)
            self.start(self._search(claimed, event))
        else:
            await self._finish(claimed, event, without_time(claimed, event))

    async def refuse(self, job: Job, trace: JobTrace, error: CoreError | ServerError) -> None:
        with trace.logged():
            # A rule's message may quote the puzzle.
            reason = error.code if isinstance(error, CoreError) else str(error)
            logger.warning("job=%s refused: %s", job.id, reason)
            await self._store.fail(job.id, code=error.code, detail=str(error))
        trace.end(error.code, is_failure=True)

    async def _publish_board(
        self, claimed: ClaimedJob, found: FoundSolution, puzzle: Tokens | None
    ) -> None:
        claimed.boards.append(claimed.board(found, puzzle))
        await self._publish(claimed, EventKind.SOLUTION, claimed.boards[-1])

    async def _publish(self, claimed: ClaimedJob, kind: EventKind, data: BaseModel) -> None:
        await self._store.publish(claimed.job.id, Event(kind=kind, data=data.model_dump()))

    def _leave_engine(self, claimed: ClaimedJob) -> None:
        claimed.has_left_engine = True
        self._left_engine()

    async def _search(self, claimed: ClaimedJob, end: Finished) -> None:
        try:
            with claimed.trace.step("exact search"):
                exact = await find_exactly(self._searches, claimed, end)
        except SearchDropped:
            await self._finish(claimed, replace(end, outcome="cancelled"))
            return
        except Exception:
            # Whatever broke, in a family of another package too: what the engine found is good.
            with claimed.trace.logged():
                logger.exception("job=%s: the exact search broke", claimed.job.id)
            exact = ExactFindings(ended="failed")
        for tokens in exact.solutions:
            await self._publish(claimed, EventKind.SOLUTION, claimed.exact_solution(tokens))
        await self._finish(claimed, end, exact)

    async def _reduce_in_order(
        self, claimed: ClaimedJob, events: "asyncio.Queue[FoundSolution | Finished]"
    ) -> None:
        job_id = claimed.job.id
        try:
            while isinstance(event := await events.get(), FoundSolution):
                if claimed.is_out_of_time:
                    continue
                with suppress(SearchDropped):
                    puzzle = await reduce_clues(self._searches, claimed, event)
                    if puzzle is not None:
                        await self._publish_board(claimed, event, puzzle)
            await self._finish(claimed, event)
        except LinkClosed:
            raise
        except Exception:
            # Whatever broke, in a family of another package too, the job must end here.
            with claimed.trace.logged():
                logger.exception("job=%s: clues cannot be reduced", job_id)
            claimed.trace.end("thinning_failed", is_failure=True)
            self._send(Abort(job_id))
            await self._store.fail(job_id, code="thinning_failed", detail="clues cannot be reduced")
            self._release(claimed)

    async def _finish(
        self, claimed: ClaimedJob, end: Finished, exact: ExactFindings = NOTHING
    ) -> None:
        """Store the end of a job, unless it was cancelled."""
        claimed.trace.engine_ended(
            queue_s=end.queue_s,
            engine_s=end.engine_s,
            found_s=[found.ms_since_admission / 1e3 for found in end.solutions],
            supervision_steps=end.supervision_steps,
            wasted_steps=end.wasted_steps,
            distinct_solutions=len(end.solutions),
            valid_trajectories=end.valid_trajectories,
            verify_mismatches=end.verify_mismatches,
        )
        if claimed.must_restart or end.outcome == "cancelled":
            claimed.trace.end("cancelled")
        elif end.outcome == "failed":
            detail = "every trajectory left the range of finite numbers"
            with claimed.trace.step("store result", SpanKind.CLIENT):
                await self._store.fail(claimed.job.id, code="engine_failure", detail=detail)
            claimed.trace.end("engine_failure", is_failure=True)
        else:
            is_solving = claimed.job.sampling is None
            answer = claimed.response(end, exact) if is_solving else claimed.generate_response(end)
            outcome: Outcome = JobState.EXPIRED if answer.status == "partial" else JobState.DONE
            result = answer.model_dump()
            with claimed.trace.step("store result", SpanKind.CLIENT):
                await self._store.complete(claimed.job.id, result, outcome=outcome)
            claimed.trace.end(outcome_of(outcome, result))
        self._release(claimed)


def needs_exact(claimed: ClaimedJob, end: Finished) -> bool:
    return end.outcome == "done" and _wants_exact(claimed, end)


def without_time(claimed: ClaimedJob, end: Finished) -> ExactFindings:
    """Return empty findings, marked ``deadline`` if a wanted search ran out of time."""
    is_late = end.outcome == "expired" and _wants_exact(claimed, end)
    return ExactFindings(ended="deadline" if is_late else None)


async def find_exactly(pool: SearchPool, claimed: ClaimedJob, end: Finished) -> ExactFindings:
    """Search within the job's deadline; raise ``SearchDropped`` if the job is cancelled."""
    job, options = claimed.job, claimed.job.options
    wants_answer = options.fallback == "exact" and not end.solutions
    request: Data = {
        "kind": "search",
        "puzzle": job.puzzle,
        "body": job.body,
        "num_answers": (options.max_solutions or 1) if wants_answer else 0,
        "wants_total": options.count == "exact",
    }
    reply = await _ask(pool, claimed, request)
    if reply["ended"] in ("unavailable", "failed"):
        logger.warning("job=%s: exact search %s", job.id, reply.get("why", reply["ended"]))
    total, num_found = reply["total"], reply["num_found"]
    if reply["ended"] == "complete" and num_found < request["num_answers"]:
        total = num_found
    return ExactFindings(
        solutions=tuple(map(_tokens, reply["answers"])),
        total=total,
        at_least=num_found,
        ended=reply["ended"],
    )


async def reduce_clues(
    pool: SearchPool, claimed: ClaimedJob, found: FoundSolution
) -> Tokens | None:
    """Return a puzzle whose only solution is the board, or None if time runs out.

    The same seed and trajectory give the same puzzle. Raises ``SearchDropped`` if the job is
    cancelled, and ``JobFailed`` if the search fails.
    """
    job = claimed.job
    request: Data = {
        "kind": "reduce",
        "puzzle": job.puzzle,
        "task": job.task,
        "board": found.tokens.astype(np.uint8).tobytes().hex(),
        "key": [job.options.seed, (REDUCTION_STREAM << 32) | found.trajectory],
        "num_clues": None if job.sampling is None else job.sampling.num_clues,
    }
    reply = await _ask(pool, claimed, request)
    if reply["ended"] == "failed":
        raise JobFailed(f"clues cannot be reduced: {reply['why']}")
    return _tokens(reply["answers"][0]) if reply["answers"] else None


def _wants_exact(claimed: ClaimedJob, end: Finished) -> bool:
    options = claimed.job.options
    if claimed.dead_end is not None:
        return False
    return options.count == "exact" or (options.fallback == "exact" and not end.solutions)


async def _ask(pool: SearchPool, claimed: ClaimedJob, request: Data) -> Data:
    job = claimed.job
    return await pool.run(request, owner=claimed, client=job.client, deadline_s=job.deadline_s)


def _tokens(answer: str) -> Tokens:
    return np.frombuffer(bytes.fromhex(answer), np.uint8)
