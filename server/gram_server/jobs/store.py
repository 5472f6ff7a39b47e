"""The interface between the API and the workers: two protocols over one queue of jobs.

Every store keeps these promises, and one test suite checks them for all: the bound is never passed;
a job reaches exactly one final state, and the first write of it wins; a job whose worker is lost
goes to another until ``max_attempts``; events are numbered and can be replayed; an idempotency key
stands for one job, however often it is submitted.
"""

import math
from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, NamedTuple, Protocol, Required, TypedDict, Unpack

from gram_server.errors import QueueFull
from gram_server.job import PRIORITY_CLASSES, Event, Job, JobRecord, JobState, WorkerReport
from gram_server.settings import QueueConfig

ACCEPTED = "accepted"
MAX_RETRY_AFTER_S = 60

Outcome = Literal[JobState.DONE, JobState.EXPIRED]


class JobCount(NamedTuple):
    """The labels of one counter of jobs.

    It is updated in the step that accepts or ends a job, so that a lost process can neither lose a
    count nor repeat one.
    """

    what: str
    """``accepted``, or the outcome."""
    model: str
    priority: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ClassStats:
    """One priority class of the queue."""

    num_jobs: int = 0
    """Jobs no worker has claimed."""
    num_trajectories: int = 0
    """Their widths, summed."""
    oldest_age_s: float = 0.0
    """Age of the job that has waited longest; 0 when none waits."""


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueStats:
    """What the queue holds at one moment."""

    classes: tuple[ClassStats, ...] = (ClassStats(),) * len(PRIORITY_CLASSES)
    """One for each of ``PRIORITY_CLASSES``."""
    num_running: int = 0
    reserved_trajectories: int = 0
    """Widths of all unfinished jobs, summed: what is bounded."""
    max_trajectories: int = 0
    backlog_s: Mapping[str, float] = field(default_factory=dict)
    """Seconds that the unfinished jobs of each model will take; 0 where none waits or unknown."""
    counts: Mapping[JobCount, int] = field(default_factory=dict)
    """Jobs ever accepted, and ended by outcome; parts of batches count, batches do not."""
    redelivered: int = 0
    """How often a job went back to the queue because its worker was lost, ever."""
    dead_letters: int = 0
    """How many jobs failed because too many workers were lost, ever."""
    finished_jobs: int = 0
    """Ended jobs that are kept."""
    finished_bytes: int = 0
    """Their approximate size."""
    forgotten_early: int = 0
    """Ended jobs ever dropped before their time, as there were too many."""
    store_errors: Mapping[str, int] = field(default_factory=dict)
    """Calls of this process to the store that failed, by kind."""
    refusal: str | None = None
    """Why the store takes no new jobs; None where it does."""
    workers: tuple[WorkerReport, ...] = field(default=())
    """Last report of every connected worker."""


@dataclass(frozen=True, slots=True, kw_only=True)
class IdempotencyKey:
    """A caller's promise that two requests of one key are the same request."""

    owner: str
    key: str
    fingerprint: str
    """Digest of everything that the request asks for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """A part of an owner's list of jobs, newest first."""

    records: tuple[JobRecord, ...]
    cursor: str | None
    """Where the next part starts; None at the end."""


class Room(TypedDict, total=False):
    """What a worker may be given by one claim."""

    max_jobs: Required[int]
    max_width: int | None
    """Trajectories: no more jobs are taken once their widths reach it. None for no limit."""
    can_wait: bool
    """Whether to wait for a job, as is done by default; otherwise there may be none."""
    models: Collection[str] | None
    """The loaded models, by name and by name@fingerprint: jobs of others stay for workers that have
    them. None takes any."""
    down_to: int | None
    """The lowest priority class to take from. None takes from all."""


class JobStore(Protocol):
    """The API's side: submit jobs, follow them, cancel them."""

    async def submit(
        self, job: Job, *, parts: Sequence[Job] = (), ticket: IdempotencyKey | None = None
    ) -> str:
        """Queue a job, or the parts of a batch, and return its id.

        Returns the id of the earlier job where the ticket was used before. Raises ``QueueFull``
        when the widths do not fit, or a job without an owner, whose request waits for it, would be
        too late; ``KeyConflict`` where the ticket stands for another request; ``JobGone`` where its
        job is forgotten.
        """
        ...

    async def known(self, ticket: IdempotencyKey) -> str | None:
        """Return the id of the job of a ticket; None where the ticket is new.

        Raises ``KeyConflict`` and ``JobGone`` as ``submit`` does.
        """
        ...

    async def page(self, owner: str, *, cursor: str | None, limit: int) -> Page:
        """Return a part of the owner's jobs, without the parts of batches."""
        ...

    def events(self, job_id: str, *, after: int = 0) -> AsyncIterator[Event]:
        """Replay events with an id above ``after``, then follow; end after a final event.

        Raises ``JobNotFound`` at the first step.
        """
        ...

    async def wait(self, job_id: str, *, timeout_s: float | None) -> JobRecord:
        """Return the record once it is final, or the current one after the timeout."""
        ...

    async def get(self, job_id: str) -> JobRecord:
        """Return the record; raise ``JobNotFound``."""
        ...

    async def cancel(self, job_id: str) -> None:
        """Make an unfinished job ``cancelled`` and notify its worker; else do nothing."""
        ...

    async def withdraw(self, job_id: str) -> None:
        """Cancel a job whose caller has gone, even if it may never have arrived.

        Where the store cannot be reached, the call is repeated later.
        """
        ...

    async def take_tokens(self, owner: str, amount: int, *, rate: float, burst: float) -> float:
        """Take tokens from an owner's bucket and return 0.0, or return the seconds to wait.

        The bucket fills by ``rate`` a second up to ``burst``, and may go negative once. A negative
        amount is given back.
        """
        ...

    async def stats(self) -> QueueStats: ...

    def open_jobs(self) -> Sequence[Job]:
        """Return the unfinished jobs, batches included, that are lost with this process."""
        ...

    def ended_within(self, duration_s: float) -> Sequence[str]:
        """Return the ids of jobs and batches that ended just now and are lost with this process.

        Not of those that a request waited for.
        """
        ...

    async def close(self) -> None:
        """Disconnect; waiting callers see ``LinkClosed``."""
        ...


class WorkerStore(Protocol):
    """A worker's side: claim jobs, publish their events, finish them."""

    async def claim(self, **room: Unpack[Room]) -> list[Job]:
        """Wait for a job, then take up to ``max_jobs``; safe to cancel."""
        ...

    async def publish(self, job_id: str, event: Event) -> None:
        """Add an event to the job's; ignored once the job is final.

        A passing event replaces the one before it, and may be lost.
        """
        ...

    async def complete(
        self, job_id: str, result: dict[str, object], *, outcome: Outcome = JobState.DONE
    ) -> None:
        """Store the result and finish the job; ``EXPIRED`` when its deadline cut it short."""
        ...

    async def fail(self, job_id: str, *, code: str, detail: str) -> None: ...

    async def hand_back(self, job_ids: Sequence[str]) -> None:
        """Return claimed jobs to the front of the queue, their attempt count unchanged."""
        ...

    def cancellations(self) -> AsyncIterator[str]:
        """Yield ids of claimed jobs that were cancelled or lost to another worker."""
        ...

    async def report(self, report: WorkerReport) -> None:
        """Report the worker's state; the first report also names it."""
        ...

    async def close(self) -> None:
        """Flush writes and disconnect; jobs still claimed go to another worker."""
        ...


def too_full(reserved: int, width: int, config: QueueConfig, *, rate: float) -> QueueFull:
    """Return the refusal of ``width`` more trajectories, where ``rate`` finish per second."""
    over = reserved + width - config.max_trajectories
    return QueueFull(
        f"the queue holds {reserved} trajectories of at most {config.max_trajectories}; "
        f"{width} more do not fit",
        retry_after_s=_retry_after(over / rate if rate else 0.0),
    )


def too_late(expected_s: float, config: QueueConfig) -> QueueFull:
    return QueueFull(
        f"the jobs before this one will take {expected_s:.1f} s, and the limit is "
        f"{config.max_backlog_s:g} s",
        retry_after_s=_retry_after(expected_s - config.max_backlog_s),
    )


def too_crowded(num_jobs: int, num_bytes: int) -> QueueFull:
    """Return the refusal where ended parts of unfinished batches fill the memory."""
    return QueueFull(
        f"the parts of unfinished batches that have ended, {num_jobs} jobs of {num_bytes} bytes, "
        "take all the room for ended jobs",
        retry_after_s=MAX_RETRY_AFTER_S,
    )


def _retry_after(left_s: float) -> int:
    return min(max(1, math.ceil(left_s)), MAX_RETRY_AFTER_S)
