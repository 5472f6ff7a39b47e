"""Hands a job to the store, with what lets its worker go on in the trace of its request."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace

from gram_server.api.context import Context
from gram_server.errors import StoreUnavailable
from gram_server.job import PRIORITY_CLASSES, Job
from gram_server.jobs.store import Ticket
from gram_server.logs import also_logged_with
from gram_server.tracing import Attributes, Span, SpanKind, headers_of


async def enqueue(
    context: Context,
    job: Job,
    *,
    request_id: str,
    parts: Sequence[Job] = (),
    ticket: Ticket | None = None,
) -> str:
    """Submit a job, or the parts of a batch, and return its id, as ``JobStore.submit`` does."""
    with context.tracer.span(
        "enqueue", kind=SpanKind.PRODUCER, attributes=_attributes(context, job)
    ) as span:
        job = _carrying(job, span, request_id)
        parts = [_carrying(part, span, request_id) for part in parts]
        try:
            job_id = await context.store.submit(job, parts=parts, ticket=ticket)
        except (StoreUnavailable, asyncio.CancelledError):
            # It may have come all the same. Who has a ticket may ask for it again.
            if ticket is None:
                await context.store.withdraw(job.id)
            raise
    also_logged_with(job_id=job_id)
    return job_id


def _carrying(job: Job, span: Span, request_id: str) -> Job:
    trace = headers_of(span)
    return replace(
        job,
        request_id=request_id,
        traceparent=trace.get("traceparent"),
        tracestate=trace.get("tracestate"),
    )


def _attributes(context: Context, job: Job) -> Attributes:
    redis = context.settings.redis
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
