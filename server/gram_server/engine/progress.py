"""Which answers may be shown, and what is reported of running trajectories.

A job that asks for no progress costs nothing. Answers stay in the view of their trajectory until
they are read. Knows no slots.
"""

import logging
from collections import Counter
from dataclasses import dataclass, field

import numpy as np

from gram_core.puzzles import BLANK, Tokens
from gram_server.engine.job_run import FinishReason, JobRun
from gram_server.engine.trajectory import EngineJob, Progress, Trajectory, TrajectoryView, ViewState
from gram_server.metrics.engine import ModelMetrics

logger = logging.getLogger(__name__)

INTERVAL_S = 0.1
"""A job is reported at most this often, and once more at its end."""
MAX_ANSWERS_PER_S = 320
"""Limit over all jobs: with many answers shown, each job is reported less often."""

STATES: dict[FinishReason | None, ViewState] = {
    None: "running",
    FinishReason.SOLVED: "solved",
    FinishReason.EXHAUSTED: "exhausted",
}
"""Every other reason is a halt: the trajectory stopped early without a solution."""


class GivensGuard:
    """Checks that an answer keeps the givens of its own job before it is shown.

    No trajectory can lose them unless rows were mixed up. Then the answer may be about another
    caller's puzzle, so it is hidden, counted, and logged once.
    """

    def __init__(self, metrics: ModelMetrics) -> None:
        self._metrics = metrics

    def may_show(self, job: EngineJob, answer: Tokens) -> bool:
        """Say whether an answer, (length,) as the user sees it, keeps the givens; count if not."""
        if not np.any((job.tokens != BLANK) & (answer != job.tokens)):
            return True
        if self._metrics.count_foreign_answer():
            logger.error(
                "job %s: an answer does not keep the job's givens, so rows were mixed up; it is "
                "not shown, and more of them are counted in gram_foreign_answers_total only",
                job.id,
            )
        return False


@dataclass(slots=True, eq=False)
class _ShownJob:
    """State of one job since its last report."""

    views: dict[int, TrajectoryView] = field(default_factory=dict)
    checked: set[tuple[int, int]] = field(default_factory=set)
    """Trajectory and step of the views that may be shown."""
    reported_s: float = float("-inf")
    step: int = 0
    num_finds: int = 0
    has_changed: bool = False


class ProgressReporter:
    """Keeps the latest answers of the shown trajectories, and schedules their reports."""

    def __init__(self, guard: GivensGuard) -> None:
        self._guard = guard
        self.jobs: dict[str, _ShownJob] = {}
        """Jobs with an answer to show."""
        self._num_views = 0

    def note(self, trajectory: Trajectory, answer: Tokens, reason: FinishReason | None) -> None:
        """Keep the answer, (length,), of the last step of a trajectory that is shown."""
        shown = self.jobs.setdefault(trajectory.job.id, _ShownJob())
        known = shown.views.get(trajectory.index)
        if known is not None and known.state == "solved":
            # The trajectory runs on past its solution, which is the answer to show.
            return
        state = "solved" if trajectory.found else STATES.get(reason, "halted")
        view = TrajectoryView(trajectory.index, trajectory.steps, state, answer, trajectory.view)
        self._num_views += known is None
        shown.views[trajectory.index] = view
        shown.has_changed = True

    def due(self, now_s: float) -> list[str]:
        interval_s = max(INTERVAL_S, self._num_views / MAX_ANSWERS_PER_S)
        return [
            job_id for job_id, shown in self.jobs.items() if now_s - shown.reported_s >= interval_s
        ]

    def report(self, run: JobRun, now_s: float) -> list[Progress]:
        shown = self.jobs.get(run.job.id)
        # What the others find is reported too, also where nothing that is shown changes any more.
        if shown is None or not (shown.has_changed or len(run.finds) > shown.num_finds):
            return []
        for index, view in list(shown.views.items()):
            is_new = (index, view.step) not in shown.checked
            if is_new and not self._guard.may_show(run.job, view.tokens()):
                del shown.views[index]
                self._num_views -= 1
        shown.checked = {(index, view.step) for index, view in shown.views.items()}
        live = [assignment.trajectory for assignment in run.live()]
        steps = [trajectory.steps for trajectory in live]
        steps += [view.step for view in shown.views.values()]
        shown.step = max([shown.step, *steps])
        shown.reported_s, shown.has_changed = now_s, False
        shown.num_finds = len(run.finds)
        finds = Counter(find.time.step for find in run.finds)
        return [
            Progress(
                job_id=run.job.id,
                step=shown.step,
                live=len(live),
                solved=len(run.finds),
                solved_at=tuple(finds[step] for step in range(1, max(finds, default=0) + 1)),
                trajectories=tuple(shown.views[index] for index in sorted(shown.views)),
            )
        ]

    def end(self, run: JobRun, now_s: float) -> list[Progress]:
        """Return the last report of a job, which is then forgotten."""
        last = self.report(run, now_s)
        shown = self.jobs.pop(run.job.id, None)
        self._num_views -= 0 if shown is None else len(shown.views)
        return last
