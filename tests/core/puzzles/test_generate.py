import numpy as np
import pytest

from gram_core.errors import GenerateFailed
from gram_core.puzzles import family, task
from gram_core.puzzles.backtracking import SearchTooLong, count_solutions

WANTED: dict[str, tuple[int, ...]] = {
    "sudoku-9x9": (1, 2, 7),
    "sudoku-6x6": (1, 4),
    "sudoku-4x4": (1, 3, 288),
    "nqueens-4": (2,),
    "nqueens-8": (1, 3, 92),
    "nqueens-10": (1,),
    "graph-coloring-8": (1, 5),
    "graph-coloring-1": (1,),
    "graph-coloring-10": (2,),
    "graph-coloring-9-4": (3,),
    "maze-1x2": (1,),
    "maze-8x8": (1, 4),
    "maze-7x9": (2,),
    # Large ones.
    "nqueens-32": (1,),
    "graph-coloring-60": (1,),
}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "num_solutions"), [(name, number) for name in WANTED for number in WANTED[name]]
)
def test_generated_instances_have_the_promised_number_of_solutions(
    name: str, num_solutions: int
) -> None:
    shape = task(name)
    puzzle = family(shape.family)
    for seed in range(3):
        rng = np.random.default_rng(seed)
        instance = puzzle.generate(shape, rng, num_solutions=num_solutions)
        assert puzzle.task_of(instance) == shape
        assert len(list(puzzle.enumerate(instance, limit=num_solutions + 1))) == num_solutions


@pytest.mark.parametrize(
    "name", ["sudoku-9x9", "sudoku-4x4", "nqueens-8", "nqueens-1", "graph-coloring-8", "maze-6x6"]
)
def test_instances_with_any_number_of_solutions_have_one(name: str) -> None:
    shape = task(name)
    puzzle = family(shape.family)
    rng = np.random.default_rng(5)
    for _ in range(20):
        instance = puzzle.generate(shape, rng, num_solutions=None)
        assert len(list(puzzle.enumerate(instance, limit=1))) == 1


@pytest.mark.slow
@pytest.mark.parametrize("name", ["sudoku-9x9", "nqueens-8", "graph-coloring-8", "maze-8x8"])
def test_the_same_generator_state_makes_the_same_instance(name: str) -> None:
    shape = task(name)
    puzzle = family(shape.family)
    made = [puzzle.generate(shape, np.random.default_rng(7)) for _ in range(2)]
    assert made[0] == made[1]
    assert made[0] != puzzle.generate(shape, np.random.default_rng(8))


@pytest.mark.parametrize(
    ("name", "num_solutions"),
    [
        ("nqueens-2", None),
        ("nqueens-3", 1),
        ("nqueens-4", 3),
        ("graph-coloring-2", 3),
        ("maze-1x2", 2),
    ],
)
def test_impossible_wishes_are_refused(name: str, num_solutions: int | None) -> None:
    shape = task(name)
    with pytest.raises(GenerateFailed, match="found no"):
        family(shape.family).generate(shape, np.random.default_rng(0), num_solutions=num_solutions)


def test_generated_sudoku_is_minimal() -> None:
    puzzle = family("sudoku")
    instance = puzzle.generate(task("sudoku-6x6"), np.random.default_rng(1))
    tokens = puzzle.encode(instance).tokens
    for cell in np.flatnonzero(tokens > 1):
        grid = np.where(np.arange(36) == cell, 0, tokens - 1).reshape(6, 6).tolist()
        fewer = puzzle.parse({"grid": grid})
        assert len(list(puzzle.enumerate(fewer, limit=2))) == 2


@pytest.mark.parametrize(("colors", "total"), [(1, 1), (2, 8), (3, 14), (4, 15), (5, 15)])
def test_search_counts_renamed_values_once(colors: int, total: int) -> None:
    # Four free variables: set partitions of four into at most that many parts.
    everything = (1 << colors) - 1
    free: list[list[list[tuple[int, int]]]] = [[[] for _ in range(colors)] for _ in range(4)]
    found = count_solutions([everything] * 4, free, limit=100, interchangeable=everything)
    assert found == total
    assert count_solutions([everything] * 4, free, limit=1000) == colors**4


def test_search_gives_up_at_its_bound() -> None:
    free: list[list[list[tuple[int, int]]]] = [[[], []] for _ in range(20)]
    with pytest.raises(SearchTooLong):
        count_solutions([3] * 20, free, limit=10**6, max_nodes=100)
