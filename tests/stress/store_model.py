"""What a queue of jobs promises, written from docs/api.md and docs/operations.md alone.

Where the documents leave a choice (which of several returned jobs goes first, whose turn it is when
a class that is shut out is lent one), the model follows the store and says whether the choice was
allowed. Knows no store.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

FINAL = ("done", "failed", "cancelled", "expired")
LENT_PART, AGEING_S = 8, 10.0
"""One job in so many may be of a class in which somebody has waited for so long."""
GRACE_S = 1.0
"""What a running job has beyond its deadline to hand in what it found."""
Facts = tuple[int, str, dict[str, Any]]
"""Id, kind and data of an event."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """The settings that matter here."""

    max_trajectories: int
    max_attempts: int
    keep_finished_s: float
    keep_jobs_s: float
    keep_keys_s: float


@dataclass(slots=True, kw_only=True)
class Known:
    """A job, as its owner knows it."""

    id: str
    width: int
    priority: int
    model: str
    owner: str | None
    batch: str | None
    submitted_s: float
    queued_s: float
    """When it began to wait."""
    deadline_s: float | None
    number: int
    """Place in the order of arrival."""
    parts: tuple[str, ...] = ()
    state: str = "queued"
    attempt: int = 0
    worker: str | None = None
    came_back: bool = False
    result: dict[str, Any] | None = None
    error: str | None = None
    finished_s: float = 0.0
    events: list[Facts] = field(default_factory=list)
    num_events: int = 0

    @property
    def is_final(self) -> bool:
        return self.state in FINAL

    @property
    def solutions(self) -> list[dict[str, Any]]:
        return [data for _, kind, data in self.events if kind == "solution"]

    def tell(self, kind: str, data: dict[str, Any]) -> None:
        """Number an event; a look takes the place of the one before it."""
        is_look = kind == "progress" and "trajectories" in data
        if is_look:
            self.events = [event for event in self.events if "trajectories" not in event[2]]
        self.num_events += 1
        self.events.append((self.num_events, kind, data))


class QueueModel:
    """The queue, as anybody outside may expect it."""

    def __init__(self, limits: Limits, now_s: float) -> None:
        self.limits = limits
        self.now_s = now_s
        self.jobs: dict[str, Known] = {}
        self.counts: Counter[tuple[str, str, int]] = Counter()
        self.redelivered = 0
        self.dead: list[str] = []
        self.told: set[tuple[str, str]] = set()
        """Workers that must hear that a job of theirs is no longer wanted."""
        self._num_asked = self._num_lent = 0
        self._tickets: dict[tuple[str, str], tuple[str, str, float]] = {}
        self._shares: dict[str, tuple[float, float]] = {}

    @property
    def next_number(self) -> int:
        """The place in the order of arrival of a job that comes now, also one replayed."""
        return 1 + max((job.number for job in self.jobs.values()), default=-1)

    @property
    def reserved(self) -> int:
        return sum(job.width for job in self.jobs.values() if not (job.is_final or job.parts))

    def held_by(self, worker: str) -> list[str]:
        return [job.id for job in self.jobs.values() if job.worker == worker]

    def waiting(self, priority: int) -> list[Known]:
        jobs = (job for job in self.jobs.values() if job.state == "queued" and not job.parts)
        return [job for job in jobs if job.priority == priority]

    def forgotten_s(self, job: Known) -> float:
        """Return when a job is forgotten: an hour after its end, a part with its batch."""
        if job.batch is not None:
            return self.forgotten_s(self.jobs[job.batch])
        if not job.is_final:
            return float("inf")
        limits = self.limits
        kept_s = limits.keep_finished_s if job.owner is None else limits.keep_jobs_s
        return job.finished_s + kept_s

    def find(self, job_id: str) -> Known | None:
        job = self.jobs.get(job_id)
        return None if job is None or self.forgotten_s(job) <= self.now_s else job

    def moments(self) -> list[float]:
        """Return the times at which something happens by itself."""
        deadlines = [job.deadline_s for job in self.jobs.values() if not job.is_final]
        known = [one for one in deadlines if one is not None]
        ends = [self.forgotten_s(job) for job in self.jobs.values()]
        keys = [made_s + self.limits.keep_keys_s for _, _, made_s in self._tickets.values()]
        return sorted([*known, *(one + GRACE_S for one in known), *ends, *keys])

    def submit(self, jobs: Sequence[Known], ticket: tuple[str, str, str] | None) -> str:
        """Queue a job, or a batch before its parts; return its id, or the name of a refusal."""
        if ticket is not None:
            fingerprint, job_id, made_s = self._tickets.get(ticket[:2], ("", "", -1e12))
            if made_s + self.limits.keep_keys_s > self.now_s:
                if fingerprint != ticket[2]:
                    return "KeyConflict"
                return job_id if self.find(job_id) else "JobGone"
        width = sum(job.width for job in jobs if not job.parts)
        if self.reserved + width > self.limits.max_trajectories:
            return "QueueFull"
        for job in jobs:
            self.jobs[job.id] = job
            job.tell("accepted", {})
            if not job.parts:
                self._count(job, "accepted")
        if ticket is not None:
            self._tickets[ticket[:2]] = (ticket[2], jobs[0].id, self.now_s)
        return jobs[0].id

    def claim(
        self, worker: str, got: Sequence[tuple[str, int]], *, max_jobs: int, max_width: float
    ) -> list[str]:
        """Give a worker what the store gave it; return what was wrong with that."""
        wrong, width = [], 0
        self._num_asked += max_jobs
        for job_id, attempt in got:
            job = self.jobs.get(job_id)
            if job is None or job.state != "queued" or job.parts or attempt != job.attempt:
                wrong.append(f"{job_id} attempt {attempt} was handed out, known as {job}")
                continue
            if width >= max_width:
                wrong.append(f"{job_id} is more than the width {max_width}")
            if (before := self._before(job)) and not self._is_lent(job, before):
                wrong.append(f"{before[0].id} comes before {job_id}")
            if self._is_last_chance(job) and self._has_last_chance(worker):
                wrong.append(f"{job_id} is the second last chance at {worker}")
            width += job.width
            job.state, job.worker = "running", worker
            if job.batch is not None:
                self.jobs[job.batch].state = "running"
        if len(got) > max_jobs:
            wrong.append(f"{len(got)} jobs, {max_jobs} were asked for")
        if len(got) < max_jobs and width < max_width:
            left = [job for priority in range(3) for job in self.waiting(priority)]
            if self._has_last_chance(worker):
                left = [job for job in left if not self._is_last_chance(job)]
            wrong += [f"{job.id} was left in the queue" for job in left]
        return wrong

    def publish(self, worker: str, job_id: str, kind: str, data: dict[str, Any]) -> None:
        job = self._held(worker, job_id)
        if job is None:
            return
        if data.get("answer") not in [known["answer"] for known in job.solutions]:
            job.tell(kind, data)

    def complete(self, worker: str, job_id: str, state: str, result: dict[str, Any]) -> None:
        """Take a result from who holds the job; the first end wins."""
        if job := self._held(worker, job_id):
            outcome = result["status"]
            if outcome == "partial" and not result["solutions"]:
                outcome = "deadline"
            self._end(job, state, outcome, result=result)

    def fail(self, worker: str, job_id: str, code: str) -> None:
        if job := self._held(worker, job_id):
            self._end(job, "failed", "failed", error=code)

    def hand_back(self, worker: str, job_ids: Sequence[str]) -> None:
        for job_id in job_ids:
            if job := self._held(worker, job_id):
                job.state, job.worker, job.came_back = "queued", None, True

    def lose(self, job_ids: Sequence[str]) -> None:
        """Take jobs back whose worker was lost."""
        for job in (self.jobs[job_id] for job_id in job_ids):
            job.attempt += 1
            if job.attempt > self.limits.max_attempts:
                self.dead.append(job.id)
                self._end(job, "failed", "failed", error="worker_lost")
            else:
                self.redelivered += 1
                job.state, job.worker, job.came_back = "queued", None, True

    def cancel(self, job_id: str) -> str:
        job = self.find(job_id)
        if job is None:
            return "JobNotFound"
        self.stop(job, "cancelled")
        return "ok"

    def stop(self, job: Known, state: str) -> None:
        """End a job whose worker did not say so, with its parts."""
        if job.is_final:
            return
        if job.worker is not None:
            self.told.add((job.worker, job.id))
        outcome = ("partial" if job.solutions else "deadline") if state == "expired" else state
        self._end(job, state, outcome)
        for part in job.parts:
            self.stop(self.jobs[part], state)

    def replay(self, job_id: str) -> str:
        """Queue a dead job again, with no deadline; its batch waits for it, if there is one."""
        job, known = self.jobs[job_id], self.find(job_id)
        batch = None if job.batch is None else self.find(job.batch)
        if batch is not None and batch.state == "cancelled":
            return "NotReplayed"
        if self.reserved + job.width > self.limits.max_trajectories:
            return "QueueFull"
        self.dead.remove(job_id)
        if batch is None:
            job.batch = None
        elif batch.is_final:
            batch.state, batch.events = "running", batch.events[:-1]
        job.state, job.attempt, job.error, job.deadline_s = "queued", 0, None, None
        job.queued_s = self.now_s
        job.came_back, job.number = False, self.next_number
        # Whoever follows it knows its events by number: those to come have greater ones.
        job.events, job.num_events = [], job.num_events if known else 0
        job.tell("accepted", {})
        self._count(job, "accepted")
        return job_id

    def expire(self) -> None:
        """End what is past its deadline, first what was due first."""
        due = []
        for job in self.jobs.values():
            if job.deadline_s is not None and not (job.is_final or job.parts):
                grace_s = GRACE_S if job.state == "running" or job.came_back else 0.0
                due.append((job.deadline_s + grace_s, job.number))
        jobs = {job.number: job for job in self.jobs.values()}
        for due_s, number in sorted(due):
            if due_s <= self.now_s:
                self.stop(jobs[number], "expired")

    def overdue(self) -> list[Known]:
        """Return waiting jobs past their deadline: they came back so late, and may end at once.

        First what was due first: those of one batch may end together, and it tells them in order.
        """
        jobs = (job for job in self.jobs.values() if job.state == "queued" and job.came_back)
        late = [job for job in jobs if job.deadline_s and job.deadline_s <= self.now_s]
        return sorted(late, key=lambda job: (job.deadline_s, job.number))

    def spend(self, owner: str, amount: int, rate: float, burst: float) -> float:
        """Return the seconds to wait, 0 where the share has something left."""
        left, at_s = self._shares.get(owner, (burst, self.now_s))
        left = min(burst, left + (self.now_s - at_s) * rate)
        self._shares[owner] = (left - amount if left > 0 else left, self.now_s)
        return 0.0 if left > 0 else -left / rate

    def listed(self, owner: str) -> list[str]:
        """Return an owner's jobs, newest first, without the parts of batches."""
        jobs = [job for job in self.jobs.values() if job.owner == owner and job.batch is None]
        jobs.sort(key=lambda job: (round(job.submitted_s * 1e3), job.id), reverse=True)
        return [job.id for job in jobs if self.find(job.id)]

    def _before(self, job: Known) -> list[Known]:
        """Return the waiting jobs that must be served before one: by class, what came back, age."""
        is_free = job.came_back or self._is_last_chance(job)
        place = (job.priority, not is_free, 0 if is_free else job.number)
        return [
            one
            for priority in range(3)
            for one in self.waiting(priority)
            if not self._is_last_chance(one)
            and (one.priority, not one.came_back, 0 if one.came_back else one.number) < place
        ]

    def _is_lent(self, job: Known, before: Sequence[Known]) -> bool:
        """Whether a job may go before others: rarely, and only before those of higher classes."""
        longest_s = max(self.now_s - one.queued_s for one in self.waiting(job.priority))
        self._num_lent += 1
        return (
            all(one.priority < job.priority for one in before)
            and longest_s >= AGEING_S
            and self._num_lent <= 1 + self._num_asked / LENT_PART
        )

    def _is_last_chance(self, job: Known) -> bool:
        return 0 < job.attempt == self.limits.max_attempts

    def _has_last_chance(self, worker: str) -> bool:
        return any(self._is_last_chance(self.jobs[job_id]) for job_id in self.held_by(worker))

    def _held(self, worker: str, job_id: str) -> Known | None:
        job = self.jobs.get(job_id)
        return job if job is not None and job.worker == worker else None

    def _end(
        self,
        job: Known,
        state: str,
        outcome: str,
        *,
        result: dict[str, Any] | None = None,
        error: str | None = None,
    ) -> None:
        """Make a job final, and its batch if it is the last of it."""
        job.state, job.worker, job.finished_s = state, None, self.now_s
        job.result, job.error = result, error
        if state in ("done", "expired"):
            job.tell("done", result or {})
        else:
            job.tell("error", {"code": error or "job_cancelled"})
        if job.parts:
            return
        self._count(job, outcome)
        batch = self.jobs.get(job.batch or "")
        if batch is not None and not batch.is_final:
            batch.tell("progress", {"id": job.id, "state": state})
            if all(self.jobs[part].is_final for part in batch.parts):
                self._end(batch, "done", "")

    def _count(self, job: Known, what: str) -> None:
        self.counts[what, job.model, job.priority] += 1
