"""What becomes of a trajectory after a supervision step: pure decisions, no bookkeeping."""

from enum import StrEnum
from typing import NamedTuple

from gram_server.engine.runner import StepReport
from gram_server.engine.trajectory import Trajectory


class Ending(StrEnum):
    """How a trajectory left its slot; the label of ``trajectories_total``."""

    SOLVED = "solved"
    HALTED = "halted"
    """Its halt head stopped it at a wrong answer."""
    EXHAUSTED = "exhausted"
    """It took every step without a valid answer."""
    ABORTED = "aborted"
    """Its job was satisfied, cancelled or out of time."""
    FAILED = "failed"
    """Its numbers were no longer finite."""
    MISMATCH = "mismatch"
    """The device verifier accepted an answer that the plain checker refused."""


class Verdict(NamedTuple):
    """Whether a trajectory answered for the first time, and how it leaves if it does."""

    is_find: bool
    ending: Ending | None


STAYS = Verdict(is_find=False, ending=None)


def judge(trajectory: Trajectory, report: StepReport, row: int) -> Verdict:
    """Return the verdict on a trajectory whose last step is row ``row`` of the report."""
    if not report.is_finite[row]:
        return Verdict(is_find=False, ending=Ending.FAILED)
    halt = trajectory.job.halt
    is_halting = halt == "act" and report.wants_halt[row]
    is_last = is_halting or trajectory.is_exhausted
    is_judged = is_last or halt != "act"
    is_find = is_judged and report.is_valid[row] and not trajectory.has_solved
    if is_find:
        return Verdict(is_find, Ending.SOLVED if is_last or halt == "verified" else None)
    if not is_last:
        return STAYS
    if trajectory.has_solved:
        return Verdict(is_find=False, ending=Ending.SOLVED)
    return Verdict(is_find=False, ending=Ending.HALTED if is_halting else Ending.EXHAUSTED)
