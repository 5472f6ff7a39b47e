"""Submits the job of a request, and waits for its answer.

Each outcome is counted exactly once. A request that ends without an answer withdraws its job.
"""

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import Any

from starlette.types import Scope

from gram_server.api.errors import problem_of
from gram_server.api.requests import ParsedRequest
from gram_server.api.serializers import deadline_result
from gram_server.api.state import AppState, key_of
from gram_server.errors import (
    JobFailed,
    JobGone,
    JobInterrupted,
    KeyConflict,
    LinkClosed,
    NotReady,
    QueueFull,
    RateLimited,
    StoreUnavailable,
)
from gram_server.job import PRIORITY_CLASSES, Job, JobRecord, JobState, ModelReport, outcome_of
from gram_server.jobs.store import IdempotencyKey
from gram_server.logs import also_logged_with
from gram_server.metrics import Outcome
from gram_server.tracing import Attributes, SpanKind, headers_of

CHECK_S = 1.0
"""Seconds between checks that a worker for the job is left."""
BURST_S = 10.0
"""Burst of an idle key, in seconds of its rate."""
MAX_WAIT_S = 86400.0
"""Upper bound of ``retry_after_s``."""
NOT_DONE = (QueueFull, KeyConflict, JobGone, NotReady, JobInterrupted, StoreUnavailable)
"""Refusals after which tokens are refunded."""

Result = Mapping[str, Any]
"""The body of a 200 answer."""

logger = logging.getLogger(__name__)


@dataclass(slots=True, kw_only=True)
class PendingRequest:
    """An accepted job whose request waits for the answer."""

    state: AppState
    job: Job
    model: ModelReport
    started_s: float
    outcome: Outcome | None = None

    @property
    def duration_s(self) -> float:
        return time.perf_counter() - self.started_s

    def finish(self, record: JobRecord) -> Result:
        """Return the answer in a final record; raise ``JobFailed`` where there is none."""
        self.outcome = "failed"
        if record.state is JobState.FAILED and record.error is not None:
            raise JobFailed(f"{record.error.code}: {record.error.detail}")
        if record.state is JobState.CANCELLED and self.state.lifecycle.has_given_up:
            raise JobInterrupted("the server stopped before the job was done")
        if record.state is JobState.CANCELLED:
            self.outcome = "cancelled"
            raise JobFailed("the job was cancelled")
        now_s = self.state.clock()
        result = record.result or deadline_result(record, self.model, now_s=now_s)
        self.outcome = outcome_of(record.state, result)
        self._observe(result)
        return result

    def _observe(self, result: Result) -> None:
        usage = result["usage"]
        queue_s, engine_s = usage["queue_ms"] / 1e3, usage["engine_ms"] / 1e3
        if self.job.sampling is None:
            found_ms = [entry["first"]["ms"] for entry in result["solutions"] if entry["first"]]
        else:
            found_ms = [board["ms"] for board in result["boards"]]
            self.state.metrics.observe_boards(
                puzzle=self.job.puzzle,
                num_boards=len(result["boards"]),
                num_valid=result["valid_trajectories"],
                num_trajectories=result["trajectories"],
            )
        self.state.metrics.observe_job(
            model=self.job.model,
            queue_s=queue_s,
            engine_s=engine_s,
            first_solution_s=queue_s + min(found_ms) / 1e3 if found_ms else None,
        )


@asynccontextmanager
async def track(
    state: AppState, parsed: ParsedRequest, *, request_id: str
) -> AsyncIterator[PendingRequest]:
    """Submit a job; leaving without an outcome withdraws it."""
    job, model = parsed.job, parsed.model
    try:
        await submit(state, job, request_id=request_id)
    except LinkClosed as error:
        raise NotReady("the server is stopping and takes no new work") from error
    pending = PendingRequest(state=state, job=job, model=model, started_s=time.perf_counter())
    state.lifecycle.inflight.add(job.id)
    try:
        yield pending
    except LinkClosed as error:
        pending.outcome = "failed"
        raise JobInterrupted("the server stopped before the job was done") from error
    finally:
        state.lifecycle.inflight.discard(job.id)
        if pending.outcome is None:
            await state.store.withdraw(job.id)
        outcome = pending.outcome or "cancelled"
        state.metrics.count_request(outcome, model=job.model, priority=job.priority)
        state.metrics.observe_request(pending.duration_s, model=job.model)


async def wait_for_end(state: AppState, job: Job) -> JobRecord:
    """Return the record of a job once it is final; raise ``NotReady`` where no worker is left."""
    if not state.workers.is_remote:
        # A child worker is restarted.
        return await state.store.wait(job.id, timeout_s=None)
    waiting = asyncio.ensure_future(state.store.wait(job.id, timeout_s=None))
    try:
        while not (await asyncio.wait((waiting,), timeout=CHECK_S))[0]:
            state.workers.check_served(job)
        return waiting.result()
    finally:
        await give_up(waiting)


async def give_up(work: asyncio.Future[Any]) -> None:
    """Cancel work, or drop its result."""
    if not work.done():
        work.cancel()
        await asyncio.gather(work, return_exceptions=True)
    elif not work.cancelled():
        # Retrieved here, as asyncio warns of exceptions that nobody retrieves.
        work.exception()


async def submit(
    state: AppState,
    job: Job,
    *,
    request_id: str,
    parts: Sequence[Job] = (),
    ticket: IdempotencyKey | None = None,
) -> str:
    """Submit a job, or the parts of a batch, and return its id, as ``JobStore.submit`` does."""
    with state.tracer.span("enqueue", kind=SpanKind.PRODUCER) as span:
        if span.is_recording():
            span.set_attributes(_attributes(state, job))
        trace = headers_of(span)
        sender: dict[str, Any] = {
            "request_id": request_id,
            "traceparent": trace.get("traceparent"),
            "tracestate": trace.get("tracestate"),
        }
        try:
            job_id = await state.store.submit(
                replace(job, **sender),
                parts=[replace(part, **sender) for part in parts],
                ticket=ticket,
            )
        except (StoreUnavailable, asyncio.CancelledError):
            # The store may have it all the same. With a ticket the client can retry.
            if ticket is None:
                await state.store.withdraw(job.id)
            raise
    also_logged_with(job_id=job_id)
    return job_id


def _attributes(state: AppState, job: Job) -> Attributes:
    redis = state.settings.redis
    attributes: Attributes = {
        "messaging.system": "memory" if redis.store is None else "redis",
        "messaging.destination.name": redis.queue_name,
        "messaging.operation.type": "send",
        "messaging.message.id": job.id,
        "gram.puzzle": job.puzzle,
        "gram.priority": PRIORITY_CLASSES[job.priority],
    }
    if job.num_parts:
        return {**attributes, "messaging.batch.message_count": job.num_parts}
    return {**attributes, "gram.model": job.model, "gram.width": job.options.width}


def count_refusal(state: AppState, error: Exception) -> None:
    kind = problem_of(error).type
    state.metrics.count_request("rejected" if kind.is_retryable else "invalid")
    state.metrics.count_rejected(kind.code)


@asynccontextmanager
async def charged(state: AppState, scope: Scope, charge: Callable[[], int]) -> AsyncIterator[None]:
    """Take tokens for trajectories from the request's key; raise ``RateLimited`` without any.

    One request may take more tokens than there are: the key then waits longer. Refusals refund
    them.
    """
    key = key_of(scope)
    if key is None or key.trajectories_per_s is None:
        yield
        return
    width = charge()
    wait_s = await _take_tokens(state, scope, width)
    if wait_s > 0:
        raise RateLimited(
            f"key {key.name} may ask for {key.trajectories_per_s:g} trajectories per second",
            retry_after_s=round(min(max(1.0, wait_s + 0.5), MAX_WAIT_S)),
        )
    try:
        yield
    except NOT_DONE:
        await give_back(state, scope, width)
        raise


async def give_back(state: AppState, scope: Scope, width: int) -> None:
    try:
        await _take_tokens(state, scope, -width)
    except StoreUnavailable as error:
        logger.warning("%d trajectories stay charged: %s", width, error)


async def _take_tokens(state: AppState, scope: Scope, width: int) -> float:
    key = key_of(scope)
    if key is None or key.trajectories_per_s is None:
        return 0.0
    rate = key.trajectories_per_s
    return await state.store.take_tokens(key.name, width, rate=rate, burst=rate * BURST_S)
