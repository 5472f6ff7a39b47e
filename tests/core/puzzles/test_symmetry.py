import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gram_core.puzzles import BLANK, PAD, Symmetry, Tokens, family, task

TASKS = [
    *(f"sudoku-{side}x{side}" for side in (9, 6, 4)),
    *("nqueens-1", "nqueens-8", "graph-coloring-8", "graph-coloring-7-4"),
]
SEEDS = st.integers(0, 2**32 - 1)


def viewed(puzzle_name: str, instance: object, symmetry: Symmetry) -> object:
    """Return the instance as its view shows it, through the public body."""
    puzzle = family(puzzle_name)
    encoded = puzzle.encode(instance)
    tokens = symmetry.apply(encoded.tokens)
    body = puzzle.dump(instance)
    if encoded.adjacency is not None:
        adjacency = symmetry.apply_adjacency(encoded.adjacency)
        body["edges"] = np.argwhere(np.triu(adjacency)).tolist()
        given = np.flatnonzero(tokens > BLANK).tolist()
        body["fixed"] = {str(vertex): int(tokens[vertex]) - 2 for vertex in given}
        return puzzle.parse(body)
    field = "grid" if puzzle_name == "sudoku" else "queens"
    return puzzle.parse({**body, field: puzzle.decode(instance, tokens)})


@pytest.mark.parametrize("name", TASKS)
@given(seed=SEEDS)
@settings(max_examples=20)
def test_invert_undoes_apply(name: str, seed: int) -> None:
    rng = np.random.default_rng(seed)
    shape = task(name)
    symmetry = family(shape.family).symmetry(shape, rng)
    tokens = rng.integers(shape.vocabulary, size=(3, shape.length)).astype(np.uint8)
    assert (symmetry.invert(symmetry.apply(tokens)) == tokens).all()
    assert (symmetry.apply(symmetry.invert(tokens)) == tokens).all()
    assert (symmetry.apply(tokens)[0] == symmetry.apply(tokens[0])).all()
    assert symmetry.apply(tokens).dtype == symmetry.invert(tokens).dtype == np.uint8


@pytest.mark.parametrize("name", TASKS)
def test_symmetries_are_permutations_that_keep_pad_and_blank(name: str) -> None:
    rng = np.random.default_rng(11)
    shape = task(name)
    for _ in range(20):
        symmetry = family(shape.family).symmetry(shape, rng)
        assert sorted(symmetry.positions) == list(range(shape.length))
        assert sorted(symmetry.values) == list(range(shape.vocabulary))
        assert list(symmetry.values[:2]) == [PAD, BLANK]
        assert symmetry.positions.dtype == np.int64


@pytest.mark.slow
@pytest.mark.parametrize("name", TASKS)
@given(seed=SEEDS)
@settings(max_examples=15)
def test_views_keep_valid_answers_valid_and_invalid_ones_invalid(name: str, seed: int) -> None:
    rng = np.random.default_rng(seed)
    shape = task(name)
    puzzle = family(shape.family)
    instance = puzzle.generate(shape, rng)
    symmetry = puzzle.symmetry(shape, rng)
    view = viewed(puzzle.name, instance, symmetry)
    (solution,) = puzzle.enumerate(instance, limit=2)
    assert puzzle.check(view, symmetry.apply(solution))
    (solved_view,) = puzzle.enumerate(view, limit=2)
    restored = symmetry.invert(solved_view)
    assert puzzle.canonical(instance, restored) == puzzle.canonical(instance, solution)
    for _ in range(5):
        answer = damaged(solution, rng, shape.vocabulary)
        is_valid = puzzle.check(instance, answer)
        assert puzzle.check(view, symmetry.apply(answer)) == is_valid
        broken = len(puzzle.violations(instance, answer))
        assert len(puzzle.violations(view, symmetry.apply(answer))) == broken


def damaged(solution: Tokens, rng: np.random.Generator, vocabulary: int) -> Tokens:
    answer = solution.copy()
    answer[rng.integers(len(answer), size=2)] = rng.integers(1, vocabulary, size=2)
    return answer


@pytest.mark.parametrize(
    ("name", "number"),
    [
        ("nqueens-5", 8),
        ("graph-coloring-3", 36),
        ("nqueens-1", 1),
        ("maze-5x5", 16),
        ("maze-4x6", 8),
    ],
)
def test_every_symmetry_of_a_small_board_is_drawn(name: str, number: int) -> None:
    shape = task(name)
    rng = np.random.default_rng(2)
    drawn = [family(shape.family).symmetry(shape, rng) for _ in range(600)]
    assert len({(one.positions.tobytes(), one.values.tobytes()) for one in drawn}) == number


def test_square_boxes_are_transposed_and_oblong_ones_never() -> None:
    rng = np.random.default_rng(4)
    for name, is_square in (("sudoku-9x9", True), ("sudoku-6x6", False)):
        shape = task(name)
        # In an upright view the first row is drawn from a single row of the board.
        rows = [
            set(family("sudoku").symmetry(shape, rng).positions[: shape.size] // shape.size)
            for _ in range(50)
        ]
        assert any(len(row) > 1 for row in rows) == is_square
