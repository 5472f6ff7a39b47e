"""Random traffic through engines with real weights, compared with the plain loop."""

from collections import Counter, deque
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from prometheus_client import CollectorRegistry

from gram_server.engine import Engine, Finished, FoundSolution, Progress, StepReport, TrajectoryView
from gram_server.engine.model_runner import ModelRunner
from gram_server.engine.slots import BatchUpdate
from gram_server.metrics.engine import EngineMetrics
from tests.stress import engine_model as plain
from tests.stress.engine_model import Backend, Found
from tests.stress.engine_plan import Abort, Arrival, Round, Site
from tests.stress.outcome import Outcome

MAX_TICKS = 20_000


def play(whole: Round, keep: Sequence[int] | None = None) -> Outcome:
    """Run a round, or only some of its steps, to the end."""
    kept = whole.steps if keep is None else [whole.steps[place] for place in keep]
    engines = _Play(whole)
    engines.run(sorted(kept, key=lambda step: step.tick))
    return Outcome(engines.differences, engines.counts)


@dataclass(slots=True)
class _Course:
    """What was told of one job."""

    arrival: Arrival
    backend: Backend
    submitted_s: float
    found: list[FoundSolution] = field(default_factory=list)
    sights: dict[int, TrajectoryView] = field(default_factory=dict)
    end: Finished | None = None
    aborted: bool = False
    restarted: bool = False


class _Play:
    """Engines at work, and what was wrong with what they told."""

    def __init__(self, whole: Round) -> None:
        self.differences: list[str] = []
        self.counts: Counter[str] = Counter()
        self._tick_s = whole.tick_s
        self._sites = {site.model: site for site in whole.sites}
        self._runners = {site.model: _Runner(site) for site in whole.sites}
        self._engines = {
            name: Engine(
                runner,
                metrics=EngineMetrics(CollectorRegistry()).of(name),
                ageing_s=whole.ageing_s,
            )
            for name, runner in self._runners.items()
        }
        self._courses: dict[str, _Course] = {}

    def run(self, steps: Sequence[Arrival | Abort]) -> None:
        """Do what was planned, then tick until all is done."""
        waiting = deque(steps)
        for tick in range(MAX_TICKS):
            now_s = tick * self._tick_s
            while waiting and waiting[0].tick <= tick:
                self._do(waiting.popleft(), now_s)
            for engine in self._engines.values():
                if engine.has_work:
                    self._tick(engine, now_s)
            if not waiting and not any(engine.has_work for engine in self._engines.values()):
                break
        else:
            self.differences.append(f"there is work left after {MAX_TICKS} ticks")
        self._check_ends()

    def _do(self, step: Arrival | Abort, now_s: float) -> None:
        if isinstance(step, Abort):
            course = self._courses.get(step.name)
            if course is not None:
                course.aborted = course.aborted or course.end is None
                self._engines[course.arrival.wanted.model].abort(step.name)
            return
        wanted = step.wanted
        deadline_s = None if step.deadline is None else now_s + step.deadline * self._tick_s
        backend = self._sites[wanted.model].backend
        self._courses[wanted.name] = _Course(step, backend, now_s)
        self._engines[wanted.model].submit(plain.engine_job(wanted, deadline_s), now_s)

    def _tick(self, engine: Engine, now_s: float) -> None:
        self.counts["ticks"] += 1
        for event in engine.tick(now_s):
            course = self._courses[event.job_id]
            if course.end is not None:
                self._differ(course, f"{type(event).__name__} after the end")
            elif isinstance(event, FoundSolution):
                course.found.append(event)
            elif isinstance(event, Progress):
                self._look(course, event)
            else:
                course.end = event
                self._check_outcome(course, now_s)
                self._check_answer(course)
        for course in self._courses.values():
            is_here = engine is self._engines[course.arrival.wanted.model]
            if course.aborted and course.end is None and is_here:
                self._differ(course, "goes on after it was given up")

    def _look(self, course: _Course, snapshot: Progress) -> None:
        """Compare what trajectories answer on their way."""
        wanted = course.arrival.wanted
        for sight in snapshot.trajectories:
            known = course.sights.get(sight.trajectory)
            course.sights[sight.trajectory] = sight
            if known is sight:
                continue
            self.counts["looks"] += 1
            steps = plain.course(wanted, course.backend, sight.trajectory)
            fate = plain.fate(wanted, steps)
            told, step = sight.tokens().tobytes(), steps[sight.step - 1]
            where = f"trajectory {sight.trajectory} step {sight.step}"
            if told != step.tokens:
                self._differ(course, f"{where} answers {told.hex()}, not {step.tokens.hex()}")
            if not 1 <= sight.step <= fate.ended or sight.state != _state(fate, sight.step):
                self._differ(course, f"{where} is {sight.state}, its fate {fate}")
            course.restarted = course.restarted or (known is not None and known.step > sight.step)

    def _check_outcome(self, course: _Course, now_s: float) -> None:
        """Say whether a job ended for a reason that there was."""
        end, deadline = course.end, course.arrival.deadline
        assert end is not None
        self.counts["jobs"] += 1
        self.counts[end.outcome] += 1
        limit_s = float("inf")
        if deadline is not None:
            limit_s = course.submitted_s + deadline * self._tick_s
        outcome = "cancelled" if course.aborted else "expired" if now_s >= limit_s else "done"
        if end.outcome != outcome:
            self._differ(course, f"ended as {end.outcome}, not {outcome}")
        if course.restarted and not end.wasted_steps:
            self._differ(course, "a trajectory went back, and nothing was wasted")
        if end.verify_mismatches:
            self._differ(course, f"{end.verify_mismatches} answers were refused by the checker")

    def _check_answer(self, course: _Course) -> None:
        end, wanted = course.end, course.arrival.wanted
        assert end is not None
        solutions = [found_of(solution) for solution in end.solutions]
        self._check_events(course, solutions)
        num_votes = [found.votes for found in solutions]
        is_right = end.valid_trajectories == sum(num_votes)
        if wanted.halt == "never":
            # A trajectory that never stops may find several solutions.
            is_right = max(num_votes, default=0) <= end.valid_trajectories <= sum(num_votes)
        if not is_right:
            self._differ(course, f"{end.valid_trajectories} valid, solutions {solutions}")
        if end.outcome != "done":
            self._check_part(course, solutions)
            return
        self.counts["solutions"] += len(solutions)
        expected = plain.expected(wanted, course.backend)
        if solutions != expected.solutions:
            self._differ(course, f"solutions {solutions}, not {expected.solutions}")
        best = None if end.best_attempt is None else end.best_attempt.tobytes()
        if best != expected.best_attempt:
            self._differ(course, f"best attempt {best!r}, not {expected.best_attempt!r}")
        num_steps = end.supervision_steps - end.wasted_steps
        if expected.num_steps is not None and num_steps != expected.num_steps:
            self._differ(course, f"{num_steps} useful steps, not {expected.num_steps}")

    def _check_events(self, course: _Course, solutions: Sequence[Found]) -> None:
        """The answers that were told are those of the end; where a job stops early, all of them."""
        wanted, told = course.arrival.wanted, [found_of(event) for event in course.found]
        shown = sorted(plain.shown(wanted, found.tokens) for found in told)
        if shown != sorted(plain.shown(wanted, found.tokens) for found in solutions):
            self._differ(course, f"events {told}, answer {solutions}")
        if wanted.max_solutions is not None:
            facts = sorted(found._replace(votes=0) for found in told)
            if facts != sorted(found._replace(votes=0) for found in solutions):
                self._differ(course, f"events {told}, answer {solutions}")
        self._check_part(course, told)

    def _check_part(self, course: _Course, solutions: Sequence[Found]) -> None:
        """Compare what a job had found by some time: true, and nothing twice."""
        wanted = course.arrival.wanted
        keys = set()
        for found in solutions:
            steps = plain.course(wanted, course.backend, found.trajectory)
            step = steps[found.step - 1]
            keys.add(plain.solution_key(wanted, found.tokens, found.trajectory))
            is_true = found.step in plain.fate(wanted, steps).finds and step.is_valid
            if not is_true or (step.tokens, step.value) != (found.tokens, found.value):
                self._differ(course, f"{found} was told, but the step is {step}")
        if len(keys) < len(solutions):
            self._differ(course, f"one solution twice in {solutions}")

    def _check_ends(self) -> None:
        """Look for jobs without an end, and for rows that nobody has and nobody gets."""
        for course in self._courses.values():
            if course.end is None:
                self._differ(course, "has no end")
        for name, engine in self._engines.items():
            site = self._sites[name]
            spares = len(engine._slots._free_parking)
            left = (engine.live, engine.waiting_trajectories, len(engine._runs))
            if any(left) or spares != site.num_parking:
                self.differences.append(
                    f"{name}: left {left}, {spares} of {site.num_parking} spares"
                )
        self.counts["moves"] = sum(runner.num_moves for runner in self._runners.values())

    def _differ(self, course: _Course, what: str) -> None:
        site = self._sites[course.arrival.wanted.model]
        self.differences.append(f"{course.arrival.wanted} on {site}: {what}")


class _Runner:
    """A real runner whose steps take no time, and whose results come as late as is wanted."""

    def __init__(self, site: Site) -> None:
        self.num_slots, self.num_parking = site.num_slots, site.num_parking
        self.pipeline_depth, self.rows_are_free = site.pipeline_depth, site.rows_are_free
        self.num_moves = 0
        self._reports: deque[StepReport] = deque()
        self._inner = _inner(site)

    def update_rows(self, update: BatchUpdate) -> None:
        """Pass it on."""
        self.num_moves += len(update.moves)
        self._inner.update_rows(update)

    def step(self, num_live: int, max_steps: int = 1) -> None:
        """Take the steps at once."""
        self._inner.step(num_live, max_steps)
        if self._inner.pipeline_depth != self.pipeline_depth:
            self._reports.append(self._inner.read())

    def read(self) -> StepReport:
        """Return the oldest results."""
        report = self._reports.popleft() if self._reports else self._inner.read()
        return replace(report, duration_s=0.0)


def _inner(site: Site) -> ModelRunner:
    given: dict[str, Any] = {"num_slots": site.num_slots, "num_parking": site.num_parking}
    if site.backend == "torch":
        given |= {"backend": "model", "rows_per_call": plain.ROWS}
    else:
        given |= {"backend": "native", "pipeline_depth": site.pipeline_depth}
    return ModelRunner(plain.model(site.model), **given)


def _state(fate: plain.Fate, step: int) -> str:
    """Return how a trajectory stands after a step."""
    if fate.finds and step >= fate.finds[0]:
        return "solved"
    if step < fate.ended:
        return "running"
    return "halted" if fate.ending == "failed" else fate.ending


def found_of(solution: FoundSolution) -> Found:
    return Found(
        tokens=solution.tokens.tobytes(),
        votes=solution.votes,
        trajectory=solution.trajectory,
        step=solution.step,
        value=solution.value,
    )
