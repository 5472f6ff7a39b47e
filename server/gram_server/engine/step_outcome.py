"""What a supervision step means for a trajectory: decisions, no bookkeeping of jobs."""

from enum import StrEnum
from typing import NamedTuple

from gram_core.trajectories import SETTLED_STEPS
from gram_server.engine.runner import StepReport
from gram_server.engine.trajectory import Trajectory


class FinishReason(StrEnum):
    """How a trajectory left its slot; the label of ``trajectories_total``."""

    SOLVED = "solved"
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


class StepOutcome(NamedTuple):
    """Whether a trajectory has a valid answer that is new for it, and why it leaves, if so."""

    is_find: bool
    reason: FinishReason | None


CONTINUES = StepOutcome(is_find=False, reason=None)


def classify(trajectory: Trajectory, report: StepReport, row: int) -> StepOutcome:
    if not report.is_finite[row]:
        return StepOutcome(is_find=False, reason=FinishReason.FAILED)
    halt = trajectory.job.halt
    is_halting = (halt == "act" and report.wants_halt[row]) or (
        halt == "settled" and _has_settled(trajectory, report, row)
    )
    is_last = is_halting or trajectory.is_exhausted
    can_answer = is_last or halt in ("verified", "never")
    is_new = report.is_valid[row] and report.answers[row].tobytes() not in trajectory.found
    if can_answer and is_new:
        leaves = is_last or halt == "verified"
        return StepOutcome(is_find=True, reason=FinishReason.SOLVED if leaves else None)
    if not is_last:
        return CONTINUES
    if trajectory.has_solved:
        return StepOutcome(is_find=False, reason=FinishReason.SOLVED)
    reason = FinishReason.HALTED if is_halting else FinishReason.EXHAUSTED
    return StepOutcome(is_find=False, reason=reason)


def _has_settled(trajectory: Trajectory, report: StepReport, row: int) -> bool:
    """Note the answer of a step; return whether it has stayed the same long enough."""
    answer = report.answers[row].tobytes()
    trajectory.num_same = trajectory.num_same + 1 if answer == trajectory.answer else 0
    trajectory.answer = answer
    return trajectory.num_same >= SETTLED_STEPS


def marked(report: StepReport) -> list[bool]:
    """Return for each row whether its answer, its halt head or its numbers may end a trajectory."""
    marks: list[bool] = (report.is_valid | report.wants_halt | ~report.is_finite).tolist()
    return marks


def host_verify(report: StepReport, trajectory: Trajectory, row: int) -> None:
    """Correct ``is_valid`` by the plain check, for rules that the device verifier does not check.

    A wrong answer that it accepts is no mismatch there.
    """
    if report.is_valid[row] and trajectory.job.count_violations is not None:
        report.is_valid[row] = trajectory.job.check(trajectory.unview(report.answers[row]))
