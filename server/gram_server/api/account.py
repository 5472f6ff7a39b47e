"""Follows an accepted job to the answer of its request, and counts how it ended, exactly once.

A request that goes away without an answer, for whatever reason, gives its job up.
"""

import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from gram_server.api.context import Context
from gram_server.api.deadline_result import deadline_result
from gram_server.api.enqueue import enqueue
from gram_server.errors import (
    JobFailed,
    JobInterrupted,
    LinkClosed,
    NotReady,
)
from gram_server.job import Job, JobRecord, JobState, ModelReport, outcome_of
from gram_server.metrics import Outcome

Result = Mapping[str, Any]
"""The body of a 200 answer."""


@dataclass(slots=True, kw_only=True)
class Account:
    """An accepted job whose request waits for its answer."""

    context: Context
    job: Job
    model: ModelReport
    started_s: float
    outcome: Outcome | None = None

    @property
    def duration_s(self) -> float:
        """Seconds since the job was accepted."""
        return time.perf_counter() - self.started_s

    def close(self, record: JobRecord) -> Result:
        """Return the answer that a final record is; raise ``JobFailed`` where it is none."""
        self.outcome = "failed"
        if record.state is JobState.FAILED and record.error is not None:
            raise JobFailed(f"{record.error.code}: {record.error.detail}")
        if record.state is JobState.CANCELLED and self.context.lifecycle.has_given_up:
            raise JobInterrupted("the server stopped before the job was done")
        if record.state is JobState.CANCELLED:
            self.outcome = "cancelled"
            raise JobFailed("the job was cancelled")
        result = record.result or deadline_result(record, self.model, now_s=self.context.clock())
        self.outcome = outcome_of(record.state, result)
        self._observe(result)
        return result

    def _observe(self, result: Result) -> None:
        usage = result["usage"]
        firsts = _found_ms(result)
        queue_s, engine_s = usage["queue_ms"] / 1e3, usage["engine_ms"] / 1e3
        self.context.metrics.observe_job(
            model=self.job.model,
            queue_s=queue_s,
            engine_s=engine_s,
            first_solution_s=queue_s + min(firsts) / 1e3 if firsts else None,
        )
        if self.job.sampling is not None:
            self.context.metrics.observe_boards(
                puzzle=self.job.puzzle,
                num_boards=len(result["boards"]),
                num_valid=result["valid_trajectories"],
                num_trajectories=result["trajectories"],
            )


@asynccontextmanager
async def open_account(
    context: Context, job: Job, model: ModelReport, *, request_id: str
) -> AsyncIterator[Account]:
    """Submit a job and follow it; leaving without an answer cancels it."""
    try:
        await enqueue(context, job, request_id=request_id)
    except LinkClosed as error:
        raise NotReady("the server is stopping and takes no new work") from error
    account = Account(context=context, job=job, model=model, started_s=time.perf_counter())
    context.lifecycle.inflight.add(job.id)
    try:
        yield account
    except LinkClosed as error:
        account.outcome = "failed"
        raise JobInterrupted("the server stopped before the job was done") from error
    finally:
        context.lifecycle.inflight.discard(job.id)
        if account.outcome is None:
            await context.store.withdraw(job.id)
        context.metrics.count_request(
            account.outcome or "cancelled", model=job.model, priority=job.priority
        )
        context.metrics.observe_request(account.duration_s, model=job.model)


def _found_ms(result: Result) -> list[float]:
    """Return when each solution or board was found, since the job entered the engine."""
    if "boards" in result:
        return [board["ms"] for board in result["boards"]]
    return [entry["first"]["ms"] for entry in result["solutions"] if entry["first"]]
