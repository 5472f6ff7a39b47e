"""Broken rules of an answer, and what givens leave no value for, found by reading the units.

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


def find_dead_end(
    givens: Tokens, *, task: Task, units: Sequence[Unit], position_to_cell: PositionToCell
) -> Violation | None:
    """Return a cell without a possible value, or a unit without a place for one; None without any.

    One look at the rules between givens and open cells: None promises no solution.
    """
    # Sets of values are masks: bit v is value v; a blank has none.
    values = [1 << token - FIRST_VALUE if token >= FIRST_VALUE else 0 for token in givens.tolist()]
    excluded = [0] * len(values)
    for unit in units:
        held = 0
        for cell in unit.cells:
            held |= values[cell]
        if held:
            for cell in unit.cells:
                excluded[cell] |= held
    everything = (1 << task.num_values) - 1
    for cell, value in enumerate(() if task.allows_blank else values):
        if not value and excluded[cell] == everything:
            return Violation("no value is left for this cell", (position_to_cell(cell),))
    wanted = {Constraint.PERMUTATION: everything, Constraint.EXACTLY_ONE: 1}
    for unit in units:
        if _lacks_place(unit, values, excluded, wanted.get(unit.constraint, 0)):
            cells = tuple(position_to_cell(cell) for cell in unit.cells if not values[cell])
            return Violation(f"a value has no place left in {unit.name}", cells)
    return None


def _lacks_place(unit: Unit, values: Sequence[int], excluded: Sequence[int], homeless: int) -> bool:
    """Say whether one of the wanted values neither stands in the unit nor has a cell left there."""
    for cell in unit.cells:
        if not homeless:
            break
        homeless &= excluded[cell] if not values[cell] else ~values[cell]
    return bool(homeless)


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
