"""Broken rules of an answer, found by reading the units: the same for every family.

Knows units and tokens; does not know boards: the caller turns positions into cells.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence

import numpy as np

from gram_core.puzzles.task import Task, Tokens, Violation
from gram_kernels.tokens import BLANK, FIRST_VALUE, Constraint, Unit

PositionToCell = Callable[[int], tuple[int, ...]]
"""Maps a position in the token sequence to the user's coordinates."""


def find_violations(
    answer: Tokens,
    givens: Tokens,
    *,
    task: Task,
    units: Iterable[Unit],
    position_to_cell: PositionToCell,
) -> list[Violation]:
    """Return the broken rules of answer tokens, shape (length,), against the givens."""
    lowest = BLANK if task.allows_blank else FIRST_VALUE
    unfilled = np.flatnonzero((answer < lowest) | (answer >= task.vocabulary))
    changed = np.flatnonzero((givens >= FIRST_VALUE) & (answer != givens))
    found: list[tuple[str, Sequence[int]]]
    found = [("blank", unfilled.tolist()), ("given", changed.tolist())]
    values = answer.tolist()
    found += [(unit.name, cells) for unit in units for cells in broken_cells(unit, values)]
    return [Violation(rule, tuple(map(position_to_cell, cells))) for rule, cells in found if cells]


def broken_cells(unit: Unit, answer: Sequence[int]) -> list[Sequence[int]]:
    """Return the groups of positions by which an answer breaks one unit; none when it holds."""
    if unit.constraint in (Constraint.PERMUTATION, Constraint.DIFFERENT):
        return _repeated(unit, answer)
    chosen = [cell for cell in unit.cells if answer[cell] == FIRST_VALUE]
    if len(chosen) > 1:
        return [chosen]
    missing = unit.constraint is Constraint.EXACTLY_ONE and not chosen
    return [unit.cells] if missing else []


def _repeated(unit: Unit, answer: Sequence[int]) -> list[Sequence[int]]:
    # Blanks are reported once for the answer, not once for every unit with them.
    holders: dict[int, list[int]] = defaultdict(list)
    for cell in unit.cells:
        if answer[cell] >= FIRST_VALUE:
            holders[answer[cell]].append(cell)
    return [cells for cells in holders.values() if len(cells) > 1]
