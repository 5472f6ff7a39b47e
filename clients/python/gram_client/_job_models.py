"""Models of jobs; see ``_models`` for what they have in common."""

from typing import Literal

from gram_client._models import Model, Response, SolveResult


class JobFailure(Model):
    """Why a job failed."""

    code: str
    detail: str


class BatchProgress(Model):
    """How far a batch is."""

    size: int
    finished: int


class JobSummary(Response):
    """Where a job stands."""

    id: str
    state: Literal["queued", "running", "done", "failed", "cancelled", "expired"]
    puzzle: str
    model: str | None = None
    """None for a batch, whose parts name theirs."""
    width: int
    seed: int
    priority: str
    attempt: int = 0
    """Workers that were lost while they held the job."""
    submitted_at: str
    started_at: str | None = None
    finished_at: str | None = None
    batch: BatchProgress | None = None
    """None for a job that is no batch."""

    @property
    def is_final(self) -> bool:
        """Whether nothing more will happen to the job."""
        return self.state not in ("queued", "running")


class Job(JobSummary):
    """A job with what became of it."""

    result: SolveResult | None = None
    error: JobFailure | None = None
    parts: tuple["Job", ...] = ()
    """The jobs of a batch, in the order of its puzzles."""

    @property
    def is_solved(self) -> bool:
        """Whether there is a solution; of a batch, for every part."""
        if self.parts:
            return all(part.is_solved for part in self.parts)
        return self.result is not None and self.result.is_solved


class JobPage(Response):
    """A part of the list of jobs, newest first."""

    jobs: tuple[JobSummary, ...]
    cursor: str | None = None
    """Where the next part starts; None at the end."""
