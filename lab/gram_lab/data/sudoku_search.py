"""Searches many 9x9 sudokus at once: all solutions up to a limit, and how many guesses that takes.

Candidates are bit masks, (81, boards), so that every operation runs along the boards. A board is
filled as far as naked and hidden singles go; then its first cell with the fewest candidates (in
reading order) is guessed, every value in turn. Depth first, some hundred boards at a time.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

Masks = NDArray[np.uint16]
"""Candidates: bit d - 1 says that the cell may hold digit d."""
Digits = NDArray[np.uint8]
"""0 for a blank."""

NUM_CELLS = 81
_EVERYTHING = np.uint16(511)
_BOARDS_AT_ONCE = 1024
_CELLS = np.arange(NUM_CELLS).reshape(9, 9)
_BOXES = _CELLS.reshape(3, 3, 3, 3).transpose(0, 2, 1, 3).reshape(9, 9)
UNITS = np.concatenate([_CELLS, _CELLS.T, _BOXES])
"""(27, 9) cells of rows, columns and boxes."""
_UNITS_OF_CELLS = np.array(
    [np.flatnonzero(np.equal(UNITS, cell).any(axis=1)) for cell in range(NUM_CELLS)]
)


@dataclass(slots=True)
class Findings:
    """What a search found out about each board."""

    num_solutions: NDArray[np.int64]
    """(boards,) counted no further than a little over the limit."""
    num_guesses: NDArray[np.int64]
    """(boards,) values tried where singles did not decide; of the whole search up to the limit."""
    _owners: list[NDArray[np.int64]] = field(default_factory=list)
    _solutions: list[Digits] = field(default_factory=list)

    def solutions(self) -> list[Digits]:
        """Return (count, 81) solutions for each board."""
        owners = np.concatenate([np.zeros(0, np.int64), *self._owners])
        solutions = np.concatenate([np.zeros((0, NUM_CELLS), np.uint8), *self._solutions])
        return [solutions[owners == board] for board in range(len(self.num_solutions))]


def candidates(digits: Digits) -> Masks:
    """Return (81, boards) masks of (boards, 81) digits."""
    given = np.left_shift(np.uint16(1), np.maximum(digits, 1).astype(np.uint16) - np.uint16(1))
    masks: Masks = np.where(digits > 0, given, _EVERYTHING).T.copy()
    return masks


def search(masks: Masks, *, limit: int, keeps_solutions: bool = False) -> Findings:
    """Search each board until it has more than ``limit`` solutions or is exhausted.

    ``masks`` are the candidates, (81, boards).
    """
    num_boards = masks.shape[1]
    found = Findings(np.zeros(num_boards, np.int64), np.zeros(num_boards, np.int64))
    stack: list[tuple[Masks, NDArray[np.int64]]] = [(masks, np.arange(num_boards))]
    while stack:
        nodes, owners = _pop(stack)
        is_open = found.num_solutions[owners] <= limit
        nodes, owners = nodes[:, is_open], owners[is_open]
        nodes, is_alive = fill(nodes)
        nodes, owners = nodes[:, is_alive], owners[is_alive]
        is_solved = (np.bitwise_count(nodes) == 1).all(axis=0)
        np.add.at(found.num_solutions, owners[is_solved], 1)
        if keeps_solutions and is_solved.any():
            found._owners.append(owners[is_solved])
            digits = np.log2(nodes[:, is_solved].T).astype(np.uint8) + np.uint8(1)
            found._solutions.append(digits.astype(np.uint8))
        if not is_solved.all():
            stack.append(_guess(nodes[:, ~is_solved], owners[~is_solved], found.num_guesses))
    return found


def fill(masks: Masks) -> tuple[Masks, NDArray[np.bool_]]:
    """Return masks after all naked and hidden singles, and which boards have no contradiction.

    Masks of boards with a contradiction mean nothing.
    """
    masks = masks.copy()
    is_alive = np.ones(masks.shape[1], dtype=bool)
    active = np.arange(masks.shape[1])
    while len(active):
        before = masks[:, active]
        after, is_sound = _singles(before)
        is_alive[active[~is_sound]] = False
        masks[:, active] = after
        active = active[is_sound & (after != before).any(axis=0)]
    return masks, is_alive


def _singles(masks: Masks) -> tuple[Masks, NDArray[np.bool_]]:
    is_single = np.bitwise_count(masks) == 1
    once, several = _seen(masks)
    taken, clashing = _seen(np.where(is_single, masks, np.uint16(0)))
    is_sound = ((once == _EVERYTHING) & (clashing == 0)).all(axis=0)
    hidden = once & ~several
    excluded = _over_units(taken)
    wanted = _over_units(hidden) & masks
    after = np.where(is_single, masks, masks & ~excluded)
    # Two values whose only place is the same cell contradict each other.
    is_wanted = wanted != 0
    after = np.where(is_wanted, np.where(np.bitwise_count(wanted) == 1, after & wanted, 0), after)
    return after.astype(np.uint16), is_sound & (after != 0).all(axis=0)


def _seen(masks: Masks) -> tuple[Masks, Masks]:
    """Return (27, boards) twice: values that at least one, and two, cells of a unit may hold."""
    once = masks[UNITS[:, 0]]
    several = np.zeros_like(once)
    for place in range(1, 9):
        part = masks[UNITS[:, place]]
        several |= once & part
        once |= part
    return once, several


def _over_units(of_units: Masks) -> Masks:
    """Return (81, boards): the union over the three units of each cell."""
    rows, columns, boxes = _UNITS_OF_CELLS.T
    together: Masks = of_units[rows] | of_units[columns] | of_units[boxes]
    return together


def _pop(stack: list[tuple[Masks, NDArray[np.int64]]]) -> tuple[Masks, NDArray[np.int64]]:
    """Take boards off the end of the stack, as many as fit."""
    taken: list[tuple[Masks, NDArray[np.int64]]] = []
    room = _BOARDS_AT_ONCE
    while stack and room > 0:
        nodes, owners = stack.pop()
        if len(owners) > room:
            stack.append((nodes[:, :-room], owners[:-room]))
            nodes, owners = nodes[:, -room:], owners[-room:]
        taken.append((nodes, owners))
        room -= len(owners)
    return (
        np.concatenate([nodes for nodes, _ in taken], axis=1),
        np.concatenate([owners for _, owners in taken]),
    )


def _guess(
    nodes: Masks, owners: NDArray[np.int64], num_guesses: NDArray[np.int64]
) -> tuple[Masks, NDArray[np.int64]]:
    """Return a child for every candidate of each board's most constrained cell."""
    sizes = np.bitwise_count(nodes)
    cells = np.where(sizes > 1, sizes, 10).argmin(axis=0)
    boards = np.arange(len(owners))
    chosen = nodes[cells, boards]
    counts = sizes[cells, boards].astype(np.int64)
    np.add.at(num_guesses, owners, counts)
    children = np.repeat(nodes, counts, axis=1)
    is_value = chosen[:, None] >> np.arange(9, dtype=np.uint16) & 1
    values = np.nonzero(is_value)[1].astype(np.uint16)
    children[np.repeat(cells, counts), np.arange(len(values))] = np.uint16(1) << values
    return children, np.repeat(owners, counts)


def need_givens(
    digits: Digits, solutions: Digits, boards: NDArray[np.int64], cells: NDArray[np.int64]
) -> NDArray[np.bool_]:
    """Return which of the givens their board needs to have one solution only.

    ``digits`` and their ``solutions`` are (boards, 81); ``boards`` and ``cells``, (givens,), name
    each given in question.
    """
    masks = candidates(digits)[:, boards]
    given = solutions[boards, cells].astype(np.uint16) - np.uint16(1)
    # Another solution would have another digit in this cell.
    masks[cells, np.arange(len(boards))] = _EVERYTHING & ~(np.uint16(1) << given)
    return np.asarray(search(masks, limit=0).num_solutions > 0)


def mean_guesses(digits: Digits, views: Sequence[NDArray[np.int64]]) -> NDArray[np.float64]:
    """Return the guesses that the whole search of each board takes, averaged over views.

    ``digits`` are (boards, 81). Views are cell permutations that keep the rules: the choice among
    equal cells depends on them.
    """
    seen = np.concatenate([digits[:, positions] for positions in views])
    found = search(candidates(seen), limit=2).num_guesses
    return np.asarray(found.reshape(len(views), len(digits)).mean(axis=0))
