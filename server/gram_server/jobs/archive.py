"""Jobs that have ended, for as long as somebody may ask for them, each as one piece of text.

As objects they would be most of what the process has, and the garbage collector would stop it for a
tenth of a second now and then to look through them all.
"""

from collections.abc import Callable
from typing import NamedTuple

from gram_server.job import JobError, JobState
from gram_server.jobs.codec import (
    Data,
    dump_event,
    dump_job,
    from_bytes,
    load_event,
    load_job,
    to_bytes,
)
from gram_server.jobs.entry import Entry, final_event, place
from gram_server.settings import QueueConfig


class Kept(NamedTuple):
    """One job, with what must be known of it without reading it."""

    id: str
    place: str
    finished_s: float
    batch: str | None
    owner: str | None
    text: bytes


class Archive:
    """What has ended, oldest first."""

    def __init__(self, config: QueueConfig) -> None:
        # Those that are soon forgotten, and those that an owner may look up later.
        self._kept: tuple[dict[str, Kept], dict[str, Kept]] = ({}, {})
        self._keep_s = (config.keep_finished_s, config.keep_jobs_s)

    def put(self, entry: Entry, finished_s: float) -> None:
        """Keep an entry that will not change any more."""
        job = entry.job
        text = to_bytes(_dump(entry))
        kept = Kept(job.id, place(job), finished_s, job.batch, job.owner, text)
        self._kept[job.owner is not None][job.id] = kept

    def find(self, job_id: str, *, has_parts: bool = True) -> Entry | None:
        """Return the entry of a job, or None; that of a batch also without its parts."""
        for kept in self._kept:
            if job_id in kept:
                return self._load(kept[job_id], has_parts=has_parts)
        return None

    def has(self, job_id: str) -> bool:
        """Return whether the entry of a job is kept."""
        return any(job_id in kept for kept in self._kept)

    def places_of(self, owner: str) -> list[str]:
        """Return the places of an owner's jobs, without the parts of batches."""
        return [
            kept.place
            for kept in self._kept[True].values()
            if kept.owner == owner and kept.batch is None
        ]

    def forget(self, now_s: float, *, is_needed: Callable[[str], bool]) -> None:
        """Drop what has been kept for long enough; ``is_needed`` says so of a batch's parts."""
        for entries, keep_s in zip(self._kept, self._keep_s, strict=True):
            while entries:
                kept = next(iter(entries.values()))
                is_part_needed = kept.batch is not None and is_needed(kept.batch)
                if is_part_needed or kept.finished_s > now_s - keep_s:
                    break
                del entries[kept.id]

    def _load(self, kept: Kept, *, has_parts: bool) -> Entry:
        data = from_bytes(kept.text)
        entry = Entry(
            job=load_job(data["job"]),
            state=JobState(data["state"]),
            result=data["result"],
            error=None if data["error"] is None else JobError(**data["error"]),
            events=[load_event(event) for event in data["events"]],
            started_s=data["started"],
            finished_s=kept.finished_s,
        )
        entry.append(final_event(entry))
        names = data["parts"] if has_parts else ()
        entry.parts = tuple(part for name in names if (part := self.find(name)))
        return entry


def _dump(entry: Entry) -> Data:
    error = entry.error
    return {
        "job": dump_job(entry.job),
        "state": entry.state,
        "result": entry.result,
        "error": None if error is None else {"code": error.code, "detail": error.detail},
        "events": [dump_event(event) for event in entry.events[:-1]],
        "started": entry.started_s,
        "parts": [part.job.id for part in entry.parts],
    }
