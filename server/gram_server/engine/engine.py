"""Runs trajectories through a model, many at a time.

Knows slots and ticks. Does not know HTTP, Redis, asyncio or the rules of a puzzle; time is given.
"""

from collections import Counter, defaultdict, deque
from heapq import heapify, heappop

import numpy as np

from gram_server.engine.job_run import (
    CONTINUES,
    Attempt,
    FinishReason,
    JobRun,
    classify,
    host_verify,
    next_time,
    num_violations_of,
    round_of,
    virtual_time,
)
from gram_server.engine.progress import GivensGuard, ProgressReporter
from gram_server.engine.scheduler import AGEING_S, Admit, Scheduler
from gram_server.engine.slots import Batch, Runner, Slots, StepReport
from gram_server.engine.trajectory import EngineEvent, EngineJob, Outcome, StepClock, Trajectory
from gram_server.metrics.engine import ModelMetrics

WRONG = (FinishReason.EXHAUSTED, FinishReason.HALTED)
Tries = defaultdict[str, list[tuple[int, int, int]]]
"""Wrong answers of one step by job: broken rules, trajectory, row."""


class Engine:
    """Continuous batching of trajectories: each may join and leave at any tick."""

    def __init__(
        self, runner: Runner, *, metrics: ModelMetrics, ageing_s: float = AGEING_S
    ) -> None:
        num_slots, num_parking = runner.num_slots, runner.num_parking
        self._runner = runner
        self._metrics = metrics
        self._slots = Slots(num_slots=num_slots, num_parking=num_parking)
        self._scheduler = Scheduler(num_slots=num_slots, num_parking=num_parking, ageing_s=ageing_s)
        self._runs: dict[str, JobRun] = {}
        self._guard = GivensGuard(metrics)
        self._reporter = ProgressReporter(self._guard)
        self._clock = StepClock()
        self._in_flight: deque[Batch] = deque()
        """Steps whose results have not been read, oldest first."""
        self._last_step: tuple[Batch, StepReport] | None = None
        self._ended: Counter[tuple[FinishReason, int]] = Counter()
        """Reasons and steps of the trajectories that ended in this tick."""
        metrics.set_slots(live=0, capacity=num_slots)

    @property
    def has_work(self) -> bool:
        return bool(self._runs)

    @property
    def live(self) -> int:
        """Trajectories with a slot."""
        return self._slots.num_live

    @property
    def waiting_trajectories(self) -> int:
        return self._scheduler.num_waiting

    def submit(self, job: EngineJob, now_s: float) -> None:
        """Queue a job for slots; its id must be new."""
        if job.id in self._runs:
            raise ValueError(f"job {job.id} is already here")
        run = self._runs[job.id] = JobRun(job=job, submitted_s=now_s)
        self._scheduler.add(
            job.id,
            width=job.width,
            priority=job.priority,
            now_s=now_s,
            first_round=lambda index: round_of(job, virtual_time(job, index, 1)),
        )
        self._limit_starts(run)

    def abort(self, job_id: str) -> None:
        """Cancel a job before the next step; ignore one that has already finished."""
        if job_id in self._runs:
            self._runs[job_id].is_aborted = True

    def tick(self, now_s: float) -> list[EngineEvent]:
        """Launch one supervision step of every live trajectory, and harvest the oldest results.

        With a pipeline the device computes that step while the host handles the one before. So a
        trajectory that has ended takes one step too many, whose result is ignored.
        """
        events = self._expire(now_s)
        self._admit(now_s)
        self._launch()
        events += self._harvest(now_s)
        self._metrics.set_slots(live=self._slots.num_live, capacity=self._slots.num_slots)
        for (reason, steps), count in self._ended.items():
            self._metrics.count_trajectories(reason, steps, count)
        self._ended.clear()
        return events

    def _expire(self, now_s: float) -> list[EngineEvent]:
        events: list[EngineEvent] = []
        for run in list(self._runs.values()):
            deadline_s = run.job.deadline_s
            if run.is_aborted:
                events += self._finish(run, "cancelled", now_s)
            elif deadline_s is not None and deadline_s <= now_s:
                events += self._finish(run, "expired", now_s)
        return events

    def _admit(self, now_s: float) -> None:
        if not self._runner.rows_are_free:
            for run in self._runs.values():
                if run.unfinished:
                    self._limit_starts(run)
        if not self._scheduler.num_waiting and not self._slots.has_holes:
            return
        plan = self._scheduler.plan(now_s)
        for job_id, count in plan.preempt.items():
            self._preempt_youngest(self._runs[job_id], count)
        admits = plan.admits
        for run in self._runs.values():
            admits += self._swap_within_job(run)
        admitted: list[Trajectory] = []
        for job_id, index in admits:
            run = self._runs[job_id]
            run.admitted_s = now_s if run.admitted_s is None else run.admitted_s
            trajectory = run.unfinished.get(index)
            if trajectory is None:
                run.num_started += 1
                trajectory = run.unfinished[index] = Trajectory(run.job, index, self._clock)
            else:
                trajectory.join()
            admitted.append(trajectory)
        update = self._slots.fill(admitted)
        if update.moves or update.starts:
            self._runner.update_rows(update)

    def _limit_starts(self, run: JobRun) -> None:
        """Trajectories start early only where rows are free."""
        free = self._runner.rows_are_free
        end = run.num_needed() if free else run.num_startable()
        self._scheduler.of(run.job.id).end_fresh = end

    def _preempt_youngest(self, run: JobRun, count: int) -> None:
        youngest = sorted(run.live(), key=lambda each: (each.trajectory.steps, -each.row))
        for row, trajectory in youngest[:count]:
            if not self._pause(row):
                run.wasted_steps += trajectory.steps
                run.supervision_steps += trajectory.steps
                self._metrics.wasted["preempted"].inc(trajectory.steps)
                self._note_gone(trajectory)
                # A new object, so that a step in flight counts for neither.
                again = Trajectory(run.job, trajectory.index, self._clock)
                again.found = trajectory.found
                again.pause()
                trajectory = run.unfinished[trajectory.index] = again
            resume_round = round_of(run.job, next_time(trajectory))
            self._scheduler.of(run.job.id).requeue(trajectory.index, resume_round)

    def _swap_within_job(self, run: JobRun) -> list[Admit]:
        """Give slots of a job's leading trajectories to those of the job that lag behind."""
        job, admits, entry = run.job, list[Admit](), self._scheduler.of(run.job.id)
        if not job.is_staggered or entry.next_round is None:
            return admits
        ahead = [(round_of(job, next_time(each.trajectory)), *each) for each in run.live()]
        for resume_round, row, trajectory in sorted(ahead, reverse=True):
            behind = entry.next_round
            if behind is None or behind >= resume_round or not self._slots.has_parking:
                break
            self._pause(row)
            admits.append(entry.swap(trajectory.index, resume_round))
        return admits

    def _pause(self, row: int) -> bool:
        """Free the row of a trajectory that resumes later; return whether its state is kept."""
        trajectory = self._slots.preempt(row)
        if trajectory.parking_row is not None:
            trajectory.pause()
        return trajectory.parking_row is not None

    def _note_gone(self, trajectory: Trajectory) -> None:
        for batch in self._in_flight:
            batch.note_gone(trajectory)

    def _launch(self) -> None:
        if self._slots.num_live:
            batch = self._slots.batch(self._clock.launched)
            most = [batch.first_due - self._clock.read, *map(JobRun.max_steps, self._runs.values())]
            self._runner.step(self._slots.num_live, 1 if self._runner.pipeline_depth else min(most))
            self._in_flight.append(batch)
            self._clock.launched += 1

    def _harvest(self, now_s: float) -> list[EngineEvent]:
        """Read the results that are due; all of them once no trajectory is live."""
        events: list[EngineEvent] = []
        depth = self._runner.pipeline_depth
        while self._in_flight and (len(self._in_flight) > depth or not self._slots.num_live):
            batch, report = self._in_flight.popleft(), self._runner.read()
            events += self._take_results(batch, report, now_s + report.duration_s)
        return events

    def _take_results(self, batch: Batch, report: StepReport, now_s: float) -> list[EngineEvent]:
        self._last_step = batch, report
        count, num_live, num_rows = report.num_steps, len(batch.trajectories), report.num_rows
        num_useful, step_s = num_live - batch.num_gone, report.duration_s / count
        self._clock.take(count)
        self._metrics.observe_steps(
            count, num_useful=num_useful, num_live=num_live, num_rows=num_rows, step_s=step_s
        )
        # The rest of the harvest is for these alone: in most steps of most rows nothing happens.
        marks = report.marks()[:num_live]
        rows = batch.marked_or_due(marks, self._clock.read).tolist()
        flags = marks.tolist() if rows else []
        # A satisfied job drops trajectories that can no longer matter.
        touched = {run.job.id: run for run in self._runs.values() if run.stop_time is not None}
        tries: Tries = defaultdict(list)
        for row in rows:
            trajectory, is_marked = batch.trajectories[row], flags[row]
            if trajectory.row is None and trajectory.parking_row is None:
                continue  # It has ended or lost its state.
            run = self._runs[trajectory.job.id]
            if is_marked:
                host_verify(report, trajectory, row)
            if self._advance(run, trajectory, report, row, now_s, tries, is_marked=is_marked):
                touched[run.job.id] = run
        for job_id, tried in tries.items():
            self._consider(self._runs[job_id], tried)
        events = [event for run in touched.values() for event in self._settle(run, now_s)]
        for job_id in self._reporter.due(now_s) if self._reporter.jobs else ():
            events += self._reporter.report(self._runs[job_id], now_s)
        return events

    def _advance(
        self,
        run: JobRun,
        trajectory: Trajectory,
        report: StepReport,
        row: int,
        now_s: float,
        tries: Tries,
        *,
        is_marked: bool,
    ) -> bool:
        """Return whether the job must be settled."""
        outcome = classify(trajectory, report, row, is_marked=is_marked)
        reason = outcome.reason
        if outcome.is_find and not self._record(run, trajectory, report, row, now_s):
            reason = FinishReason.MISMATCH
        if trajectory.index < run.job.num_shown:
            self._reporter.note(trajectory, report.answers[row], reason)
        if outcome is CONTINUES:
            return False
        if reason in WRONG:
            num_violations = num_violations_of(trajectory, report, row)
            tries[run.job.id].append((num_violations, trajectory.index, row))
        if reason is not None:
            run.num_failed += reason is FinishReason.FAILED
            run.ended.append(trajectory.index)
            self._leave(run, trajectory, reason)
        return True

    def _record(
        self, run: JobRun, trajectory: Trajectory, report: StepReport, row: int, now_s: float
    ) -> bool:
        """Return false if the plain checker rejects the answer."""
        tokens = trajectory.unview(report.answers[row])
        if not run.job.check(tokens):
            self._guard.may_show(run.job, tokens)
            run.verify_mismatches += 1
            self._metrics.verify_mismatches.inc()
            return False
        trajectory.found |= {report.answers[row].tobytes()}
        is_new = run.add_find(trajectory, tokens, value=float(report.value[row]), now_s=now_s)
        if run.job.is_verified:
            (self._metrics.distinct if is_new else self._metrics.duplicate).inc()
        return True

    def _settle(self, run: JobRun, now_s: float) -> list[EngineEvent]:
        """Drop trajectories no longer needed; return new solutions, and the end if it has come."""
        job = run.job
        if run.stop_time is not None:
            for trajectory in list(run.unfinished.values()):
                if next_time(trajectory) > run.stop_time:
                    self._drop(run, trajectory)
        self._limit_starts(run)
        if not self._scheduler.of(job.id).demand:
            return self._finish(run, "failed" if run.num_failed == job.width else "done", now_s)
        return list(run.emit())

    def _finish(self, run: JobRun, outcome: Outcome, now_s: float) -> list[EngineEvent]:
        last_progress = self._reporter.end(run, now_s) if run.job.num_shown else []
        self._keep_attempts(run)
        for trajectory in list(run.unfinished.values()):
            self._drop(run, trajectory)
        self._scheduler.remove(run.job.id)
        del self._runs[run.job.id]
        solutions = run.emit(has_ended=True)
        if run.job.is_verified:
            self._metrics.observe_job(run.num_started, num_solutions=len(run.emitted))
        return [*solutions, *last_progress, run.finish(outcome, now_s)]

    def _keep_attempts(self, run: JobRun) -> None:
        """Consider the last answers of trajectories that are cut short."""
        if self._last_step is None or not run.unfinished:
            return
        batch, report = self._last_step
        tried = []
        is_wrong = report.is_finite & ~report.is_valid
        for row in np.flatnonzero(is_wrong[: len(batch.trajectories)]).tolist():
            trajectory = batch.trajectories[row]
            is_cut_short = run.unfinished.get(trajectory.index) is trajectory
            if is_cut_short and trajectory.row is not None:
                tried.append((num_violations_of(trajectory, report, row), trajectory.index, row))
        self._consider(run, tried)

    def _consider(self, run: JobRun, tried: list[tuple[int, int, int]]) -> None:
        """Keep the best wrong answer so far that keeps its givens."""
        assert self._last_step is not None
        batch, report = self._last_step
        heapify(tried)
        while tried:
            num_violations, index, row = heappop(tried)
            if run.best is not None and (num_violations, index) >= run.best[:2]:
                return
            tokens = batch.trajectories[row].unview(report.answers[row])
            if self._guard.may_show(run.job, tokens):
                run.best = Attempt(num_violations, index, tokens)
                return

    def _drop(self, run: JobRun, trajectory: Trajectory) -> None:
        run.wasted_steps += trajectory.steps
        self._leave(run, trajectory, FinishReason.ABORTED)

    def _leave(self, run: JobRun, trajectory: Trajectory, reason: FinishReason) -> None:
        """Drop a trajectory, which may have been preempted while its last step was in flight."""
        job_id, steps = run.job.id, trajectory.steps
        run.supervision_steps += steps
        self._ended[run.reason_told(reason), steps] += 1
        self._note_gone(trajectory)
        del run.unfinished[trajectory.index]
        if trajectory.row is not None:
            self._slots.release(trajectory.row)
            self._scheduler.release(job_id)
        else:
            self._slots.forget(trajectory)
            self._scheduler.of(job_id).discard(trajectory.index)
