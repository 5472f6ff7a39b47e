"""Mazes against brute force: all simple paths are walked, and the shortest ones kept."""

from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gram_core.errors import PuzzleInvalid
from gram_core.puzzles import BLANK, FIRST_VALUE, Tokens, family, task
from gram_core.puzzles.maze import MazeGrid
from gram_core.puzzles.maze.paths import descent, num_paths, random_path

MAZE = family("maze")
SQUARE = ["S..", ".#.", "..G"]


def simple_paths(maze: MazeGrid) -> Iterator[list[tuple[int, int]]]:
    """Yield every simple path from start to goal, by trying every way."""
    board = {divmod(at, maze.columns): mark for at, mark in enumerate(maze.cells)}
    (start,) = (cell for cell, mark in board.items() if mark == "S")

    def walk(path: list[tuple[int, int]]) -> Iterator[list[tuple[int, int]]]:
        row, column = path[-1]
        if board[row, column] == "G":
            yield list(path)
            return
        for cell in ((row + 1, column), (row, column - 1), (row, column + 1), (row - 1, column)):
            if board.get(cell, "#") != "#" and cell not in path:
                yield from walk([*path, cell])

    yield from walk([start])


def answer(maze: MazeGrid, path: list[tuple[int, int]]) -> Tokens:
    tokens = MAZE.encode(maze).tokens.copy()
    for row, column in path[1:-1]:
        tokens[row * maze.columns + column] = FIRST_VALUE
    return tokens


@st.composite
def mazes(draw: st.DrawFn) -> MazeGrid | None:
    """Draw a small maze with a way from start to goal."""
    rows, columns = draw(st.integers(1, 5)), draw(st.integers(2, 5))
    cells = draw(
        st.lists(st.sampled_from("...#"), min_size=rows * columns, max_size=rows * columns)
    )
    start, goal = draw(st.permutations(range(rows * columns)))[:2]
    cells[start], cells[goal] = "S", "G"
    lines = ["".join(cells[at : at + columns]) for at in range(0, len(cells), columns)]
    board = read(lines)
    return board or read([line.replace("#", ".") for line in lines])


def read(lines: list[str]) -> MazeGrid | None:
    """Return the maze, or nothing where no way leads to its goal."""
    try:
        maze: MazeGrid = MAZE.parse({"grid": lines})
    except PuzzleInvalid as refusal:
        if refusal.issues[0].rule != "path":
            raise
        return None
    return maze


@pytest.mark.slow
@given(maze=mazes())
@settings(max_examples=150)
def test_enumerated_paths_are_the_shortest_ones_of_brute_force(maze: MazeGrid) -> None:
    paths = list(simple_paths(maze))
    shortest = min(map(len, paths))
    assert maze.num_moves == shortest - 1
    expected = {answer(maze, path).tobytes() for path in paths if len(path) == shortest}
    found = [tokens.tobytes() for tokens in MAZE.enumerate(maze, limit=10_000)]
    assert len(found) == len(expected)
    assert set(found) == expected
    towards = descent(maze.passages, maze.goal)
    assert num_paths(towards, maze.start)[maze.start] == len(expected)


@pytest.mark.slow
@given(maze=mazes(), seed=st.integers(0, 2**32 - 1))
@settings(max_examples=150)
def test_check_accepts_exactly_the_shortest_paths(maze: MazeGrid, seed: int) -> None:
    rng = np.random.default_rng(seed)
    paths = list(simple_paths(maze))
    shortest = min(map(len, paths))
    valid = {answer(maze, path).tobytes() for path in paths if len(path) == shortest}
    candidates = [answer(maze, paths[index]) for index in rng.permutation(len(paths))[:20]]
    givens = MAZE.encode(maze).tokens
    for number in range(20):
        damaged = candidates[number % len(candidates)].copy()
        damaged[rng.integers(len(damaged), size=rng.integers(1, 3))] = rng.integers(0, 7)
        marked = np.where((givens == BLANK) & (rng.random(len(givens)) < 0.5), FIRST_VALUE, givens)
        candidates += [damaged, marked.astype(np.uint8)]
    for tokens in candidates:
        is_valid = tokens.tobytes() in valid
        assert MAZE.check(maze, tokens) == is_valid
        assert (MAZE.violations(maze, tokens) == []) == is_valid


@given(maze=mazes(), seed=st.integers(0, 2**32 - 1))
@settings(max_examples=50)
def test_views_keep_shortest_paths_shortest(maze: MazeGrid, seed: int) -> None:
    symmetry = MAZE.symmetry(MAZE.task_of(maze), np.random.default_rng(seed))
    encoded = MAZE.encode(maze)
    seen = type(encoded)(tokens=symmetry.apply(encoded.tokens))
    view = MAZE.instance_of(MAZE.task_of(maze), seen)
    posted = {tokens.tobytes() for tokens in MAZE.enumerate(maze, limit=1000)}
    turned = {symmetry.invert(tokens).tobytes() for tokens in MAZE.enumerate(view, limit=1000)}
    assert turned == posted


def test_an_answer_is_the_path_from_start_to_goal() -> None:
    maze = MAZE.parse({"grid": SQUARE})
    answers = [MAZE.decode(maze, tokens) for tokens in MAZE.enumerate(maze, limit=10)]
    assert answers == [
        [[0, 0], [1, 0], [2, 0], [2, 1], [2, 2]],
        [[0, 0], [0, 1], [0, 2], [1, 2], [2, 2]],
    ]
    # A wrong one shows all that is marked.
    tokens = MAZE.encode(maze).tokens.copy()
    tokens[[1, 5, 6]] = FIRST_VALUE
    assert MAZE.decode(maze, tokens) == [[0, 0], [0, 1], [1, 2], [2, 0], [2, 2]]


@pytest.mark.parametrize(
    ("lines", "marked", "rules"),
    [
        (SQUARE, [1, 5], {"gap"}),
        (SQUARE, [], {"gap"}),
        (SQUARE, [1, 2, 5, 3], {"branch", "gap"}),
        (["S.G", ".#.", "..."], [3, 6, 7, 8, 5], {"longer than shortest: 6 moves instead of 2"}),
        (["S.G...", "......", "......"], [1, 10, 11, 16, 17], {"closed loop"}),
    ],
)
def test_what_is_wrong_with_a_path_is_named(
    lines: list[str], marked: list[int], rules: set[str]
) -> None:
    maze = MAZE.parse({"grid": lines})
    tokens = MAZE.encode(maze).tokens.copy()
    tokens[marked] = FIRST_VALUE
    assert not MAZE.check(maze, tokens)
    assert {violation.rule for violation in MAZE.violations(maze, tokens)} == rules


def test_changed_and_illegal_cells_are_named() -> None:
    maze = MAZE.parse({"grid": SQUARE})
    tokens = MAZE.encode(maze).tokens.copy()
    tokens[[3, 6, 7]] = FIRST_VALUE
    assert MAZE.violations(maze, tokens) == []
    tokens[4], tokens[1] = FIRST_VALUE, 3
    found = {violation.rule: violation.cells for violation in MAZE.violations(maze, tokens)}
    assert found["given"] == ((1, 1),)
    assert found["blank"] == ((0, 1),)


@pytest.mark.parametrize("text", ["S.#\n ..\n#.G", "\nS.#\n ..\n#.G\n\n"])
def test_text_and_spaces_are_read(text: str) -> None:
    maze = MAZE.parse_text(text)
    assert MAZE.dump(maze) == {"puzzle": "maze", "grid": "S.#\n...\n#.G"}
    assert MAZE.parse(MAZE.dump(maze)) == maze
    assert MAZE.task_of(maze).name == "maze-3x3"


def test_gaps_in_the_wall_are_start_and_goal_where_no_letter_is() -> None:
    maze = family("maze").parse({"grid": "█ ███\n█   █\n███ █"})
    assert maze.cells == "#S####...####G#"
    for grid in ("#.###\n#...#\n###..", "#####\n#...#\n###.#", "#.\n.#", "#.###\n#S..#\n###.#"):
        with pytest.raises(PuzzleInvalid, match=r"has no (start|goal): mark one cell"):
            family("maze").parse({"grid": grid})


@pytest.mark.parametrize("ends", ["SG", "SE", "SF", "ST", "AB", "sg", "se", "ab"])
def test_other_letters_of_start_and_goal_are_read(ends: str) -> None:
    maze = MAZE.parse_text(f"{ends[0]}.#\n...\n#.{ends[1]}")
    assert MAZE.dump(maze) == {"puzzle": "maze", "grid": "S.#\n...\n#.G"}


def test_generated_mazes_are_like_the_collection() -> None:
    shape = task("maze-20x20")
    rng = np.random.default_rng(2)
    made = [MAZE.generate(shape, rng, num_solutions=None) for _ in range(12)]
    assert all(maze.num_moves >= 49 for maze in made)
    shares = [maze.cells.count("#") / 400 for maze in made]
    assert 0.33 < np.mean(shares) < 0.42


def test_random_paths_are_uniform_over_the_shortest_ones() -> None:
    maze = MAZE.parse({"grid": ["S...", "....", "...G"]})
    towards = descent(maze.passages, maze.goal)
    numbers = num_paths(towards, maze.start)
    assert numbers[maze.start] == 10
    rng = np.random.default_rng(0)
    drawn = [tuple(random_path(towards, numbers, maze.start, rng)) for _ in range(2000)]
    counts = [drawn.count(path) for path in set(drawn)]
    assert len(counts) == 10
    assert 140 < min(counts) <= max(counts) < 260


@pytest.mark.parametrize(
    ("grid", "detail"),
    [
        ("# # #\nS   G", "has a space after every cell"),
        ("######\n##S.G.\n######", "has every wall two signs wide"),
        ("S   ####\n##    ##\n##    G ", "has every wall two signs wide"),
    ],
)
def test_a_drawing_whose_columns_are_not_its_cells_is_refused(grid: str, detail: str) -> None:
    with pytest.raises(PuzzleInvalid, match=detail):
        family("maze").parse_text(grid)
