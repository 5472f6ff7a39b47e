"""What trajectories answer while they are on their way, told now and then for jobs that ask.

A job that does not ask costs nothing. Answers stay in the view of their trajectory until somebody
reads them. Knows no slots.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field

from gram_core.puzzles import Tokens
from gram_server.engine.givens import GivensGuard
from gram_server.engine.progress import JobProgress
from gram_server.engine.trajectory import EngineJob, Sight, SightState, Snapshot, Trajectory
from gram_server.engine.verdict import Ending

INTERVAL_S = 0.1
"""A job is told of at most this often, and once more at its end."""
MAX_ANSWERS_PER_S = 320
"""Answers that are told of all jobs together: with many watched, each is told of more rarely."""

STATES: dict[Ending | None, SightState] = {
    None: "running",
    Ending.SOLVED: "solved",
    Ending.EXHAUSTED: "exhausted",
}
"""Every other ending is a halt: the trajectory stopped before its depth without a solution."""


@dataclass(slots=True, eq=False)
class _Watch:
    """What is known of one job since it was last told of."""

    sights: dict[int, Sight] = field(default_factory=dict)
    checked: set[tuple[int, int]] = field(default_factory=set)
    """Trajectory and step of the sights that may be shown."""
    told_s: float = float("-inf")
    step: int = 0
    has_news: bool = False


class Watcher:
    """Looks at the first trajectories of the jobs that ask for it."""

    def __init__(self, guard: GivensGuard) -> None:
        self._guard = guard
        self._watches: dict[str, _Watch] = {}
        self._num_sights = 0

    def note(self, trajectory: Trajectory, answer: Tokens, ending: Ending | None) -> None:
        """Take note of the answer, (length,), that a trajectory's last step decoded."""
        job = trajectory.job
        if trajectory.index >= job.num_watched:
            return
        watch = self._watches.setdefault(job.id, _Watch())
        known = watch.sights.get(trajectory.index)
        if known is not None and known.state == "solved":
            # It goes on past its solution, which is what there is to see.
            return
        state = "solved" if trajectory.has_solved else STATES.get(ending, "halted")
        sight = Sight(trajectory.index, trajectory.steps, state, answer, trajectory.view)
        self._num_sights += known is None
        watch.sights[trajectory.index] = sight
        watch.has_news = True

    def due(self, job_id: str, now_s: float) -> bool:
        """Say whether it is time to tell of a job."""
        watch = self._watches.get(job_id)
        interval_s = max(INTERVAL_S, self._num_sights / MAX_ANSWERS_PER_S)
        return watch is not None and now_s - watch.told_s >= interval_s

    def snapshot(
        self, progress: JobProgress, live: Iterable[Trajectory], now_s: float
    ) -> list[Snapshot]:
        """Return how a job stands, if there is anything new to tell."""
        watch = self._watches.get(progress.job.id)
        if watch is None or not watch.has_news:
            return []
        self._hide_foreign(progress.job, watch)
        running = list(live)
        steps = [trajectory.steps for trajectory in running]
        steps += [sight.step for sight in watch.sights.values()]
        watch.step = max([watch.step, *steps])
        watch.told_s, watch.has_news = now_s, False
        return [
            Snapshot(
                job_id=progress.job.id,
                step=watch.step,
                live=len(running),
                solved=len(progress.finds),
                sights=tuple(watch.sights[index] for index in sorted(watch.sights)),
            )
        ]

    def _hide_foreign(self, job: EngineJob, watch: _Watch) -> None:
        """Drop the sights that are not about the job."""
        for index, sight in list(watch.sights.items()):
            if (index, sight.step) in watch.checked:
                continue
            if not self._guard.may_show(job, sight.tokens()):
                del watch.sights[index]
                self._num_sights -= 1
        watch.checked = {(index, sight.step) for index, sight in watch.sights.items()}

    def forget(self, job_id: str) -> None:
        """Let go of a job that ended."""
        watch = self._watches.pop(job_id, None)
        self._num_sights -= 0 if watch is None else len(watch.sights)

    @property
    def jobs(self) -> list[str]:
        """Ids of the jobs that are watched."""
        return list(self._watches)
