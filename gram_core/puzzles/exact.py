"""Exact enumeration on OR-tools CP-SAT, driven by the units of any family.

The solver is the optional extra ``exact``; it is imported on first use.
"""

import importlib.util
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise
from threading import Event, Thread
from typing import TYPE_CHECKING, Any

import numpy as np

from gram_core.errors import ExactTimeout, ExactUnavailable
from gram_core.puzzles.task import Task, Tokens
from gram_kernels.tokens import BLANK, FIRST_VALUE, Constraint, Unit

if TYPE_CHECKING:
    from ortools.sat.python import cp_model


STOP_POLL_S = 0.02
"""Interval at which a running search polls ``should_stop``."""


@dataclass(frozen=True, slots=True)
class _Program:
    model: "cp_model.CpModel"
    choices: list[dict[int, Any]]
    """For each position: token -> the solver's boolean that the cell holds it."""


def enumerate_answers(
    givens: Tokens,
    task: Task,
    units: Sequence[Unit],
    *,
    limit: int,
    max_time_s: float | None = None,
    should_stop: Callable[[], bool] | None = None,
    interchangeable: Sequence[int] = (),
    state: Callable[[Any, list[dict[int, Any]]], None] | None = None,
) -> Iterator[Tokens]:
    """Yield up to ``limit`` distinct answers to givens, (length,) tokens.

    After ``max_time_s``, or once ``should_stop`` (polled in another thread) is true,
    ``ExactTimeout`` is raised after the answers found. ``interchangeable`` tokens, which no given
    may hold, can be renamed into one another; of answers that differ only so, one is yielded.
    ``state`` adds further rules to the solver's model (``Family.state``).
    """
    program = _state(givens, task, units)
    if state is not None:
        state(program.model, program.choices)
    # Each interchangeable value may appear only after the one before it has appeared.
    for earlier, later in pairwise(interchangeable):
        seen: list[Any] = []
        for options in program.choices:
            if later in options:
                program.model.add_bool_or([*seen, options[later].negated()])
            if earlier in options:
                seen.append(options[earlier])
    yield from _search(program, limit=limit, max_time_s=max_time_s, should_stop=should_stop)


def has_solver() -> bool:
    """Say whether the solver is installed, without importing it."""
    return importlib.util.find_spec("ortools") is not None


def _cp_model() -> Any:
    try:
        from ortools.sat.python import cp_model
    except ImportError as error:
        raise ExactUnavailable("exact enumeration needs the extra: gram-server[exact]") from error
    return cp_model


def _state(givens: Tokens, task: Task, units: Sequence[Unit]) -> _Program:
    model = _cp_model().CpModel()
    legal = range(BLANK if task.allows_blank else FIRST_VALUE, task.vocabulary)
    choices: list[dict[int, Any]] = []
    for given in givens.tolist():
        tokens = legal if given == BLANK else [given]
        choices.append({token: model.new_bool_var("") for token in tokens})
        model.add_exactly_one(choices[-1].values())
    program = _Program(model, choices)
    for unit in units:
        for value in range(FIRST_VALUE, task.vocabulary):
            holders = [choices[cell][value] for cell in unit.cells if value in choices[cell]]
            if unit.constraint in (Constraint.PERMUTATION, Constraint.EXACTLY_ONE):
                model.add_exactly_one(holders)
            else:
                model.add_at_most_one(holders)
    return program


def _search(
    program: _Program,
    *,
    limit: int,
    max_time_s: float | None,
    should_stop: Callable[[], bool] | None,
) -> Iterator[Tokens]:
    if limit < 1:
        return
    cp_model = _cp_model()
    # The solver's booleans are in order of creation: cell by cell, one true per cell.
    tokens = np.array([token for options in program.choices for token in options], dtype=np.uint8)
    found: list[Tokens] = []

    class Collector(cp_model.CpSolverSolutionCallback):  # type: ignore[misc, name-defined]
        """Keeps the answers that the solver finds."""

        def on_solution_callback(self) -> None:
            is_true = np.array(list(self.response_proto.solution), dtype=np.bool_)
            # Booleans that ``state`` has made come last.
            found.append(tokens[is_true[: len(tokens)]])
            if len(found) >= limit:
                self.stop_search()

    solver = cp_model.CpSolver()
    solver.parameters.enumerate_all_solutions = True
    # Enumeration is sequential, and one worker makes the order repeatable.
    solver.parameters.num_workers = 1
    if max_time_s is not None:
        solver.parameters.max_time_in_seconds = max(max_time_s, 0.0)
    with _stopped_by(should_stop, solver):
        status = solver.solve(program.model, Collector())
    yield from found[:limit]
    if len(found) < limit and status not in (cp_model.OPTIMAL, cp_model.INFEASIBLE):
        was_stopped = should_stop is not None and should_stop()
        when = "when asked to" if was_stopped else f"after {max_time_s} s"
        raise ExactTimeout(f"stopped {when} with {len(found)} solutions")


@contextmanager
def _stopped_by(should_stop: Callable[[], bool] | None, solver: Any) -> Iterator[None]:
    """Poll ``should_stop`` in a thread, because a running search blocks this one."""
    if should_stop is None:
        yield
        return
    is_over = Event()

    def watch() -> None:
        while not is_over.wait(STOP_POLL_S):
            if should_stop():
                # Repeated, because the search may not have begun yet.
                solver.stop_search()

    watcher = Thread(target=watch, name="stop-search", daemon=True)
    watcher.start()
    try:
        yield
    finally:
        is_over.set()
        watcher.join()
