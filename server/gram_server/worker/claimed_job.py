"""One claimed job: conversion from the store's form to the engine's, and of its answers back.

Knows both forms and the puzzle families; runs nothing.
"""

import time
from asyncio import Queue
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from gram_core import puzzles
from gram_core.catalog import ModelInfo
from gram_core.puzzles import (
    BLANK,
    Countable,
    Encoded,
    Family,
    Padding,
    Renaming,
    Task,
    Tokens,
    ViewOf,
    Violation,
)
from gram_server import answers
from gram_server.engine import EngineJob, Finished, FoundSolution, Progress
from gram_server.errors import ModelUnknown
from gram_server.job import EXACT, Job
from gram_server.tracing import JobTrace

MAX_CANDIDATES = 2
"""An answer is taken for right if one of two attempts is (pass@2)."""


@dataclass(slots=True, kw_only=True, eq=False)
class ClaimedJob:
    """A job that this worker holds."""

    job: Job
    model: ModelInfo | None
    """None where exact search alone answers."""
    family: Family[object]
    instance: object
    padding: Padding[object] | None
    """The puzzle as the model takes it, where it is not the posted one."""
    task: Task
    """Of the puzzle as the model takes it."""
    encoded: Encoded
    view: ViewOf
    dead_end: Violation | None
    """What the givens leave no value for: nothing is run then."""
    claimed_s: float
    """``time.time()``."""
    trace: JobTrace
    is_cancelled: bool = False
    """The job was cancelled, or another worker has it."""
    again: Job | None = None
    """The job as claimed again before the run of this claim had ended."""
    has_left_engine: bool = False
    """Whether it only waits for exact searches."""
    next_progress: Progress | None = None
    """The newest progress, not yet published."""
    reductions: Queue[FoundSolution | Finished] | None = None
    """Generated boards whose clues are still to be reduced, then the end of the job."""
    boards: list[answers.Board] = field(default_factory=list)
    shown: dict[int, answers.Sight] = field(default_factory=dict)
    """The last published state of each shown trajectory."""

    @property
    def must_restart(self) -> bool:
        """Whether its run was cancelled and the job has been claimed again."""
        return self.is_cancelled and self.again is not None

    @property
    def needs_engine(self) -> bool:
        return self.model is not None and self.dead_end is None

    @property
    def has_verifier(self) -> bool:
        """Whether what the engine accepts is a solution, and no candidate."""
        return self.family.has_verifier

    @property
    def reduces_clues(self) -> bool:
        return self.job.sampling is not None and self.job.sampling.is_thinned

    @property
    def is_out_of_time(self) -> bool:
        deadline_s = self.job.deadline_s
        return self.is_cancelled or (deadline_s is not None and time.time() >= deadline_s)

    @classmethod
    def parse(
        cls, job: Job, models: Mapping[str, ModelInfo], *, now_s: float, trace: JobTrace
    ) -> "ClaimedJob":
        """Raise a domain error when the job cannot run here."""
        model = models.get(job.route)
        if model is None and job.route != EXACT.name:
            raise ModelUnknown(f"this worker has not loaded the model {job.route}")
        puzzle = puzzles.family(job.puzzle)
        instance = puzzle.parse(job.body)
        task, padding = puzzle.task_of(instance), None
        if model is not None and task.name != model.task:
            larger = puzzles.task(model.task)
            padding = puzzle.pad(instance, larger) if larger.family == puzzle.name else None
            if padding is None:
                raise ModelUnknown(f"model {model.name} is for {model.task}, not for {task.name}")
            task = larger
        posed = padding.instance if padding else instance
        folder = model.path if model else Path()
        encoded, view = puzzle.seen(posed, task, seed=job.options.seed, folder=folder)
        return cls(
            job=job,
            model=model,
            family=puzzle,
            instance=instance,
            padding=padding,
            task=task,
            encoded=encoded,
            view=view,
            dead_end=puzzle.dead_end(instance),
            claimed_s=now_s,
            trace=trace,
        )

    def engine_job(self, *, clock_offset_s: float) -> EngineJob:
        """Convert the job; ``clock_offset_s`` is the engine's clock minus ``time.time()``."""
        options, deadline_s, sampling = self.job.options, self.job.deadline_s, self.job.sampling
        assert self.model is not None

        def count_violations(tokens: Tokens) -> int:
            return len(self.family.violations(self.instance, self._cut(tokens)))

        return EngineJob(
            id=self.job.id,
            tokens=self.encoded.tokens,
            adjacency=self.encoded.adjacency,
            width=options.width,
            depth=options.depth or self.model.depth,
            max_solutions=options.max_solutions if self.has_verifier else None,
            deadline_s=None if deadline_s is None else deadline_s + clock_offset_s,
            seed=options.seed,
            halt=options.halt if self.has_verifier or options.halt == "act" else "settled",
            order="step" if sampling is None else "trajectory",
            is_verified=self.has_verifier,
            distinct=sampling is None or sampling.is_distinct,
            priority=self.job.priority,
            num_shown=options.decodes,
            view=self.view if options.augment else lambda trajectory: None,
            check=lambda tokens: self.family.check(self.instance, self._cut(tokens)),
            canonical=lambda tokens: self.family.canonical(self.instance, self._cut(tokens)),
            count_violations=count_violations if self.task.has_other_rules else None,
        )

    def _cut(self, tokens: Tokens) -> Tokens:
        """Return the posted puzzle's part of an engine's tokens."""
        return tokens if self.padding is None else self.padding.cut(tokens)

    def solution(self, found: FoundSolution) -> answers.Solution:
        ms = round(found.ms_since_admission, 3)
        return answers.Solution(
            answer=self._answer(self._cut(found.tokens)),
            votes=found.votes,
            source="model",
            value=round(found.value, 6),
            first=answers.First(trajectory=found.trajectory, step=found.step, ms=ms),
        )

    def candidate(self, found: FoundSolution) -> answers.Candidate:
        known = self.solution(found).model_dump(exclude={"source"})
        return answers.Candidate.model_validate(known)

    def progress(self, progress: Progress) -> answers.ProgressEvent:
        if not self.has_verifier:
            # What was accepted is well-formed, and not known to be right.
            views = tuple(
                view._replace(state="halted") if view.state == "solved" else view
                for view in progress.trajectories
            )
            progress = replace(progress, solved=0, solved_at=(), trajectories=views)
        for view in progress.trajectories:
            last = self.shown.get(view.trajectory)
            if last is not None and last.step == view.step:
                # It has ended or waits for a slot. A repetition after a preemption changes nothing:
                # the same step gives the same answer.
                answer = last.answer
            else:
                answer = self._decode(self._cut(view.tokens()))
            self.shown[view.trajectory] = answers.Sight(
                trajectory=view.trajectory, step=view.step, answer=answer, state=view.state
            )
        return answers.ProgressEvent(
            step=progress.step,
            live=progress.live,
            solved=progress.solved,
            solved_at=list(progress.solved_at),
            trajectories=[self.shown[view.trajectory] for view in progress.trajectories],
        )

    def exact_solution(self, tokens: Tokens) -> answers.Solution:
        return answers.Solution(
            answer=self._answer(tokens), votes=0, source="exact", value=None, first=None
        )

    def _answer(self, solution: Tokens) -> Any:
        """Return the same answer whichever trajectory found it first."""
        if isinstance(self.family, Renaming):
            solution = self.family.representative(self.instance, solution)
        return self._decode(solution)

    def _decode(self, tokens: Tokens) -> Any:
        """Return tokens in the form that was posted, which the models of answers check."""
        return self.family.decode(self.instance, tokens)

    def response(self, end: Finished, exact: answers.ExactFindings) -> answers.SolveResponse:
        candidates: list[answers.Candidate] = []
        if not self.has_verifier:
            candidates = [self.candidate(found) for found in end.solutions[:MAX_CANDIDATES]]
            end = replace(end, solutions=(), valid_trajectories=0)
        solutions = [self.solution(found) for found in end.solutions]
        solutions += [self.exact_solution(tokens) for tokens in exact.solutions]
        status = "solved" if solutions else "answered" if candidates else "unsolved"
        is_partial = end.outcome == "expired" or exact.ended == "deadline"
        total, unsolvable = exact.total, None
        if self.dead_end is not None:
            cells = [list(cell) for cell in self.dead_end.cells]
            total, unsolvable = 0, answers.Unsolvable(reason=self.dead_end.rule, cells=cells)
        elif total is None and isinstance(self.family, Countable):
            total = self.family.count(self.instance)
        elif total == 0:
            unsolvable = answers.Unsolvable(reason="exact search found no solution", cells=[])
        return answers.SolveResponse(
            **self._identity(),
            status="partial" if is_partial else status,
            verified=self.has_verifier,
            solutions=solutions,
            candidates=candidates,
            distinct=len(solutions),
            valid_trajectories=end.valid_trajectories,
            width=self.job.options.width,
            completeness=_completeness(
                end,
                exact,
                total=total,
                num_seen=len(solutions),
                is_asked=self.job.options.count == "exact",
            ),
            exact_search=exact.ended,
            best_attempt=None if solutions else self._best_attempt(end.best_attempt),
            usage=self.usage(end),
            unsolvable=unsolvable,
            padded_to=None if self.padding is None else self.task.name,
        )

    def _identity(self) -> dict[str, Any]:
        model = self.model or EXACT
        return answers.identity(self.job, model=model.id, depth=model.depth)

    def board(self, found: FoundSolution, puzzle: Tokens | None) -> answers.Board:
        """Return a generated board, and the puzzle made of it."""
        return answers.Board(
            answer=self._decode(found.tokens),
            puzzle=None if puzzle is None else self._decode(puzzle),
            clues=None if puzzle is None else int((puzzle != BLANK).sum()),
            value=round(found.value, 6),
            trajectory=found.trajectory,
            step=found.step,
            ms=round(found.ms_since_admission, 3),
        )

    def generate_response(self, end: Finished) -> answers.GenerateResponse:
        job, boards, num_valid = self.job, self.boards, end.valid_trajectories
        keys = {self.family.canonical(self.instance, found.tokens) for found in end.solutions}
        count = job.options.max_solutions or 0
        is_partial = end.outcome == "expired" or len(boards) < len(end.solutions)
        return answers.GenerateResponse(
            **self._identity(),
            task=job.task,
            status="partial" if is_partial else "complete" if len(boards) == count else "exhausted",
            boards=boards,
            count=count,
            trajectories=end.ended_trajectories,
            valid_trajectories=num_valid,
            distinct=len(keys),
            validity=_share(num_valid, end.ended_trajectories),
            uniqueness=_share(len(keys), num_valid),
            max_trajectories=job.options.width,
            usage=self.usage(end),
        )

    def usage(self, end: Finished) -> answers.Usage:
        queue_s = max(0.0, self.claimed_s - self.job.submitted_s) + end.queue_s
        return answers.Usage(
            queue_ms=round(queue_s * 1e3, 3),
            engine_ms=round(end.engine_s * 1e3, 3),
            supervision_steps=end.supervision_steps,
            wasted_steps=end.wasted_steps,
        )

    def _best_attempt(self, tokens: Tokens | None) -> answers.BestAttempt | None:
        # What is not even well-formed is near to nothing that is known.
        if tokens is None or not self.job.options.best_attempt or not self.has_verifier:
            return None
        tokens = self._cut(tokens.astype(np.uint8))
        violations = self.family.violations(self.instance, tokens)
        return answers.BestAttempt(
            answer=self._decode(tokens),
            violations=[
                answers.Violation(
                    rule=violation.rule, cells=[list(cell) for cell in violation.cells]
                )
                for violation in violations
            ],
        )


def _share(part: int, whole: int) -> float | None:
    return round(part / whole, 6) if whole else None


def _completeness(
    end: Finished, exact: answers.ExactFindings, *, total: int | None, num_seen: int, is_asked: bool
) -> answers.Completeness:
    """Return what is known of the number of solutions, of which ``num_seen`` are in the answer."""
    if total is not None:
        return answers.Completeness(
            estimate=num_seen / total if total else None,
            total=total,
            method="exact" if total else None,
            total_status="known",
            at_least=total,
        )
    estimate: float | None = None
    if end.valid_trajectories >= answers.MIN_VALID:
        # The chance that one more trajectory finds a solution already seen.
        votes = [found.votes for found in end.solutions]
        estimate = round(1.0 - votes.count(1) / sum(votes), 6)
    return answers.Completeness(
        estimate=estimate,
        total=None,
        method=None if estimate is None else "good_turing",
        total_status=answers.WITHOUT_TOTAL.get(exact.ended, "failed") if is_asked else "not_asked",
        at_least=max(num_seen, exact.at_least),
    )
