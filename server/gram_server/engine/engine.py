"""Runs trajectories through a model, many at a time.

Knows slots and ticks. Does not know HTTP, Redis, asyncio or the rules of a puzzle; time is given.
"""

from collections import deque
from dataclasses import replace

from gram_server.engine.batch import Batch
from gram_server.engine.confirmation import confirmed
from gram_server.engine.givens import GivensGuard
from gram_server.engine.progress import JobProgress, Rank, next_rank, rank_of, stretch_of
from gram_server.engine.runner import Runner, StepReport
from gram_server.engine.scheduler import AGEING_S, Admit, Scheduler
from gram_server.engine.slots import Placement, Slots
from gram_server.engine.trajectory import EngineEvent, EngineJob, Outcome, Snapshot, Trajectory
from gram_server.engine.verdict import STAYS, Ending, judge
from gram_server.engine.watcher import Watcher
from gram_server.metrics.engine import ModelMetrics


class Engine:
    """Continuous batching of trajectories: any of them joins and leaves at any tick."""

    def __init__(
        self, runner: Runner, *, metrics: ModelMetrics, ageing_s: float = AGEING_S
    ) -> None:
        self._runner = runner
        self._metrics = metrics
        self._slots = Slots(num_slots=runner.num_slots, num_spares=runner.num_spares)
        self._scheduler = Scheduler(
            num_slots=runner.num_slots, num_spares=runner.num_spares, ageing_s=ageing_s
        )
        self._jobs: dict[str, JobProgress] = {}
        self._paused: dict[Admit, Trajectory] = {}
        self._guard = GivensGuard(metrics)
        self._watcher = Watcher(self._guard)
        self._started: deque[Batch] = deque()
        """Steps whose results have not been read, oldest first."""
        self._last: Batch | None = None
        metrics.set_slots(live=0, capacity=runner.num_slots)

    @property
    def has_work(self) -> bool:
        """Whether a tick would do anything."""
        return bool(self._jobs)

    @property
    def num_jobs(self) -> int:
        """Jobs that have not finished."""
        return len(self._jobs)

    @property
    def live(self) -> int:
        """Trajectories with a slot."""
        return self._slots.num_live

    @property
    def waiting_trajectories(self) -> int:
        """Trajectories without a slot."""
        return self._scheduler.num_waiting

    def placements(self) -> list[Placement]:
        """Return the trajectories with a slot, by row."""
        return list(self._slots.live())

    def submit(self, job: EngineJob, now_s: float) -> None:
        """Let a job wait for slots; its id must be new."""
        if job.id in self._jobs:
            raise ValueError(f"job {job.id} is already here")
        progress = self._jobs[job.id] = JobProgress(job=job, submitted_s=now_s)
        self._scheduler.add(
            job.id,
            width=job.width,
            priority=job.priority,
            now_s=now_s,
            stretch_of=lambda index: stretch_of(job, rank_of(job, index, 1)),
        )
        self._scheduler.limit(job.id, self._num_startable(progress))

    def abort(self, job_id: str) -> None:
        """Give a job up before the next step; a job that is not here has already finished."""
        if job_id in self._jobs:
            self._jobs[job_id].is_aborted = True

    def tick(self, now_s: float) -> list[EngineEvent]:
        """Start one supervision step of every live trajectory, and deal with the oldest results.

        Where the runner lags, that step is computed while the host deals with the one before. A
        trajectory that turns out to have ended takes a step too many then, which nobody looks at.
        """
        events = self._expire(now_s)
        self._admit(now_s)
        if self._slots.num_live:
            self._runner.step(self._slots.num_live)
            self._started.append(Batch(self._slots.live()))
            if len(self._started) <= self._runner.lag:
                return events
        while self._started:
            batch = self._started.popleft()
            report = self._runner.read()
            events += self._harvest(batch, report, now_s + report.duration_s)
            if self._slots.num_live:
                break
        return events

    def _expire(self, now_s: float) -> list[EngineEvent]:
        """Finish jobs that were given up or are out of time."""
        events: list[EngineEvent] = []
        for progress in list(self._jobs.values()):
            deadline_s = progress.job.deadline_s
            if progress.is_aborted:
                events += self._finish(progress, "cancelled", now_s)
            elif deadline_s is not None and deadline_s <= now_s:
                events += self._finish(progress, "expired", now_s)
        return events

    def _admit(self, now_s: float) -> None:
        """Give slots to waiting trajectories, by the scheduler's plan."""
        if not self._runner.runs_ahead:
            for job_id in self._live_by_job():
                self._scheduler.limit(job_id, self._num_startable(self._jobs[job_id]))
        plan = self._scheduler.plan(now_s)
        for job_id, count in plan.yields.items():
            self._pause_youngest(job_id, count)
        admits = plan.admits + self._take_turns()
        arrangement = self._slots.fill([self._start(admit, now_s) for admit in admits])
        if arrangement.moves or arrangement.starts:
            self._runner.arrange(arrangement)
        self._metrics.set_slots(live=self._slots.num_live, capacity=self._slots.num_slots)

    def _harvest(self, batch: Batch, report: StepReport, now_s: float) -> list[EngineEvent]:
        """Judge the trajectories of a step, then tell what the jobs found and which are done."""
        useful = batch.useful()
        self._last, batch.report = batch, confirmed(report, useful)
        report = batch.report
        self._metrics.observe_step(
            num_useful=len(useful),
            num_live=len(batch.placements),
            num_rows=report.num_rows,
            duration_s=report.duration_s,
        )
        touched: dict[str, JobProgress] = {}
        for placement in useful:
            if self._advance(placement, report, now_s):
                job_id = placement.trajectory.job.id
                touched[job_id] = self._jobs[job_id]
        events = [event for progress in touched.values() for event in self._settle(progress, now_s)]
        events += self._tell_watched(now_s)
        self._metrics.set_slots(live=self._slots.num_live, capacity=self._slots.num_slots)
        return events

    def _take_turns(self) -> list[Admit]:
        """Give slots of trajectories that are ahead to those of their job that are behind."""
        return [
            admit
            for job_id, live in self._live_by_job().items()
            if self._scheduler.first_stretch(job_id) is not None
            for admit in self._exchange(job_id, live)
        ]

    def _exchange(self, job_id: str, live: list[Placement]) -> list[Admit]:
        job, admits = self._jobs[job_id].job, []
        ahead = [(stretch_of(job, next_rank(place.trajectory)), place) for place in live]
        for stretch, (row, trajectory) in sorted(ahead, reverse=True):
            behind = self._scheduler.first_stretch(job_id)
            if behind is None or behind >= stretch or not self._slots.has_spare:
                break
            self._slots.pause(row)
            self._paused[Admit(job_id, trajectory.index)] = trajectory
            admits.append(self._scheduler.exchange(job_id, trajectory.index, stretch))
        return admits

    def _start(self, admit: Admit, now_s: float) -> Trajectory:
        """Return the trajectory that a plan admits: a paused one, or a new one."""
        progress = self._jobs[admit.job_id]
        progress.admitted_s = now_s if progress.admitted_s is None else progress.admitted_s
        paused = self._paused.pop(admit, None)
        if paused is not None:
            return paused
        progress.num_started += 1
        job, index = progress.job, admit.trajectory
        return Trajectory(job=job, index=index, view=job.view(index))

    def _pause_youngest(self, job_id: str, count: int) -> None:
        """Take slots from a job, where the least work would be lost."""
        youngest = sorted(self._live_of(job_id), key=lambda p: (p.trajectory.steps, -p.row))
        for row, trajectory in youngest[:count]:
            if not self._slots.pause(row):
                self._waste(self._jobs[job_id], trajectory, "preempted")
                # Another one, so that a step that is under way counts for neither.
                trajectory = replace(trajectory, steps=0)
            self._paused[Admit(job_id, trajectory.index)] = trajectory
            stretch = stretch_of(trajectory.job, next_rank(trajectory))
            self._scheduler.requeue(job_id, trajectory.index, stretch)

    def _advance(self, placement: Placement, report: StepReport, now_s: float) -> bool:
        """Take note of one trajectory's step; return whether its job needs a look."""
        row, trajectory = placement
        progress = self._jobs[trajectory.job.id]
        trajectory.steps += 1
        progress.supervision_steps += 1
        verdict = judge(trajectory, report, row)
        if verdict is STAYS:
            self._watcher.note(trajectory, report.answers[row], None)
            # A satisfied job drops those that have just become too late to matter.
            return progress.cutoff is not None
        ending = verdict.ending
        if verdict.is_find and not self._record(placement, report, now_s):
            ending = Ending.MISMATCH
        if ending in (Ending.HALTED, Ending.EXHAUSTED):
            self._consider(progress, trajectory, report, row)
        self._watcher.note(trajectory, report.answers[row], ending)
        if ending is not None:
            progress.num_failed += ending is Ending.FAILED
            progress.ended.append(trajectory.index)
            self._leave(trajectory, ending)
        return True

    def _record(self, placement: Placement, report: StepReport, now_s: float) -> bool:
        """Record a trajectory's first valid answer; return false if the plain checker objects."""
        row, trajectory = placement
        progress = self._jobs[trajectory.job.id]
        tokens = trajectory.unview(report.answers[row])
        if not trajectory.job.check(tokens):
            self._guard.may_show(trajectory.job, tokens)
            progress.verify_mismatches += 1
            self._metrics.count_mismatch()
            return False
        trajectory.has_solved = True
        is_new = progress.add_find(trajectory, tokens, value=report.value[row], now_s=now_s)
        self._metrics.count_solution(is_new=is_new)
        return True

    def _settle(self, progress: JobProgress, now_s: float) -> list[EngineEvent]:
        """Drop what the job needs no more; return its new solutions, and its end if it is one."""
        job = progress.job
        if progress.cutoff is not None:
            self._prune(job.id, progress.cutoff)
        self._scheduler.limit(job.id, self._num_startable(progress))
        if not self._scheduler.outstanding(job.id):
            has_failed = progress.num_failed == job.width
            return self._finish(progress, "failed" if has_failed else "done", now_s)
        frontier = None if job.max_solutions is None else self._frontier(progress)
        return list(progress.settled(frontier))

    def _tell_watched(self, now_s: float) -> list[EngineEvent]:
        """Return how the watched jobs stand whose time has come."""
        return [
            snapshot
            for job_id in self._watcher.jobs
            if self._watcher.due(job_id, now_s)
            for snapshot in self._look_at(self._jobs[job_id], now_s)
        ]

    def _look_at(self, progress: JobProgress, now_s: float) -> list[Snapshot]:
        live = (placement.trajectory for placement in self._live_of(progress.job.id))
        return self._watcher.snapshot(progress, live, now_s)

    def _prune(self, job_id: str, cutoff: Rank) -> None:
        """Drop the trajectories that can no longer change what a satisfied job returns."""
        for trajectory in self._unfinished_of(job_id):
            if next_rank(trajectory) > cutoff:
                self._drop(trajectory)

    def _num_startable(self, progress: JobProgress) -> int:
        """Return how many of the job's trajectories may have started by now.

        Ahead of their turn they start only where their rows are for free.
        """
        if self._runner.runs_ahead:
            return progress.first_unwanted()
        return progress.first_early(self._frontier(progress))

    def _frontier(self, progress: JobProgress) -> Rank | None:
        """Return the least rank that an unfinished trajectory of the job can still reach."""
        ranks = [next_rank(trajectory) for trajectory in self._unfinished_of(progress.job.id)]
        if progress.num_started < progress.first_unwanted():
            ranks.append(rank_of(progress.job, progress.num_started, 1))
        return min(ranks, default=None)

    def _finish(self, progress: JobProgress, outcome: Outcome, now_s: float) -> list[EngineEvent]:
        """Drop what is left of a job and return its last solutions and its end."""
        job_id = progress.job.id
        last_seen = self._look_at(progress, now_s)
        self._watcher.forget(job_id)
        for placement in self._live_of(job_id):
            self._keep_attempt(progress, placement.trajectory)
        for trajectory in self._unfinished_of(job_id):
            self._drop(trajectory)
        self._scheduler.remove(job_id)
        del self._jobs[job_id]
        last = progress.settled(None)
        self._metrics.observe_job(
            num_trajectories=progress.num_started, num_solutions=len(progress.emitted)
        )
        return [*last, *last_seen, progress.finish(outcome, now_s)]

    def _keep_attempt(self, progress: JobProgress, trajectory: Trajectory) -> None:
        """Consider the last answer of a trajectory that is cut short."""
        if self._last is None or self._last.report is None:
            return
        report, row = self._last.report, self._last.row_of(trajectory)
        if row is not None and report.is_finite[row] and not report.is_valid[row]:
            self._consider(progress, trajectory, report, row)

    def _consider(
        self, progress: JobProgress, trajectory: Trajectory, report: StepReport, row: int
    ) -> None:
        """Keep a wrong answer if it is the best of its job so far, and the job's own."""
        attempt = progress.better_attempt(
            trajectory, report.answers[row], report.num_violations[row]
        )
        if attempt is not None and self._guard.may_show(progress.job, attempt.tokens):
            progress.best = attempt

    def _drop(self, trajectory: Trajectory) -> None:
        self._waste(self._jobs[trajectory.job.id], trajectory, "aborted")
        self._leave(trajectory, Ending.ABORTED)

    def _leave(self, trajectory: Trajectory, ending: Ending) -> None:
        """Let a trajectory go that has a slot, or that paused while its last step was under way."""
        job_id = trajectory.job.id
        if trajectory.row is not None:
            self._slots.release(trajectory.row)
            self._scheduler.release(job_id)
        else:
            self._slots.forget(trajectory)
            del self._paused[Admit(job_id, trajectory.index)]
            self._scheduler.discard(job_id, trajectory.index)
        self._metrics.count_trajectory(ending, trajectory.steps)

    def _waste(self, progress: JobProgress, trajectory: Trajectory, reason: str) -> None:
        progress.wasted_steps += trajectory.steps
        self._metrics.count_wasted(reason, trajectory.steps)

    def _live_by_job(self) -> dict[str, list[Placement]]:
        groups: dict[str, list[Placement]] = {}
        for placement in self._slots.live():
            groups.setdefault(placement.trajectory.job.id, []).append(placement)
        return groups

    def _live_of(self, job_id: str) -> list[Placement]:
        return [place for place in self._slots.live() if place.trajectory.job.id == job_id]

    def _unfinished_of(self, job_id: str) -> list[Trajectory]:
        """Return a job's trajectories with a slot, then those that gave theirs up."""
        live = [placement.trajectory for placement in self._live_of(job_id)]
        paused = (paused for admit, paused in self._paused.items() if admit.job_id == job_id)
        return [*live, *paused]
