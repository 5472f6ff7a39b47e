"""Conversion of jobs to and from what Redis stores; writer and reader may be two processes."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from gram_server.job import (
    Data,
    Event,
    EventKind,
    Job,
    JobError,
    JobRecord,
    JobState,
    dump,
    from_bytes,
    load_job,
    load_report,
    to_bytes,
)
from gram_server.jobs.queued_job import accepted_event, min_trajectories, sort_key
from gram_server.jobs.store import ClassStats, IdempotencyKey, JobCount, QueueStats
from gram_server.settings import QueueConfig

Fields = Mapping[str, bytes]


def dump_submission(
    job: Job, parts: Sequence[Job], ticket: IdempotencyKey | None, config: QueueConfig
) -> Data:
    """Return the argument of ``submit``: a job, or a batch with its parts."""
    request: Data = {
        "jobs": [dump_submitted(part, config) for part in parts or (job,)],
        "max": config.max_trajectories,
        "max_finished_jobs": config.max_finished_jobs,
        "max_finished_bytes": config.max_finished_bytes,
    }
    if job.owner is None:
        request["max_backlog"] = config.max_backlog_s
    if parts:
        request["batch"] = dump_submitted(job, config)
    if ticket is not None:
        request["ticket"] = {
            "owner": ticket.owner,
            "key": f"{ticket.owner}:{ticket.key}",
            "fingerprint": ticket.fingerprint,
            "keep": config.keep_keys_s,
            "max": config.max_keys,
        }
    return request


def dump_submitted(job: Job, config: QueueConfig) -> Data:
    data: Data = {
        "id": job.id,
        "job": to_bytes(dump(job)).decode(),
        "accepted": to_bytes(accepted_event(job).data).decode(),
        "model": job.model,
        # Stored as they are: as numbers, Lua would have to print them first.
        "priority": str(job.priority),
        "width": str(job.options.width),
        "weight": str(min_trajectories(job)),
        "attempt": str(job.attempt),
        "keep": str(config.keep_finished_s if job.owner is None else config.keep_jobs_s),
        "submitted": job.submitted_s,
    }
    if job.deadline_s is not None:
        data["deadline"] = job.deadline_s
    if job.num_parts:
        data["size"] = job.num_parts
    if job.batch is not None:
        data["batch"] = job.batch
    elif job.owner is not None:
        data |= {"owner": job.owner, "place": sort_key(job)}
    if job.fingerprint is not None:
        data["route"] = job.route
    return data


def load_claimed(taken: Sequence[bytes], offset_s: float) -> Job:
    """Return a job that a worker was given; ``offset_s`` is this host's clock minus Redis's."""
    _, _, payload, attempt, submitted, deadline = taken
    return _on_this_host(load_job(from_bytes(payload)), attempt, submitted, deadline, offset_s)


def load_record(fields: Fields, events: Sequence[Event], offset_s: float) -> JobRecord:
    error = from_bytes(fields["error"]) if "error" in fields else None
    job = load_job(from_bytes(fields["job"]))
    deadline = fields.get("deadline", b"")
    return JobRecord(
        job=_on_this_host(job, fields["attempt"], fields["submitted"], deadline, offset_s),
        state=JobState(fields["state"].decode()),
        result=from_bytes(fields["result"]) if "result" in fields else None,
        error=None if error is None else JobError(**error),
        solutions=tuple(event.data for event in events if event.kind is EventKind.SOLUTION),
        started_s=_time(fields.get("started"), offset_s),
        finished_s=_time(fields.get("finished"), offset_s),
    )


def load_fields(flat: Sequence[bytes]) -> dict[str, bytes]:
    """Parse the flat list of names and values that Redis returns for a hash."""
    return {name.decode(): value for name, value in zip(flat[::2], flat[1::2], strict=True)}


def load_events(entries: Sequence[Any]) -> Iterator[Event]:
    for number, flat in entries:
        fields = load_fields(flat)
        data = from_bytes(fields["data"]) if fields["data"] else {}
        kind = EventKind(fields["kind"].decode())
        yield Event(kind=kind, data=data, id=int(number.partition(b"-")[0]))


def load_notice(text: bytes) -> list[Any]:
    """Return a notice of an ended job in the form of a reply of ``record``."""
    now, fields, events = json.loads(text)
    entries = [(number.encode(), [part.encode() for part in flat]) for number, flat in events]
    return [now, [part.encode() for part in fields], entries, []]


def load_stats(
    reply: Sequence[Any],
    *,
    max_trajectories: int,
    store_errors: Mapping[str, int],
    refusal: str | None,
) -> QueueStats:
    _, reserved, running, redelivered, dead, classes, reports, *rest = reply
    counts, backlog, (finished_jobs, finished_bytes, forgotten_early) = rest
    return QueueStats(
        classes=tuple(
            ClassStats(num_jobs=jobs, num_trajectories=width, oldest_age_s=float(age))
            for jobs, width, age in classes
        ),
        num_running=running,
        reserved_trajectories=reserved,
        max_trajectories=max_trajectories,
        backlog_s={model: float(value) for model, value in load_fields(backlog).items()},
        redelivered=redelivered,
        dead_letters=dead,
        finished_jobs=finished_jobs,
        finished_bytes=finished_bytes,
        forgotten_early=forgotten_early,
        store_errors=store_errors,
        counts={
            JobCount(what, model, int(priority)): int(value)
            for name, value in load_fields(counts).items()
            for what, priority, model in [name.split(":", 2)]
        },
        refusal=refusal,
        workers=tuple(load_report(from_bytes(report)) for report in reports),
    )


def _on_this_host(
    job: Job, attempt: bytes, submitted: bytes, deadline: bytes, offset_s: float
) -> Job:
    return replace(
        job,
        attempt=int(attempt),
        submitted_s=float(submitted) + offset_s,
        deadline_s=float(deadline) + offset_s if deadline else None,
    )


def _time(text: bytes | None, offset_s: float) -> float | None:
    return None if text is None else float(text) + offset_s
