"""The plain check, the units and CP-SAT say the same of every answer."""

from collections.abc import Sequence
from functools import cache
from itertools import permutations, product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gram_core.errors import GenerateFailed
from gram_core.puzzles import (
    BLANK,
    FIRST_VALUE,
    AnyFamily,
    Constraint,
    Task,
    Tokens,
    Unit,
    family,
    task,
)

TASKS = [
    *(f"sudoku-{side}x{side}" for side in (9, 6, 4)),
    *(f"nqueens-{side}" for side in (1, 5, 8)),
    *(f"graph-coloring-{size}" for size in ("5", "8", "9-4")),
    "jigsaw-4x4",
]
SEEDS = st.integers(0, 2**32 - 1)


def holds(unit: Unit, answer: Sequence[int], num_values: int) -> bool:
    """Read one unit by its definition, with none of the product's code."""
    held = [answer[cell] for cell in unit.cells]
    queens = held.count(FIRST_VALUE)
    match unit.constraint:
        case Constraint.PERMUTATION:
            return sorted(held) == list(range(FIRST_VALUE, FIRST_VALUE + num_values))
        case Constraint.EXACTLY_ONE:
            return queens == 1
        case Constraint.AT_MOST_ONE:
            return queens <= 1
        case Constraint.DIFFERENT:
            return len(set(held)) == len(held)


def units_accept(puzzle: AnyFamily, instance: object, answer: Tokens) -> bool:
    shape = puzzle.task_of(instance)
    givens = puzzle.encode(instance).tokens
    kept = bool((answer == givens)[givens >= FIRST_VALUE].all())
    tokens = answer.tolist()
    return (
        has_legal_tokens(shape, answer)
        and kept
        and all(holds(unit, tokens, shape.num_values) for unit in puzzle.units(instance))
    )


def has_legal_tokens(shape: Task, answer: Tokens) -> bool:
    lowest = BLANK if shape.allows_blank else FIRST_VALUE
    return bool(((answer >= lowest) & (answer < shape.vocabulary)).all())


def corrupt(answer: Tokens, rng: np.random.Generator, shape: Task) -> Tokens:
    """Return the answer with one to three cells redrawn, pads and foreign tokens among them."""
    corrupted = answer.copy()
    cells = rng.integers(shape.length, size=int(rng.integers(1, 4)))
    corrupted[cells] = rng.integers(shape.vocabulary + 2, size=len(cells))
    return corrupted


@pytest.mark.slow
@pytest.mark.parametrize("name", TASKS)
@given(seed=SEEDS, num_solutions=st.sampled_from([1, 2, 3]))
@settings(max_examples=12)
def test_check_units_and_exact_solver_agree(name: str, seed: int, num_solutions: int) -> None:
    rng = np.random.default_rng(seed)
    shape = task(name)
    puzzle = family(shape.family)
    try:
        instance = puzzle.generate(shape, rng, num_solutions=num_solutions)
    except GenerateFailed:
        # Boards as small as one square have no instance with two solutions.
        instance = puzzle.generate(shape, rng)
    solutions = list(puzzle.enumerate(instance, limit=10))
    known = {puzzle.canonical(instance, solution) for solution in solutions}
    answers = solutions + [
        corrupt(solution, rng, shape) for solution in solutions for _ in range(8)
    ]
    for answer in answers:
        is_valid = puzzle.check(instance, answer)
        assert is_valid == units_accept(puzzle, instance, answer)
        assert is_valid == (puzzle.violations(instance, answer) == [])
        # The canonical form of a colouring forgets which tokens name the colours.
        is_legal = has_legal_tokens(shape, answer)
        assert is_valid == (is_legal and puzzle.canonical(instance, answer) in known)


@pytest.mark.parametrize("name", TASKS)
@given(seed=SEEDS)
@settings(max_examples=15)
def test_check_and_units_agree_on_noise(name: str, seed: int) -> None:
    rng = np.random.default_rng(seed)
    shape = task(name)
    puzzle = family(shape.family)
    instance = puzzle.generate(shape, rng, num_solutions=None)
    noise = rng.integers(256, size=shape.length).astype(np.uint8)
    legal = rng.integers(BLANK, shape.vocabulary, size=shape.length).astype(np.uint8)
    for answer in (noise, legal, puzzle.encode(instance).tokens):
        is_valid = puzzle.check(instance, answer)
        assert is_valid == units_accept(puzzle, instance, answer)
        assert is_valid == (puzzle.violations(instance, answer) == [])


@pytest.mark.slow
@given(
    vertices=st.integers(1, 5),
    colors=st.integers(1, 4),
    edge_bits=st.integers(0, 2**10 - 1),
    fixed=st.dictionaries(st.integers(0, 4), st.integers(0, 3), max_size=3),
)
@settings(max_examples=150)
def test_exact_colorings_are_those_of_brute_force(
    vertices: int, colors: int, edge_bits: int, fixed: dict[int, int]
) -> None:
    puzzle = family("graph-coloring")
    pairs = [(one, other) for other in range(vertices) for one in range(other)]
    edges = [pair for bit, pair in enumerate(pairs) if edge_bits >> bit & 1]
    kept = {vertex: color for vertex, color in fixed.items() if vertex < vertices > 0}
    kept = {vertex: color for vertex, color in kept.items() if color < colors}
    if any(kept.get(one, -1) == kept.get(other, -2) for one, other in edges):
        kept = {}
    body = {
        "vertices": vertices,
        "edges": edges,
        "colors": colors,
        "fixed": {str(vertex): color for vertex, color in kept.items()},
    }
    instance = puzzle.parse(body)
    candidates = [
        np.array(tokens, dtype=np.uint8)
        for tokens in product(range(FIRST_VALUE, colors + FIRST_VALUE), repeat=vertices)
    ]
    expected = {
        puzzle.canonical(instance, tokens)
        for tokens in candidates
        if puzzle.check(instance, tokens)
    }
    found = [
        puzzle.canonical(instance, tokens) for tokens in puzzle.enumerate(instance, limit=10_000)
    ]
    assert len(found) == len(expected)
    assert set(found) == expected


@pytest.mark.slow
@given(size=st.integers(1, 6), seed=SEEDS)
@settings(max_examples=60)
def test_exact_queens_are_those_of_brute_force(size: int, seed: int) -> None:
    puzzle = family("nqueens")
    rng = np.random.default_rng(seed)
    queens = [[int(rng.integers(size)), int(rng.integers(size))]] if seed % 3 else []
    instance = puzzle.parse({"n": size, "queens": queens})
    expected = set()
    for columns in permutations(range(size)):
        board = np.full((size, size), BLANK, dtype=np.uint8)
        board[np.arange(size), list(columns)] = FIRST_VALUE
        if puzzle.check(instance, board.reshape(-1)):
            expected.add(board.tobytes())
    found = [tokens.tobytes() for tokens in puzzle.enumerate(instance, limit=10_000)]
    assert len(found) == len(expected)
    assert set(found) == expected


@pytest.mark.slow
@given(seed=SEEDS)
@settings(max_examples=60)
def test_exact_small_sudokus_are_the_full_boards_that_keep_the_givens(seed: int) -> None:
    puzzle = family("sudoku")
    rng = np.random.default_rng(seed)
    instance = puzzle.generate(task("sudoku-4x4"), rng, num_solutions=None)
    expected = {board.tobytes() for board in every_4x4_board() if puzzle.check(instance, board)}
    found = [tokens.tobytes() for tokens in puzzle.enumerate(instance, limit=10_000)]
    assert len(found) == len(expected) > 0
    assert set(found) == expected


@cache
def every_4x4_board() -> list[Tokens]:
    """Return the complete boards, row by row from permutations, with none of the product's code."""
    rows = list(permutations(range(FIRST_VALUE, FIRST_VALUE + 4)))
    boards = [np.array(lines, dtype=np.uint8) for lines in product(rows, repeat=2)]
    halves = [
        board for board in boards if len({*board[:, :2].flat}) == len({*board[:, 2:].flat}) == 4
    ]
    pairs = (np.concatenate([top, bottom]) for top, bottom in product(halves, repeat=2))
    return [
        board.reshape(-1) for board in pairs if all(len(set(column)) == 4 for column in board.T)
    ]
