"""What a job of the engine must answer, by the plain loop alone: no slots, no ticks, no neighbours.

The rules are those of docs/architecture.md and docs/api.md; of the product this uses the model's
own step, the plain loop of ``gram_core.solve`` and the rules of the puzzles.
"""

import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache, partial
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
import torch

from gram_core import puzzles
from gram_core.catalog import find_model
from gram_core.checkpoint import LoadedModel, load_model
from gram_core.model import answer
from gram_core.puzzles import Encoded, Symmetry, Tokens
from gram_core.solve import rollout, unit_tables
from gram_kernels.verify import verify
from gram_server.engine import EngineJob, Trajectory
from gram_server.engine.model_runner import ModelRunner
from gram_server.engine.slots import BatchUpdate, SlotAssignment
from gram_server.engine.trajectory import StepClock
from tests.server.conftest import make_guessing_model

DEPTH = 40
"""Steps that the plain loop takes; a job takes no more."""
ROWS = 8
"""Rows of a call of the plain loop, and of the runners on torch's ops: the same bits."""
BLOCKS_KEPT = 1000
NUM_INSTANCES = 4
SHIPPED = ("sudoku-4x4", "nqueens-8", "graph-coloring-8")
GUESSING = ("sudoku-4x4", "graph-coloring-5")
"""Tasks of models with random weights, which find something now and then."""
MODELS = (*SHIPPED, *(f"guess:{task}" for task in GUESSING))
Backend = Literal["torch", "native"]
Views = Sequence[Symmetry | None]
CLIQUE = [[one, other] for one in range(4) for other in range(one)]
HOPELESS: dict[str, dict[str, object]] = {
    "sudoku-4x4": {"grid": "...1.3.4..4..1.."},
    "nqueens-8": {"n": 8, "queens": [[6, 6], [3, 5], [4, 0]]},
    "graph-coloring-5": {"vertices": 5, "edges": [*CLIQUE, [3, 4]]},
    "graph-coloring-8": {"vertices": 8, "edges": [*CLIQUE, [3, 4], [4, 5], [5, 6], [6, 7]]},
}
"""Instances without a solution, which does not show: a job on one takes every step."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """A job, as plain values."""

    name: str
    model: str
    instance: int
    seed: int
    width: int
    depth: int
    max_solutions: int | None = None
    order: Literal["step", "trajectory"] = "step"
    distinct: bool = True
    halt: Literal["verified", "act", "settled", "never"] = "verified"
    augment: bool = True
    priority: int = 1
    num_shown: int = 0


class Step(NamedTuple):
    """One supervision step of one trajectory."""

    tokens: bytes
    """As the user sees them."""
    is_valid: bool
    wants_halt: bool
    is_finite: bool
    num_violations: int
    value: float


class Fate(NamedTuple):
    """What becomes of a trajectory that nobody stops."""

    finds: tuple[int, ...]
    """Steps of its valid answers, each answer once."""
    ended: int
    ending: Literal["solved", "halted", "exhausted", "failed"]


class Found(NamedTuple):
    """A solution in the answer."""

    tokens: bytes
    votes: int
    trajectory: int
    step: int
    value: float


class Expected(NamedTuple):
    """The answer of a job that ends by itself."""

    solutions: list[Found]
    best_attempt: bytes | None
    num_steps: int | None
    """What it takes, nothing wasted; None where the job stops early."""


@cache
def model(name: str) -> LoadedModel:
    """Return a model by name or folder, or for ``guess:TASK`` one with random weights."""
    kind, _, task = name.rpartition(":")
    if not kind:
        return load_model(find_model(name))
    with tempfile.TemporaryDirectory() as folder:
        return make_guessing_model(task, Path(folder) / "model")


@cache
def instance(model_name: str, number: int) -> Any:
    """Return one of a model's instances; the last one is hopeless, and some boards are easy."""
    task = model(model_name).task
    family = puzzles.family(task.family)
    if number == NUM_INSTANCES - 1:
        return family.parse(HOPELESS[task.name])
    rng = np.random.default_rng(number)
    made = family.generate(task, rng, num_solutions=None)
    if task.family != "sudoku" or number % 2:
        return made
    grid = next(iter(family.enumerate(made, limit=1))).astype(int) - 1
    grid[rng.choice(task.length, 2, replace=False)] = 0
    return family.parse({"grid": grid.reshape(task.rows, task.columns).tolist()})


def engine_job(wanted: Wanted, deadline_s: float | None = None) -> EngineJob:
    """Return the job as the worker would hand it to the engine."""
    task, puzzle = model(wanted.model).task, instance(wanted.model, wanted.instance)
    family = puzzles.family(task.family)
    encoded = family.encode(puzzle)
    return EngineJob(
        id=wanted.name,
        tokens=encoded.tokens,
        adjacency=encoded.adjacency,
        width=wanted.width,
        depth=wanted.depth,
        seed=wanted.seed,
        max_solutions=wanted.max_solutions,
        order=wanted.order,
        distinct=wanted.distinct,
        halt=wanted.halt,
        priority=wanted.priority,
        num_shown=wanted.num_shown,
        deadline_s=deadline_s,
        view=family.views(task, wanted.seed) if wanted.augment else lambda index: None,
        check=partial(family.check, puzzle),
        canonical=partial(family.canonical, puzzle),
    )


def course(wanted: Wanted, backend: Backend, index: int) -> Sequence[Step]:
    """Return the steps of a trajectory that nobody stops, up to the job's depth."""
    which = (wanted.model, backend, wanted.instance, wanted.seed)
    block = _block(*which, augment=wanted.augment, first=index - index % ROWS)
    return block.course(index % ROWS, wanted.depth)


def fate(wanted: Wanted, steps: Sequence[Step]) -> Fate:
    """Return what becomes of a trajectory: when it answers, when it leaves and why."""
    finds: dict[bytes, int] = {}
    for number, step in enumerate(steps[: wanted.depth], start=1):
        if not step.is_finite:
            return Fate(tuple(finds.values()), number, "failed")
        recent = {each.tokens for each in steps[max(0, number - 6) : number]}
        has_settled = number > 5 and len(recent) == 1
        is_halting = {"act": step.wants_halt, "settled": has_settled}.get(wanted.halt, False)
        is_last = is_halting or number == wanted.depth
        if step.is_valid and (is_last or wanted.halt in ("verified", "never")):
            finds.setdefault(step.tokens, number)
            if wanted.halt == "verified":
                return Fate((number,), number, "solved")
        if is_last:
            ending: Any = "solved" if finds else "halted" if is_halting else "exhausted"
            return Fate(tuple(finds.values()), number, ending)
    raise AssertionError("a job deeper than the plain loop")


def expected(wanted: Wanted, backend: Backend) -> Expected:
    """Return the answer of a job that nobody gives up and no deadline cuts short."""
    courses = [course(wanted, backend, index) for index in range(wanted.width)]
    fates = [fate(wanted, steps) for steps in courses]
    groups: dict[tuple[bytes, int], list[Found]] = {}
    last: tuple[int, int] | None = None
    for rank, index, step in sorted(_finds(wanted, fates)):
        if last is not None and rank > last:
            break
        tokens, value = courses[index][step - 1].tokens, courses[index][step - 1].value
        key = solution_key(wanted, tokens, index)
        known = groups.get(key)
        if any(found.trajectory == index for found in known or ()):
            continue
        if known is not None or last is None:
            groups.setdefault(key, []).append(Found(tokens, 0, index, step, value))
        if len(groups) == wanted.max_solutions and last is None:
            last = rank
    solutions = [group[0]._replace(votes=len(group)) for group in groups.values()]
    if wanted.order == "step":
        solutions.sort(key=lambda found: -found.votes)
    num_steps = None if wanted.max_solutions else sum(one.ended for one in fates)
    best = None if solutions else _best_attempt(courses, fates)
    return Expected(solutions, best, num_steps)


def solution_key(wanted: Wanted, tokens: bytes, index: int) -> tuple[bytes, int]:
    """Return what two answers share that count as one."""
    family = puzzles.family(model(wanted.model).task.family)
    puzzle = instance(wanted.model, wanted.instance)
    canonical = family.canonical(puzzle, np.frombuffer(tokens, np.uint8))
    return canonical, -1 if wanted.distinct else index


def shown(wanted: Wanted, tokens: bytes) -> bytes:
    """Return a solution as it is shown: the same one whoever of several found it."""
    family = puzzles.family(model(wanted.model).task.family)
    puzzle, solution = instance(wanted.model, wanted.instance), np.frombuffer(tokens, np.uint8)
    if isinstance(family, puzzles.Renaming):
        solution = family.representative(puzzle, solution)
    assert family.check(puzzle, solution), "what is shown is no solution"
    return solution.tobytes()


def _finds(wanted: Wanted, fates: Sequence[Fate]) -> list[tuple[tuple[int, int], int, int]]:
    """Return the rank, trajectory and step of every find."""
    finds = []
    for index, step in ((index, step) for index, one in enumerate(fates) for step in one.finds):
        turn = step
        if wanted.order == "trajectory":
            turn = index
        elif wanted.max_solutions is not None and index:
            # 0, 8, 16, 16, 32, 32, 32, 32, 64, ... turns after the first.
            turn += 8 * 2 ** (index.bit_length() - 1)
        finds.append(((turn, step), index, step))
    return finds


def _best_attempt(courses: Sequence[Sequence[Step]], fates: Sequence[Fate]) -> bytes | None:
    """Return the last answer with the fewest violations; of several that of the first."""
    lasts = [
        (steps[one.ended - 1].num_violations, index, steps[one.ended - 1].tokens)
        for index, (steps, one) in enumerate(zip(courses, fates, strict=True))
        if one.ending in ("halted", "exhausted")
    ]
    return min(lasts)[2] if lasts else None


class _Block:
    """The courses of some trajectories, as far as anybody asked."""

    def __init__(self, loop: Iterator[list[Step]], check: Callable[[Tokens], bool]) -> None:
        self._loop = loop
        self._check = check
        self._courses: list[list[Step]] = [[] for _ in range(ROWS)]

    def course(self, row: int, depth: int) -> Sequence[Step]:
        """Return the first steps of one trajectory."""
        while len(self._courses[row]) < depth:
            for course, step in zip(self._courses, next(self._loop), strict=True):
                is_right = self._check(np.frombuffer(step.tokens, np.uint8))
                assert step.is_valid == is_right, "verifier and checker differ"
                course.append(step)
        return self._courses[row][:depth]


@lru_cache(maxsize=BLOCKS_KEPT)
def _block(
    model_name: str, backend: Backend, number: int, seed: int, *, augment: bool, first: int
) -> _Block:
    """Return the courses of trajectories ``first .. first + ROWS - 1``."""
    task, puzzle = model(model_name).task, instance(model_name, number)
    family = puzzles.family(task.family)
    indices = range(first, first + ROWS)
    view = family.views(task, seed)
    rows = [view(index) if augment else None for index in indices]
    if backend == "torch":
        loop = _by_torch(model(model_name), family.encode(puzzle), rows, seed, first)
    else:
        given: Any = {"model": model_name, "instance": number, "seed": seed, "augment": augment}
        wanted = Wanted(name="plain", width=1, depth=DEPTH, **given)
        loop = _by_native_code(wanted, rows, first)
    return _Block(loop, partial(family.check, puzzle))


def _by_torch(
    loaded: LoadedModel, encoded: Encoded, views: Views, seed: int, first: int
) -> Iterator[list[Step]]:
    """Yield each step of a block, as ``gram_core.solve`` computes it."""
    seen = [encoded.through(symmetry) for symmetry in views]
    givens = torch.from_numpy(np.stack([each.tokens for each in seen])).long()
    graphs = [torch.from_numpy(each.adjacency) for each in seen if each.adjacency is not None]
    adjacency = torch.stack(graphs) if graphs else None
    tables = unit_tables(loaded.task)
    seeds, trajectories = torch.full((ROWS,), seed), torch.arange(first, first + ROWS)
    steps = rollout(loaded.model, givens, seeds, trajectories, depth=DEPTH, adjacency=adjacency)
    while True:
        with torch.inference_mode():
            output = next(steps)
            answers = answer(output.logits, givens, allows_blank=loaded.task.allows_blank)
            verdict = verify(answers, givens, tables, adjacency=adjacency)
        yield [
            Step(
                tokens=_as_posted(answers[row].numpy().astype(np.uint8), symmetry),
                is_valid=bool(verdict.is_valid[row]),
                wants_halt=bool(output.halt[row] > 0),
                is_finite=bool(output.logits[row].isfinite().all()),
                num_violations=int(verdict.num_violations[row]),
                value=float(output.value[row]),
            )
            for row, symmetry in enumerate(views)
        ]


def _by_native_code(wanted: Wanted, views: Views, first: int) -> Iterator[list[Step]]:
    """Yield each step of a block by the fused step, in rows that nobody else has."""
    job = engine_job(wanted)
    runner = ModelRunner(model(wanted.model), num_slots=ROWS, num_parking=0, backend="native")
    starts = [
        SlotAssignment(row, Trajectory(job, first + row, StepClock()))
        for row, symmetry in enumerate(views)
    ]
    runner.update_rows(BatchUpdate([], starts))
    while True:
        runner.step(ROWS)
        report = runner.read()
        yield [
            Step(
                tokens=_as_posted(report.answers[row], symmetry),
                is_valid=bool(report.is_valid[row]),
                wants_halt=bool(report.wants_halt[row]),
                is_finite=bool(report.is_finite[row]),
                num_violations=int(report.num_violations[row]),
                value=float(report.value[row]),
            )
            for row, symmetry in enumerate(views)
        ]


def _as_posted(tokens: Tokens, symmetry: Symmetry | None) -> bytes:
    return (tokens if symmetry is None else symmetry.invert(tokens)).tobytes()
