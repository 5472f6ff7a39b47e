"""Very hard 9x9 sudokus, found near hard ones by replacing a given.

Givens are added until one solution is left, and needless ones are removed. Puzzles that take
enough guesses become the next parents.
"""

from collections.abc import Collection, Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from gram_core.puzzles.sudoku.generate import generate
from gram_lab.data.sudoku_classes import Key, class_key
from gram_lab.data.sudoku_files import Grids
from gram_lab.data.sudoku_search import (
    Digits,
    candidates,
    mean_guesses,
    need_givens,
    search,
)

NUM_VIEWS = 8
"""Views over which the guesses of a puzzle are averaged."""

_PARENTS = 1000
_FRESH_SHARE = 0.25
_NUM_DUG = 100


class Found(NamedTuple):
    """Puzzles that a round of the search found."""

    puzzles: Digits
    """(count, 81)."""
    solutions: Digits
    guesses: NDArray[np.float64]
    """(count,) mean over views."""


class Vicinity:
    """A search for puzzles that take at least ``min_guesses``."""

    def __init__(
        self,
        seeds: Digits | None,
        rng: np.random.Generator,
        *,
        views: list[NDArray[np.int64]],
        min_guesses: float,
        excluded: Collection[Key] = (),
        boards_a_round: int = 128,
    ) -> None:
        """Rate the first parents.

        ``seeds`` (count, 81) are puzzles to start from; without any, random minimal ones are dug.
        ``views`` are ``NUM_VIEWS`` cell permutations that keep the rules. No puzzle may have a
        solution in the ``excluded`` classes.
        """
        self._rng, self._views, self._min_guesses = rng, views, min_guesses
        self._excluded, self._boards_a_round = excluded, boards_a_round
        if seeds is None:
            dug = [generate(9, rng, num_solutions=1) for _ in range(_NUM_DUG)]
            seeds = np.array(dug, dtype=np.uint8)
        self._seeds = seeds
        chosen = rng.permutation(len(self._seeds))[:_PARENTS]
        self._parents = self._seeds[chosen]
        self._ratings = mean_guesses(self._parents, views[:2])
        self._seen = {puzzle.tobytes() for puzzle in self._seeds}

    @property
    def bar(self) -> float:
        """Guesses that a puzzle must take to become a parent; rises to ``min_guesses``."""
        return min(self._min_guesses, float(np.median(self._ratings)))

    def rounds(self) -> Iterator[Found]:
        """Yield each round's finds endlessly; often none."""
        while True:
            found = self._survivors(self._children())
            self._adopt(found)
            is_hard = found.guesses >= self._min_guesses
            yield Found(found.puzzles[is_hard], found.solutions[is_hard], found.guesses[is_hard])

    def _children(self) -> Grids:
        """Return new minimal puzzles near drawn parents."""
        count = self._boards_a_round
        parents = self._parents[self._rng.integers(len(self._parents), size=count)]
        seeds = self._seeds[self._rng.integers(len(self._seeds), size=count)]
        is_fresh = self._rng.random(count) < _FRESH_SHARE
        opened = np.where(is_fresh[:, None], seeds, parents)
        for board in opened:
            board[self._rng.choice(np.flatnonzero(board))] = 0
        grids = closed(opened, self._rng)
        # Extra givens make boards easier, but hard ones keep a tenth of their guesses.
        guesses = mean_guesses(grids.puzzles, self._views[:1])
        return minimal(grids.rows(guesses >= 0.1 * self.bar), self._rng)

    def _survivors(self, children: Grids) -> Found:
        """Return the children that are new, allowed and look hard, with their guesses."""
        keys = [puzzle.tobytes() for puzzle in children.puzzles]
        is_new = [key not in self._seen and key not in keys[:at] for at, key in enumerate(keys)]
        self._seen.update(keys)
        children = children.rows(np.array(is_new, dtype=bool))
        excluded = self._excluded
        is_allowed = [not excluded or class_key(s) not in excluded for s in children.solutions]
        children = children.rows(np.array(is_allowed, dtype=bool))
        # One view varies by some 40 %, so half the guesses qualify for a second look.
        guesses = mean_guesses(children.puzzles, self._views[:1])
        children = children.rows(guesses >= 0.5 * self.bar)
        return Found(*children, mean_guesses(children.puzzles, self._views))

    def _adopt(self, found: Found) -> None:
        """Make hard puzzles parents; when full, they replace the easiest."""
        is_hard = found.guesses >= self.bar
        parents = np.concatenate((self._parents, found.puzzles[is_hard]))
        ratings = np.concatenate((self._ratings, found.guesses[is_hard]))
        kept = np.argsort(-ratings, kind="stable")[:_PARENTS]
        if ratings.min(initial=self._min_guesses) >= self._min_guesses:
            # When all are hard enough, the newest stay, so that the search moves on.
            kept = np.arange(len(ratings))[-_PARENTS:]
        self._parents, self._ratings = parents[kept], ratings[kept]


def closed(opened: Digits, rng: np.random.Generator) -> Grids:
    """Return boards with givens added until one of their solutions is left."""
    boards = opened.copy()
    targets = np.zeros_like(boards)
    waiting = np.arange(len(boards))
    while len(waiting):
        found = search(candidates(boards[waiting]), limit=1, keeps_solutions=True)
        still = []
        for board, solutions in zip(waiting.tolist(), found.solutions(), strict=True):
            if not targets[board].any():
                targets[board] = solutions[rng.integers(len(solutions))]
            others = (solutions != targets[board]).sum(axis=0)
            if others.any():
                # The given that excludes most of the other solutions found.
                cell = int(rng.choice(np.flatnonzero(others == others.max())))
                boards[board, cell] = targets[board, cell]
                still.append(board)
        waiting = np.array(still, dtype=np.int64)
    return Grids(boards, targets)


def minimal(grids: Grids, rng: np.random.Generator) -> Grids:
    """Return boards without the givens that uniqueness does not need."""
    boards, solutions = grids.puzzles.copy(), grids.solutions
    owners, cells = np.nonzero(boards)
    while len(owners):
        is_needless = ~need_givens(boards, solutions, owners, cells)
        # Removing a given makes no other needless, so only the rest is tested again.
        owners, cells = owners[is_needless], cells[is_needless]
        order = rng.permutation(len(owners))
        owners, cells = owners[order], cells[order]
        _, first = np.unique(owners, return_index=True)
        boards[owners[first], cells[first]] = 0
        is_left = np.ones(len(owners), dtype=bool)
        is_left[first] = False
        owners, cells = owners[is_left], cells[is_left]
    return Grids(boards, solutions)
