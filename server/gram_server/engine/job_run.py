"""What a step means for its trajectory, and what one job has found and spent. Knows no slots.

Solutions are ranked by virtual time, in which the steps of a job's trajectories count whatever the
clock says. So order of arrival never decides an answer: a job gives the same solutions however its
trajectories were scheduled.
"""

import math
from bisect import bisect_right
from dataclasses import dataclass, field
from enum import StrEnum
from operator import attrgetter
from typing import NamedTuple

from gram_core.puzzles import Tokens
from gram_core.trajectories import FIRST_DELAY, SETTLED_STEPS, start_delay
from gram_server.engine.slots import SlotAssignment, StepReport
from gram_server.engine.trajectory import (
    FOREVER,
    EngineJob,
    Finished,
    FoundSolution,
    Outcome,
    Trajectory,
)

ORDER = attrgetter("time", "trajectory")


class FinishReason(StrEnum):
    """How a trajectory left its slot; the label of ``trajectories_total``."""

    SOLVED = "solved"
    ANSWERED = "answered"
    """It would be solved, if anything could verify its answer."""
    HALTED = "halted"
    """Its halt head stopped it at a wrong answer, or it settled there."""
    EXHAUSTED = "exhausted"
    """It took every step without a valid answer."""
    ABORTED = "aborted"
    """Its job was satisfied, cancelled or out of time."""
    FAILED = "failed"
    """Its numbers were no longer finite."""
    MISMATCH = "mismatch"
    """The device verifier accepted an answer that the plain checker refused."""

    # That of enumerations is not in C, and every trajectory is counted by its reason.
    __hash__ = str.__hash__


class StepOutcome(NamedTuple):
    """Whether a trajectory has a valid answer that is new for it, and why it leaves, if so."""

    is_find: bool
    reason: FinishReason | None


CONTINUES = StepOutcome(is_find=False, reason=None)
ENDS = {reason: StepOutcome(is_find=False, reason=reason) for reason in FinishReason}
SOLVED_BEFORE, EXHAUSTED = ENDS[FinishReason.SOLVED], ENDS[FinishReason.EXHAUSTED]


class VirtualTime(NamedTuple):
    """A moment in the order in which a job's steps count."""

    virtual_step: int
    """The trajectory's index where the order is by trajectory."""
    step: int


class Find(NamedTuple):
    """A trajectory's first answer that is this solution; finds sort by time, then trajectory."""

    time: VirtualTime
    trajectory: int
    key: bytes
    tokens: Tokens
    value: float
    found_s: float


class Attempt(NamedTuple):
    """A wrong answer; the smallest is the best."""

    num_violations: int
    trajectory: int
    tokens: Tokens


@dataclass(slots=True, kw_only=True)
class JobRun:
    """The running account of one job."""

    job: EngineJob
    submitted_s: float
    admitted_s: float | None = None
    is_aborted: bool = False
    unfinished: dict[int, Trajectory] = field(default_factory=dict)
    """Trajectories that have started and not ended, with a slot or preempted."""
    finds: list[Find] = field(default_factory=list)
    keys: set[bytes] = field(default_factory=set)
    """Distinct solutions among the finds."""
    counted: set[tuple[int, bytes]] = field(default_factory=set)
    """Trajectory and solution of each find: a trajectory votes once for a solution."""
    stop_time: VirtualTime | None = None
    """Earliest time by which the job has all it asked for, or None; it only decreases."""
    emitted: set[bytes] = field(default_factory=set)
    supervision_steps: int = 0
    wasted_steps: int = 0
    num_started: int = 0
    num_failed: int = 0
    ended: list[int] = field(default_factory=list)
    """Trajectories that ended by themselves."""
    verify_mismatches: int = 0
    best: Attempt | None = None

    def add_find(
        self, trajectory: Trajectory, tokens: Tokens, *, value: float, now_s: float
    ) -> bool:
        """Return whether the answer is a new solution."""
        key = self.job.canonical(tokens)
        if not self.job.distinct:
            key += trajectory.index.to_bytes(8)
        if (trajectory.index, key) in self.counted:
            return False
        self.counted.add((trajectory.index, key))
        is_new = key not in self.keys
        self.keys.add(key)
        time = virtual_time(self.job, trajectory.index, trajectory.steps)
        self.finds.append(Find(time, trajectory.index, key, tokens, value, now_s))
        wanted = self.job.max_solutions
        if wanted is not None and len(self.keys) >= wanted:
            seen: set[bytes] = set()
            for find in sorted(self.finds, key=ORDER):
                seen.add(find.key)
                if len(seen) == wanted:
                    self.stop_time = find.time
                    break
        return is_new

    def emit(self, *, has_ended: bool = False) -> list[FoundSolution]:
        """Return new solutions that no later step can displace."""
        if len(self.emitted) == len(self.keys):
            return []
        can_change = self.job.max_solutions is not None and not has_ended
        watermark = self.watermark() if can_change else None
        fresh = {
            key: solution
            for key, solution in (
                (key, self._solution(finds)) for key, finds in self._groups().items()
            )
            if key not in self.emitted
            and (
                watermark is None
                or virtual_time(self.job, solution.trajectory, solution.step) < watermark
            )
        }
        self.emitted.update(fresh)
        return list(fresh.values())

    def finish(self, outcome: Outcome, now_s: float) -> Finished:
        groups = self._groups()
        solutions = [self._solution(finds) for finds in groups.values()]
        if self.job.order == "step":
            solutions.sort(key=lambda solution: -solution.votes)
        admitted_s = now_s if self.admitted_s is None else self.admitted_s
        num_ended = len(self.ended)
        if self.stop_time is not None and self.job.order == "trajectory":
            num_ended = sum(index <= self.stop_time.virtual_step for index in self.ended)
        return Finished(
            job_id=self.job.id,
            outcome=outcome,
            solutions=tuple(solutions),
            valid_trajectories=len(
                {find.trajectory for finds in groups.values() for find in finds}
            ),
            ended_trajectories=num_ended,
            supervision_steps=self.supervision_steps,
            wasted_steps=self.wasted_steps,
            best_attempt=self.best.tokens if self.best and not solutions else None,
            queue_s=admitted_s - self.submitted_s,
            engine_s=now_s - admitted_s,
            verify_mismatches=self.verify_mismatches,
        )

    def live(self) -> list[SlotAssignment]:
        return [
            SlotAssignment(trajectory.row, trajectory)
            for trajectory in self.unfinished.values()
            if trajectory.row is not None
        ]

    def watermark(self) -> VirtualTime | None:
        """Return the earliest time of any step still to come; None when all have ended."""
        times = [next_time(trajectory) for trajectory in self.unfinished.values()]
        if self.num_started < self.num_needed():
            times.append(virtual_time(self.job, self.num_started, 1))
        return min(times, default=None)

    def num_needed(self) -> int:
        """Return how many trajectories, from the first, may be needed.

        In the order of trajectories these are as many as should yield the missing solutions at the
        rate of those that have ended.
        """
        wanted = self.job.max_solutions
        if self.stop_time is not None:
            return num_started_by(self.job, self.stop_time)
        if wanted is None or self.job.order == "step":
            return self.job.width
        num_ended, num_found = len(self.ended), len(self.keys)
        num_more = math.ceil((wanted - num_found) * (num_ended + 1) / (num_found + 1))
        return min(self.job.width, num_ended + num_more)

    def num_startable(self) -> int:
        """Return how many of those needed may have started by now, or are to be shown."""
        needed = self.num_needed()
        if self.num_started >= needed:
            return needed
        watermark = self.watermark() if self.job.is_staggered else None
        if watermark is None:
            return needed
        return min(needed, max(num_started_by(self.job, watermark), self.job.num_shown))

    def reason_told(self, reason: FinishReason) -> FinishReason:
        is_unproved = reason is FinishReason.SOLVED and not self.job.is_verified
        return FinishReason.ANSWERED if is_unproved else reason

    def max_steps(self) -> int:
        """Return how many steps may pass before one decides which trajectories start or leave.

        Rounds end at multiples of ``FIRST_DELAY``.
        """
        if self.stop_time is not None:
            return 1
        if not self.job.is_staggered:
            return FOREVER
        taken = (trajectory.steps for trajectory in self.unfinished.values())
        return min((FIRST_DELAY - steps % FIRST_DELAY for steps in taken), default=1)

    def _groups(self) -> dict[bytes, list[Find]]:
        """Return the finds of each distinct solution, in the order of the first ones.

        Finds up to the stop time count. Several at that time may be one solution too many.
        """
        groups: dict[bytes, list[Find]] = {}
        for find in sorted(self.finds, key=ORDER):
            if self.stop_time is None or find.time <= self.stop_time:
                groups.setdefault(find.key, []).append(find)
        return dict(list(groups.items())[: self.job.max_solutions])

    def _solution(self, finds: list[Find]) -> FoundSolution:
        first = finds[0]
        admitted_s = self.submitted_s if self.admitted_s is None else self.admitted_s
        return FoundSolution(
            job_id=self.job.id,
            tokens=first.tokens,
            votes=len(finds),
            value=first.value,
            trajectory=first.trajectory,
            step=first.time.step,
            ms_since_admission=(first.found_s - admitted_s) * 1e3,
        )


def virtual_time(job: EngineJob, index: int, step: int) -> VirtualTime:
    """Return the virtual time of a trajectory's step, from 1."""
    if job.order == "trajectory":
        return VirtualTime(index, step)
    return VirtualTime(start_delay(index) + step if job.is_staggered else step, step)


def next_time(trajectory: Trajectory) -> VirtualTime:
    return virtual_time(trajectory.job, trajectory.index, trajectory.steps + 1)


def round_of(job: EngineJob, time: VirtualTime) -> int:
    """Return the round of a virtual time; rounds end with virtual step 8, 16, 32, 64, ...

    New trajectories start where a round ends. A job with too few slots for all that have started
    runs them through one round after the other, so that none gets far ahead.
    """
    return ((time.virtual_step - 1) // FIRST_DELAY).bit_length() if job.is_staggered else 0


def num_started_by(job: EngineJob, time: VirtualTime) -> int:
    return bisect_right(range(job.width), time, key=lambda index: virtual_time(job, index, 1))


def classify(
    trajectory: Trajectory, report: StepReport, row: int, *, is_marked: bool
) -> StepOutcome:
    """Say what a step's result means; only a marked one has a flag to look at."""
    if not is_marked and trajectory.next_look == trajectory.job.depth:
        # It is looked at because it was the last step.
        return SOLVED_BEFORE if trajectory.found else EXHAUSTED
    if is_marked and not report.is_finite[row]:
        return ENDS[FinishReason.FAILED]
    halt = trajectory.job.halt
    is_halting = bool(is_marked and halt == "act" and report.wants_halt[row])
    if halt == "settled":
        answer = report.answers[row].tobytes()
        trajectory.num_same = trajectory.num_same + 1 if answer == trajectory.answer else 0
        trajectory.answer = answer
        is_halting = trajectory.num_same >= SETTLED_STEPS
    is_last = is_halting or trajectory.steps >= trajectory.job.depth
    can_answer = is_last or halt in ("verified", "never")
    if can_answer and is_marked and report.is_valid[row]:
        leaves = is_last or halt == "verified"
        is_find = report.answers[row].tobytes() not in trajectory.found
        if is_find or leaves:
            reason = FinishReason.SOLVED if leaves else None
            return StepOutcome(is_find=is_find, reason=reason)
    if not is_last:
        return CONTINUES
    if trajectory.found:
        return ENDS[FinishReason.SOLVED]
    return ENDS[FinishReason.HALTED if is_halting else FinishReason.EXHAUSTED]


def num_violations_of(trajectory: Trajectory, report: StepReport, row: int) -> int:
    if trajectory.job.count_violations is None:
        return int(report.num_violations[row])
    return trajectory.job.count_violations(trajectory.unview(report.answers[row]))


def host_verify(report: StepReport, trajectory: Trajectory, row: int) -> None:
    """Correct ``is_valid`` by the plain check, for rules that the device verifier does not check.

    A wrong answer that it accepts is no mismatch there.
    """
    if report.is_valid[row] and trajectory.job.count_violations is not None:
        report.is_valid[row] = trajectory.job.check(trajectory.unview(report.answers[row]))
