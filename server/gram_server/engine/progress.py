"""What one job has found and spent so far, and when it has what it asked for.

Order of arrival never decides an answer: finds are ranked by (turn, step, trajectory), so a job
gives the same solutions however its trajectories were scheduled. Knows no slots.
"""

import math
from bisect import bisect_right
from dataclasses import dataclass, field
from typing import NamedTuple

from gram_core.puzzles import Tokens
from gram_server.engine.trajectory import EngineJob, Finished, FoundSolution, Outcome, Trajectory

FIRST_DELAY = 8
"""Turns that trajectory 1 of a job that stops at so many solutions begins after trajectory 0; the
delay doubles whenever the number of trajectories has.

Every turn is one step of all that have begun, and the earliest turn wins. So an easy job costs
little more than one trajectory, a hard one is tried from more and more starts while the first ones
go on, and either way the answer is the same on a busy engine and on an idle one."""


class Rank(NamedTuple):
    """When a step of a trajectory has its turn, whatever the clock says.

    By trajectory, a turn is all the steps of one.
    """

    turn: int
    step: int


class Find(NamedTuple):
    """A trajectory's first valid answer; finds sort by rank, then trajectory."""

    rank: Rank
    trajectory: int
    key: bytes
    tokens: Tokens
    value: float
    found_s: float


class Attempt(NamedTuple):
    """A wrong answer; the least one is the best."""

    num_violations: int
    trajectory: int
    tokens: Tokens


def rank_of(job: EngineJob, index: int, step: int) -> Rank:
    """Return the rank of a trajectory's step; without a limit to stop at, all begin together."""
    if job.order == "trajectory":
        return Rank(index, step)
    return Rank(step if job.max_solutions is None else delay_of(index) + step, step)


def delay_of(index: int) -> int:
    """Return the turns before a trajectory begins: 0, 8, 16, 16, 32, 32, 32, 32, 64, ..."""
    return FIRST_DELAY << (index.bit_length() - 1) if index else 0


def next_rank(trajectory: Trajectory) -> Rank:
    """Return the rank of the step that a trajectory takes next."""
    return rank_of(trajectory.job, trajectory.index, trajectory.steps + 1)


def stretch_of(job: EngineJob, rank: Rank) -> int:
    """Return the stretch of turns that a rank is in, each ending where trajectories begin.

    They end with turn 8, 16, 32, 64, ... A job with too few slots for all that have begun takes
    them through one stretch after the other, so that none runs far ahead of the others.
    """
    if job.order == "trajectory" or job.max_solutions is None:
        return 0
    return ((rank.turn - 1) // FIRST_DELAY).bit_length()


def num_begun(job: EngineJob, rank: Rank) -> int:
    """Return how many trajectories of the job have their first step up to the rank."""
    return bisect_right(range(job.width), rank, key=lambda index: rank_of(job, index, 1))


@dataclass(slots=True, kw_only=True)
class JobProgress:
    """The running account of one job."""

    job: EngineJob
    submitted_s: float
    admitted_s: float | None = None
    is_aborted: bool = False
    finds: list[Find] = field(default_factory=list)
    keys: set[bytes] = field(default_factory=set)
    """Distinct solutions among the finds."""
    cutoff: Rank | None = None
    """Rank at which the job has all it asked for; None while it has not. It only ever falls."""
    emitted: set[bytes] = field(default_factory=set)
    supervision_steps: int = 0
    wasted_steps: int = 0
    num_started: int = 0
    num_failed: int = 0
    ended: list[int] = field(default_factory=list)
    """Trajectories that came to their own end."""
    verify_mismatches: int = 0
    best: Attempt | None = None

    def add_find(
        self, trajectory: Trajectory, tokens: Tokens, *, value: float, now_s: float
    ) -> bool:
        """Record a trajectory's first valid answer; return whether it is a new solution."""
        key = self.job.canonical(tokens)
        if not self.job.distinct:
            key += trajectory.index.to_bytes(8)
        is_new = key not in self.keys
        self.keys.add(key)
        rank = rank_of(self.job, trajectory.index, trajectory.steps)
        self.finds.append(Find(rank, trajectory.index, key, tokens, value, now_s))
        self.cutoff = self._find_cutoff()
        return is_new

    def better_attempt(
        self, trajectory: Trajectory, answer: Tokens, num_violations: int
    ) -> Attempt | None:
        """Return a wrong answer as an attempt if it is better than the best so far."""
        if self.job.count_violations is not None:
            num_violations = self.job.count_violations(trajectory.unview(answer))
        candidate = (num_violations, trajectory.index)
        if self.best is None or candidate < (self.best.num_violations, self.best.trajectory):
            return Attempt(num_violations, trajectory.index, trajectory.unview(answer))
        return None

    def settled(self, frontier: Rank | None) -> list[FoundSolution]:
        """Return solutions not yet emitted that no trajectory to come can push aside.

        Args:
            frontier: least rank that an unfinished trajectory can still reach; None when all ended.
        """
        fresh = [
            (key, solution)
            for key, solution in self._solutions().items()
            if key not in self.emitted
            and (
                self.job.max_solutions is None
                or frontier is None
                or rank_of(self.job, solution.trajectory, solution.step) < frontier
            )
        ]
        self.emitted.update(key for key, _ in fresh)
        return [solution for _, solution in fresh]

    def finish(self, outcome: Outcome, now_s: float) -> Finished:
        """Return the end of the job."""
        solutions = list(self._solutions().values())
        if self.job.order == "step":
            solutions.sort(key=lambda solution: -solution.votes)
        admitted_s = now_s if self.admitted_s is None else self.admitted_s
        return Finished(
            job_id=self.job.id,
            outcome=outcome,
            solutions=tuple(solutions),
            valid_trajectories=sum(solution.votes for solution in solutions),
            ended_trajectories=self._num_ended(),
            supervision_steps=self.supervision_steps,
            wasted_steps=self.wasted_steps,
            best_attempt=self.best.tokens if self.best and not solutions else None,
            queue_s=admitted_s - self.submitted_s,
            engine_s=now_s - admitted_s,
            verify_mismatches=self.verify_mismatches,
        )

    def first_unwanted(self) -> int:
        """Return the trajectory before which all may be needed.

        By trajectory these are as many as should fill what is missing, if so many of them find a
        solution as of those that have ended.
        """
        wanted = self.job.max_solutions
        if self.cutoff is not None:
            return num_begun(self.job, self.cutoff)
        if wanted is None or self.job.order == "step":
            return self.job.width
        num_ended, num_found = len(self.ended), len(self.keys)
        num_more = math.ceil((wanted - num_found) * (num_ended + 1) / (num_found + 1))
        return min(self.job.width, num_ended + num_more)

    def first_early(self, frontier: Rank | None) -> int:
        """Return the trajectory before which all have begun by their turn, or are to be watched.

        Args:
            frontier: least rank that an unfinished trajectory can still reach; None when all ended.
        """
        end = self.first_unwanted()
        if frontier is None or self.job.order == "trajectory":
            return end
        return min(end, max(num_begun(self.job, frontier), self.job.num_watched))

    def _num_ended(self) -> int:
        if self.cutoff is None or self.job.order == "step":
            return len(self.ended)
        return sum(index <= self.cutoff.turn for index in self.ended)

    def _find_cutoff(self) -> Rank | None:
        wanted = self.job.max_solutions
        if wanted is None or len(self.keys) < wanted:
            return None
        keys: set[bytes] = set()
        for find in sorted(self.finds, key=_order):
            keys.add(find.key)
            if len(keys) == wanted:
                return find.rank
        return None

    def _solutions(self) -> dict[bytes, FoundSolution]:
        """Return the distinct solutions by key, in the order of their first find.

        Finds up to the cutoff count. Several of its rank may be one solution too many.
        """
        groups: dict[bytes, list[Find]] = {}
        for find in sorted(self.finds, key=_order):
            if self.cutoff is None or find.rank <= self.cutoff:
                groups.setdefault(find.key, []).append(find)
        wanted = list(groups.items())[: self.job.max_solutions]
        return {key: self._solution(finds) for key, finds in wanted}

    def _solution(self, finds: list[Find]) -> FoundSolution:
        first = finds[0]
        admitted_s = self.submitted_s if self.admitted_s is None else self.admitted_s
        return FoundSolution(
            job_id=self.job.id,
            tokens=first.tokens,
            votes=len(finds),
            value=first.value,
            trajectory=first.trajectory,
            step=first.rank.step,
            ms_since_admission=(first.found_s - admitted_s) * 1e3,
        )


def _order(find: Find) -> tuple[Rank, int]:
    return find.rank, find.trajectory
