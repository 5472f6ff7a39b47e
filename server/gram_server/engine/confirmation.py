"""The plain check as judge of what the device verifier let through, for jobs whose rules the device
does not all know. Such an answer is no mismatch: the verifier never claimed more.
"""

from collections.abc import Sequence
from dataclasses import replace

from gram_server.engine.runner import StepReport
from gram_server.engine.slots import Placement


def confirmed(report: StepReport, live: Sequence[Placement]) -> StepReport:
    """Return the report with ``is_valid`` only where the plain check agrees, for such jobs."""
    unsure = [
        (row, trajectory)
        for row, trajectory in live
        if report.is_valid[row] and trajectory.job.count_violations is not None
    ]
    if not unsure:
        return report
    is_valid = list(report.is_valid)
    for row, trajectory in unsure:
        is_valid[row] = trajectory.job.check(trajectory.unview(report.answers[row]))
    return replace(report, is_valid=is_valid)
