"""Training and held-out instances of the tasks whose solutions are cheap to enumerate.

Each pool holds every compatible solution of each instance (a random part where there are more than
``max_targets``). Held-out instances are no symmetric image of a training instance: the split is by
a key that all images share.
"""

import hashlib
from collections.abc import Mapping, Sequence
from itertools import combinations, islice
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from gram_core import puzzles
from gram_core.errors import ConfigError
from gram_core.puzzles import BLANK, FIRST_VALUE, Encoded, Task, Tokens
from gram_core.puzzles.sudoku.generate import solutions_of
from gram_lab.data.examples import Examples, augmented, pack_targets
from gram_lab.data.graphs import Drawn, EdgeProbabilities, random_graphs
from gram_lab.data.sudoku_boards import boards, pattern_key

Split = Literal["train", "held_out"]

HELD_OUT_SHARE = 0.15
SAMPLED_VIEWS = 600
"""Random symmetries drawn to collect all position symmetries of a small board."""
EDGE_PROBABILITIES: EdgeProbabilities = (0.3, 0.7)
"""Of random training graphs."""


class Pool(NamedTuple):
    """Instances of one split."""

    givens: Tokens
    """(count, length)."""
    targets: Tokens
    """(count, max_targets, length), PAD in unused places."""
    num_solutions: NDArray[np.int64]
    """(count,) all solutions, also those left out of targets."""
    adjacency: NDArray[np.bool_] | None


class PooledSource:
    """Draws from a pool, each instance through its own random symmetry."""

    def __init__(self, task: Task, pool: Pool) -> None:
        self.task = task
        self.max_targets = pool.targets.shape[1]
        self._pool = pool

    def draw(self, count: int, progress: float, rng: np.random.Generator) -> Examples:
        pool = self._pool
        rows = rng.integers(len(pool.givens), size=count)
        present = np.minimum(pool.num_solutions[rows], self.max_targets)
        targets = pool.targets[rows]
        for target, number in zip(targets, present, strict=True):
            target[:number] = target[rng.permutation(number)]
        examples = Examples(
            givens=pool.givens[rows],
            targets=targets,
            adjacency=None if pool.adjacency is None else pool.adjacency[rows],
        )
        return augmented(examples, puzzles.family(self.task.family), self.task, rng)


EMPTY_BOARD_SHARE = 0.1
"""Share of queens examples that start from the empty board."""
MAX_QUEENS_TARGETS = 256


class QueensSource:
    """Draws partial boards of queens and the empty one, with compatible solutions drawn anew."""

    def __init__(self, task: Task) -> None:
        self.task = task
        self._solutions = queens_solutions(task.size)
        self._givens = queens_boards(task, "train", self._solutions, np.random.default_rng(0))
        self.max_targets = min(len(self._solutions), MAX_QUEENS_TARGETS)

    def draw(self, count: int, progress: float, rng: np.random.Generator) -> Examples:
        givens = self._givens[rng.integers(len(self._givens), size=count)]
        givens[rng.random(count) < EMPTY_BOARD_SHARE] = BLANK
        found = [_compatible(row, self._solutions) for row in givens]
        targets = np.stack([pack_targets(each, self.max_targets, rng) for each in found])
        examples = Examples(givens=givens, targets=targets)
        return augmented(examples, puzzles.family(self.task.family), self.task, rng)


def make_pool(
    task: Task,
    split: Split,
    *,
    seed: int = 0,
    edge_probabilities: EdgeProbabilities = EDGE_PROBABILITIES,
    num_graphs: int | None = None,
) -> Pool:
    """Return the instances of one split of a task; the same for the same arguments.

    Without ``num_graphs``, ``NUM_GRAPHS`` random graphs are drawn.
    """
    rng = np.random.default_rng(seed)
    if task.family == "nqueens":
        solutions = queens_solutions(task.size)
        givens = queens_boards(task, split, solutions, rng)
        return _pack([_compatible(row, solutions) for row in givens], givens, None, rng)
    if task.name == "sudoku-4x4":
        return _small_sudoku_pool(task, split, rng)
    if task.name == "sudoku-6x6":
        return _middle_sudoku_pool(split, rng)
    if task.family == "graph-coloring":
        return _coloring_pool(
            task, split, rng, edge_probabilities=edge_probabilities, num_graphs=num_graphs
        )
    return _generated_pool(task, split, rng)


def is_held_out(key: bytes) -> bool:
    return hashlib.sha256(key).digest()[0] < 256 * HELD_OUT_SHARE


def queens_solutions(size: int) -> Tokens:
    """Return all solutions of the n-queens problem, (count, n * n), in ascending order."""
    boards = np.zeros((1, 0), dtype=np.int8)  # (partial, rows): the column of each row's queen
    columns = np.arange(size, dtype=np.int8)[:, None]
    for row in range(size):
        distances = np.abs(columns - boards[:, None])  # (partial, columns, rows)
        is_open = ((distances != 0) & (distances != row - np.arange(row))).all(axis=2)
        partial, chosen = np.nonzero(is_open)
        boards = np.concatenate((boards[partial], chosen[:, None].astype(np.int8)), axis=1)
    tokens = np.full((len(boards), size, size), BLANK, dtype=np.uint8)
    np.put_along_axis(tokens, boards[..., None].astype(np.int64), FIRST_VALUE, axis=2)
    return tokens.reshape(len(boards), size * size)


MAX_KEPT_QUEENS = 3
MAX_LISTED_QUEENS = 10
"""Largest board whose partial boards are all in the pools; of larger ones some are drawn."""
NUM_DRAWN_QUEENS = 8_000


def queens_boards(task: Task, split: Split, solutions: Tokens, rng: np.random.Generator) -> Tokens:
    """Return partial boards of a split, (count, length).

    All that keep 1 to 3 queens of a solution, as in the paper (n = 8, 10); of larger sizes some of
    those that keep up to half of the queens.
    """
    size = task.size
    squares = np.nonzero(solutions == FIRST_VALUE)[1].reshape(len(solutions), size)
    kept: set[tuple[int, ...]]
    if size > MAX_LISTED_QUEENS:
        drawn = squares[rng.integers(len(squares), size=NUM_DRAWN_QUEENS)]
        shuffled, numbers = rng.permuted(drawn, axis=1), rng.integers(1, size // 2 + 1, len(drawn))
        kept = {
            tuple(sorted(row[:number].tolist()))
            for row, number in zip(shuffled, numbers, strict=True)
        }
    else:
        kept = {
            chosen
            for cells in squares.tolist()
            for number in range(1, min(MAX_KEPT_QUEENS, size - 3) + 1)
            for chosen in combinations(cells, number)
        }
    givens = np.full((len(kept), task.length), BLANK, dtype=np.uint8)
    for row, chosen in zip(givens, sorted(kept, key=lambda each: (len(each), each)), strict=True):
        row[list(chosen)] = FIRST_VALUE
    views = _position_symmetries(task)
    sided = givens[_on_side([_orbit_key(row, views) for row in givens], split)]
    # All 4x4 boards are images of one: there is nothing to hold out.
    return sided if len(sided) else givens


NUM_SMALL_SUDOKU = 20_000
MAX_SMALL_SOLUTIONS = 64


def _small_sudoku_pool(task: Task, split: Split, rng: np.random.Generator) -> Pool:
    """4x4 boards with 4 to 12 givens and at most 64 solutions, most of them with one."""
    solutions = _small_sudoku_solutions()
    views = _position_symmetries(task)
    givens: dict[bytes, Tokens] = {}
    while len(givens) < NUM_SMALL_SUDOKU:
        row = solutions[rng.integers(len(solutions))].copy()
        row[rng.permutation(16)[: rng.integers(4, 13)]] = BLANK
        givens.setdefault(row.tobytes(), row)
    rows = np.stack(list(givens.values()))
    keys = [_orbit_key(row, views, is_relabelled=True) for row in rows]
    rows = rows[_on_side(keys, split)]
    compatible = [_compatible(row, solutions) for row in rows]
    is_few = np.array([len(found) <= MAX_SMALL_SOLUTIONS for found in compatible])
    few = [found for found in compatible if len(found) <= MAX_SMALL_SOLUTIONS]
    return _pack(few, rows[is_few], None, rng)


NUM_MIDDLE_SUDOKU: Mapping[Split, int] = {"train": 12_000, "held_out": 600}


def _middle_sudoku_pool(split: Split, rng: np.random.Generator) -> Pool:
    """6x6 boards, half of them with one solution; split by the pattern of their givens."""
    is_wanted = split == "held_out"
    sided = (board for board in boards(rng) if is_held_out(pattern_key(board.givens)) == is_wanted)
    chosen = list(islice(sided, NUM_MIDDLE_SUDOKU[split]))
    givens = np.stack([board.givens for board in chosen])
    return _pack([board.solutions for board in chosen], givens, None, rng)


def _small_sudoku_solutions() -> Tokens:
    """All 288 completed 4x4 boards as tokens, in ascending order."""
    boards = sorted(solutions_of([0] * 16, 4, limit=300))
    return np.array(boards, dtype=np.uint8) + np.uint8(BLANK)


NUM_GRAPHS = 9_000
"""Graphs drawn for a pool, before filtering by split and colourability."""
MAX_ROUNDS = 20
"""As many times that number, where a number of graphs is wanted."""
MAX_COLORINGS = 512


def _coloring_pool(
    task: Task,
    split: Split,
    rng: np.random.Generator,
    *,
    edge_probabilities: EdgeProbabilities,
    num_graphs: int | None,
) -> Pool:
    """Erdos-Renyi graphs that have a proper colouring, with all of their colourings."""
    is_wanted = split == "held_out"
    draws = random_graphs(
        task,
        rng,
        edge_probabilities=edge_probabilities,
        is_wanted=lambda key: is_held_out(key) == is_wanted,
    )
    found: dict[bytes, Drawn] = {}
    # Where hardly any graph has a colouring, so many are never found.
    for drawn in islice(draws, NUM_GRAPHS * (MAX_ROUNDS if num_graphs else 1)):
        if drawn is not None:
            found.setdefault(drawn.adjacency.tobytes(), drawn)
        if len(found) == num_graphs:
            break
    if not found:
        reason = f"leaves no graph of {task.name} that its colours suffice for"
        raise ConfigError("edge_probability", edge_probabilities, reason)
    givens = np.full((len(found), task.size), BLANK, dtype=np.uint8)
    adjacencies = np.stack([drawn.adjacency for drawn in found.values()])
    return _pack([drawn.colorings for drawn in found.values()], givens, adjacencies, rng)


NUM_GENERATED = 600
"""Pool size of any other family."""


def _generated_pool(task: Task, split: Split, rng: np.random.Generator) -> Pool:
    """Instances with one solution, from the family's own generator."""
    rules = puzzles.family(task.family)
    found: dict[bytes, tuple[Encoded, Tokens]] = {}
    for _ in range(NUM_GENERATED):
        instance = rules.generate(task, rng)
        encoded = rules.encode(instance)
        graph = encoded.adjacency
        key = encoded.tokens.tobytes() + (b"" if graph is None else graph.tobytes())
        if is_held_out(key) == (split == "held_out") and key not in found:
            found[key] = encoded, next(rules.enumerate(instance, limit=1))
    graphs = [each.adjacency for each, _ in found.values() if each.adjacency is not None]
    return _pack(
        [solution[None] for _, solution in found.values()],
        np.stack([each.tokens for each, _ in found.values()]),
        np.stack(graphs) if graphs else None,
        rng,
    )


def _position_symmetries(task: Task) -> NDArray[np.int64]:
    """Return the distinct cell permutations of a task's symmetries, (views, length)."""
    family = puzzles.family(task.family)
    rng = np.random.default_rng(0)
    draws = [family.symmetry(task, rng).positions for _ in range(4 * SAMPLED_VIEWS)]
    return np.unique(np.stack(draws), axis=0)


def _orbit_key(givens: Tokens, views: NDArray[np.int64], *, is_relabelled: bool = False) -> bytes:
    """Return the smallest image of a board under all symmetries."""

    def key(image: Tokens) -> bytes:
        # Values are named by their first appearance.
        names = {BLANK: BLANK}
        return bytes(names.setdefault(int(token), len(names) + BLANK) for token in image)

    return min(map(key if is_relabelled else bytes, givens[views]))


def _on_side(keys: Sequence[bytes], split: Split) -> NDArray[np.bool_]:
    return np.array([is_held_out(key) == (split == "held_out") for key in keys])


def _compatible(givens: Tokens, solutions: Tokens) -> Tokens:
    is_given = givens != BLANK
    compatible: Tokens = solutions[(solutions[:, is_given] == givens[is_given]).all(axis=1)]
    return compatible


def _pack(
    found: Sequence[Tokens],
    givens: Tokens,
    adjacency: NDArray[np.bool_] | None,
    rng: np.random.Generator,
) -> Pool:
    largest = min(MAX_COLORINGS, max(len(solutions) for solutions in found))
    return Pool(
        givens=givens,
        targets=np.stack([pack_targets(solutions, largest, rng) for solutions in found]),
        num_solutions=np.array([len(solutions) for solutions in found]),
        adjacency=adjacency,
    )
