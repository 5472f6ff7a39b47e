"""Spans of a worker's work for one job, in the trace that the job carries.

The engine knows nothing of it: its spans are reconstructed from its report at the job's end.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager

from gram_server.engine import Finished
from gram_server.job import PRIORITY_CLASSES, Job
from gram_server.logs import logged_with
from gram_server.tracing import (
    Span,
    SpanKind,
    Tracer,
    below,
    fail,
    log_ids,
    read_trace,
    to_ns,
)


class JobTrace:
    """Spans of a job's wait in the queue, and of the work from its claim to its end."""

    def __init__(self, tracer: Tracer, job: Job, *, claimed_s: float) -> None:
        """``claimed_s`` is when the job left the queue, on the clock of ``time.time()``."""
        self._tracer = tracer
        self._job = job
        self._claimed_s = claimed_s
        parent = read_trace(job.traceparent, job.tracestate)
        queued_s = min(job.submitted_s, claimed_s)
        tracer.start("queue", parent=parent, start_s=queued_s).end(to_ns(claimed_s))
        self._span = tracer.start(
            "solve" if job.sampling is None else "generate",
            parent=parent,
            kind=SpanKind.CONSUMER,
            start_s=claimed_s,
            attributes={
                "messaging.operation.type": "process",
                "messaging.message.id": job.id,
                "gram.puzzle": job.puzzle,
                "gram.model": job.model,
                "gram.width": job.options.width,
                "gram.priority": PRIORITY_CLASSES[job.priority],
                "gram.attempt": job.attempt,
            },
        )
        if job.attempt:
            # The lost worker's span is missing; the trace and the job are the same.
            self._span.add_event("redelivered", attributes={"gram.attempt": job.attempt})

    @contextmanager
    def logged(self) -> Iterator[None]:
        with logged_with(**{**self._job.log_ids, **log_ids(self._span)}):
            yield

    @contextmanager
    def step(self, name: str, kind: SpanKind = SpanKind.INTERNAL) -> Iterator[None]:
        with self.logged(), self._tracer.span(name, parent=below(self._span), kind=kind):
            yield

    def engine_ended(self, end: Finished) -> None:
        """Record the engine's spans: the wait for a slot, then the steps."""
        if not self._span.is_recording():
            return
        admitted_s = self._claimed_s + end.queue_s
        # The engine took the job a moment after the claim.
        ended_s = min(admitted_s + end.engine_s, time.time())
        engine = self._begin("engine", self._span, self._claimed_s)
        engine.set_attributes(
            {
                "gram.supervision_steps": end.supervision_steps,
                "gram.wasted_steps": end.wasted_steps,
                "gram.distinct_solutions": len(end.solutions),
                "gram.valid_trajectories": end.valid_trajectories,
                "gram.verify_mismatches": end.verify_mismatches,
            }
        )
        self._begin("admission", engine, self._claimed_s).end(to_ns(admitted_s))
        steps = self._begin("steps", engine, admitted_s)
        if end.solutions:
            first_s = min(found.ms_since_admission for found in end.solutions) / 1e3
            steps.add_event("first solution", timestamp=to_ns(admitted_s + first_s))
        steps.end(to_ns(ended_s))
        engine.end(to_ns(ended_s))

    def end(self, outcome: str, *, is_failure: bool = False) -> None:
        """``outcome`` says how the job ended, or why it failed."""
        self._span.set_attribute("gram.outcome", outcome)
        if is_failure:
            fail(self._span, outcome)
        self._span.end()

    def _begin(self, name: str, parent: Span, start_s: float) -> Span:
        return self._tracer.start(name, parent=below(parent), start_s=start_s)
