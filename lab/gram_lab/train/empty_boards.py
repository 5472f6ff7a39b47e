"""Boards without givens: every valid board is an answer, and the target follows the trajectory.

There are too many boards to enumerate, so a trajectory is aimed at a valid board near its own
answer: cells are filled in order of confidence, each with the best digit that is still possible,
and a search repairs what that breaks.
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from gram_core.errors import ConfigError
from gram_core.puzzles import BLANK, FIRST_VALUE, PAD, Task, Tokens
from gram_lab.data.examples import Examples

MAX_NODES = 400
"""Assignments tried from one restart point."""
FOLLOWED_STEPS = frozenset({1, 2, 4, 8, 16})


class _Board(NamedTuple):
    """A partial assignment."""

    domains: list[int]
    """Mask of the values each cell may still take."""
    values: list[int]
    """Value of each cell, -1 while open."""


class Completion:
    """Finds valid boards of a task whose units are permutations, such as Sudoku."""

    def __init__(self, task: Task) -> None:
        """Read the peers of every cell; ``ConfigError`` where a unit is no permutation."""
        if any(unit.constraint != "permutation" for unit in task.units):
            raise ConfigError("task", task.name, "boards are completed for permutation units only")
        length = task.length
        self._empty = _Board([(1 << task.num_values) - 1] * length, [-1] * length)
        self._peers = [
            sorted(
                {cell for unit in task.units if own in unit.cells for cell in unit.cells} - {own}
            )
            for own in range(task.length)
        ]

    def nearest(self, scores: NDArray[np.floating]) -> Tokens:
        """Return a valid board that follows (length, values) log-probabilities or other scores."""
        confidence = np.argsort(-scores.max(axis=1), kind="stable").tolist()
        preferred = np.argsort(-scores, axis=1, kind="stable").tolist()
        trail = [self._empty, *self._greedy(confidence, preferred)]
        found: _Board | None = trail[-1]
        if min(trail[-1].values) < 0:
            dead_end = len(trail) - 1
            backs = (3, 8, dead_end // 2, 3 * dead_end // 4)
            starts = [(trail[max(0, dead_end - back)], MAX_NODES) for back in backs]
            tries = (
                self._search(start, confidence, preferred, max_nodes)
                for start, max_nodes in [*starts, (self._empty, None)]
            )
            found = next(filter(None, tries), None)
        assert found is not None, "an empty board has a completion"
        return (np.array(found.values) + FIRST_VALUE).astype(np.uint8)

    def _greedy(
        self, confidence: Sequence[int], preferred: Sequence[Sequence[int]]
    ) -> Iterator[_Board]:
        """Fill cells in order of confidence until all are filled or one has no value left."""
        board = self._empty
        for cell in confidence:
            if board.values[cell] >= 0:
                continue
            following = (self._assigned(board, cell, value) for value in preferred[cell])
            grown = next((each for each in following if each), None)
            if grown is None:
                return
            board = grown
            yield board

    def _search(
        self,
        start: _Board,
        confidence: Sequence[int],
        preferred: Sequence[Sequence[int]],
        max_nodes: int | None,
    ) -> _Board | None:
        """Search depth first, most constrained cell first, values in their preferred order."""
        stack, num_nodes = [start], 0
        while stack and (max_nodes is None or num_nodes < max_nodes):
            board = stack.pop()
            open_cells = [cell for cell in confidence if board.values[cell] < 0]
            if not open_cells:
                return board
            cell = min(open_cells, key=lambda each: board.domains[each].bit_count())
            for value in reversed(preferred[cell]):
                num_nodes += 1
                child = self._assigned(board, cell, value)
                if child:
                    stack.append(child)
        return None

    def _assigned(self, board: _Board, cell: int, value: int) -> _Board | None:
        """Return the board with the value and its consequences, None on a clash."""
        if not board.domains[cell] >> value & 1:
            return None
        domains, values = board.domains.copy(), board.values.copy()
        pending = [(cell, value)]
        while pending:
            cell, value = pending.pop()
            if values[cell] == value:
                continue
            bit = 1 << value
            if not domains[cell] & bit:
                return None
            values[cell], domains[cell] = value, bit
            for peer in self._peers[cell]:
                if not domains[peer] & bit:
                    continue
                left = domains[peer] & ~bit
                if not left:
                    return None
                domains[peer] = left
                if left & (left - 1) == 0:
                    pending.append((peer, left.bit_length() - 1))
        return _Board(domains, values)


class EmptyBoards:
    """Unconditional examples, aimed at valid boards near a trajectory's own draws.

    The paper's posterior sees one drawn board. What the prior guides cannot know it: there the
    decodes, from a random z_0 and noise alone, choose the target, the nearest valid board.
    """

    max_targets = 1

    def __init__(self, task: Task, *, follows: bool = True) -> None:
        """Without ``follows`` the targets are boards drawn at random, as the paper's."""
        self.task = task
        self._completion = Completion(task)
        self.followed_steps = FOLLOWED_STEPS if follows else frozenset()
        """Supervision steps, from 1, after which the target is drawn anew."""

    def draw(self, count: int, progress: float, rng: np.random.Generator) -> Examples:
        """Return empty boards; rows that are followed have no target before their second step."""
        shape = (count, self.task.length)
        targets = np.full(shape, PAD, dtype=np.uint8)
        if not self.followed_steps:
            scores = rng.random((*shape, self.task.num_values))
            targets = np.stack([self._completion.nearest(each) for each in scores])
        return Examples(givens=np.full(shape, BLANK, dtype=np.uint8), targets=targets[:, None])

    def follow(self, scores: NDArray[np.float32]) -> Tokens:
        """Return the valid boards, (rows, length), near decodes: (rows, length, values) scores."""
        return np.stack([self._completion.nearest(row) for row in scores])
