"""The batched search against CP-SAT and against counting one board at a time."""

import numpy as np
import pytest
from numpy.typing import NDArray

from gram_core.errors import PuzzleInvalid
from gram_core.puzzles import BLANK, family, task
from gram_core.puzzles.sudoku.generate import full_board, generate
from gram_lab.data.sudoku_classes import Key, class_key
from gram_lab.data.sudoku_search import candidates, fill, mean_guesses, need_givens, search
from gram_lab.data.sudoku_vicinity import Vicinity, closed, minimal

SUDOKU = family("sudoku")
HARD = "8..........36......7..9.2...5...7.......457.....1...3...1....68..85...1..9....4.."
EASY = "53..7....6..195....98....6.8...6...34..8.3..17...2...6.6....28....419..5....8..79"

Digits = NDArray[np.uint8]


def digits(text: str) -> Digits:
    return np.array([0 if mark == "." else int(mark) for mark in text], dtype=np.uint8)


def exact(board: Digits, limit: int) -> set[bytes]:
    """Return the solutions by CP-SAT, as digits."""
    instance = SUDOKU.parse({"grid": board.reshape(9, 9).tolist()})
    found = SUDOKU.enumerate(instance, limit=limit)
    return {(tokens - np.uint8(BLANK)).tobytes() for tokens in found}


def boards(seed: int, count: int) -> Digits:
    """Return boards with few to many solutions, some of them contradictory."""
    rng = np.random.default_rng(seed)
    made = np.array([generate(9, rng, num_solutions=1) for _ in range(count)], dtype=np.uint8)
    for number, board in enumerate(made):
        givens = rng.permutation(np.flatnonzero(board))
        board[givens[: number % 3]] = 0
        if number % 4 == 3:
            board[givens[-1]] = board[givens[-1]] % 9 + 1
    return made


def views(count: int) -> list[NDArray[np.int64]]:
    rng = np.random.default_rng(0)
    return [SUDOKU.symmetry(task("sudoku-9x9"), rng).positions for _ in range(count)]


@pytest.mark.slow
def test_searches_find_what_cp_sat_finds() -> None:
    made = boards(1, 8)
    found = search(candidates(made), limit=300, keeps_solutions=True)
    num_empty = 0
    for board, number, solutions in zip(made, found.num_solutions, found.solutions(), strict=True):
        assert len(solutions) == number
        listed = {row.tobytes() for row in solutions}
        assert len(listed) == number
        try:
            known = exact(board, 301)
        except PuzzleInvalid:
            # A changed given may clash at once, which the parser refuses.
            known = set()
        if number <= 300:
            assert listed == known
        num_empty += not number
    assert 0 < num_empty < 8


def test_boards_of_singles_take_no_guess_and_others_do() -> None:
    both = np.stack([digits(EASY), digits(HARD)])
    found = search(candidates(both), limit=1)
    assert found.num_solutions.tolist() == [1, 1]
    assert found.num_guesses[0] == 0
    assert found.num_guesses[1] > 20
    filled, is_alive = fill(candidates(both))
    assert is_alive.all()
    assert (np.bitwise_count(filled[:, 0]) == 1).all()
    assert (np.bitwise_count(filled[:, 1]) > 1).any()


def test_contradictions_are_seen_without_a_guess() -> None:
    clashing = np.zeros((3, 81), dtype=np.uint8)
    clashing[0, [0, 8]] = 5
    # Row 0 holds 1 to 8, and its last cell sees the 9.
    clashing[1, :8] = range(1, 9)
    clashing[1, 80] = 9
    found = search(candidates(clashing), limit=1)
    assert found.num_solutions[:2].tolist() == [0, 0]
    assert found.num_guesses[:2].tolist() == [0, 0]
    assert found.num_solutions[2] > 1


def test_the_rating_is_the_mean_over_views_and_knows_no_labels() -> None:
    both = np.stack([digits(EASY), digits(HARD)])
    chosen = views(4)
    rated = mean_guesses(both, chosen)
    single = [
        int(search(candidates(both[1:, positions]), limit=2).num_guesses[0]) for positions in chosen
    ]
    assert rated.tolist() == [0.0, np.mean(single)]
    assert len(set(single)) > 1
    relabelled = np.where(both, both % 9 + 1, 0).astype(np.uint8)
    assert mean_guesses(relabelled, chosen).tolist() == rated.tolist()


def test_needless_givens_are_told_from_needed_ones() -> None:
    (solution,) = search(candidates(digits(EASY)[None]), limit=1, keeps_solutions=True).solutions()
    board = digits(EASY)[None]
    cells = np.flatnonzero(board[0])
    needed = need_givens(board, solution, np.zeros(len(cells), np.int64), cells)
    for cell, is_needed in zip(cells, needed, strict=True):
        fewer = board[0].copy()
        fewer[cell] = 0
        assert (len(exact(fewer, 2)) == 2) == is_needed
    assert not needed.all()


@pytest.mark.slow
def test_opened_boards_become_minimal_ones_with_one_solution() -> None:
    rng = np.random.default_rng(3)
    opened = np.array([generate(9, rng, num_solutions=1) for _ in range(3)], dtype=np.uint8)
    for board in opened:
        board[rng.choice(np.flatnonzero(board), 2, replace=False)] = 0
    made = minimal(closed(opened, rng), rng)
    for board, solution in zip(made.puzzles, made.solutions, strict=True):
        assert exact(board, 2) == {solution.tobytes()}
        for cell in np.flatnonzero(board):
            fewer = board.copy()
            fewer[cell] = 0
            assert len(exact(fewer, 2)) == 2


def test_images_of_a_board_share_its_class_and_others_do_not() -> None:
    rng = np.random.default_rng(5)
    shape = task("sudoku-9x9")
    grids = [np.array(full_board(9, rng), dtype=np.uint8) for _ in range(30)]
    assert len({class_key(grid) for grid in grids}) == 30
    for grid in grids[:10]:
        view = SUDOKU.symmetry(shape, rng)
        image = view.apply(grid + np.uint8(BLANK)) - np.uint8(BLANK)
        assert not np.array_equal(image, grid)
        assert class_key(image) == class_key(grid)


@pytest.mark.slow
def test_a_search_finds_new_minimal_puzzles_that_are_hard_enough() -> None:
    rng = np.random.default_rng(0)
    seeds = digits(HARD)[None]
    search_around = Vicinity(seeds, rng, views=views(8), min_guesses=10.0, boards_a_round=64)
    rounds = search_around.rounds()
    found = next(each for each in rounds if len(each.puzzles))
    assert (found.guesses >= 10.0).all()
    assert found.guesses.tolist() == mean_guesses(found.puzzles, views(8)).tolist()
    for board, solution in zip(found.puzzles[:3], found.solutions, strict=False):
        assert exact(board, 2) == {solution.tobytes()}
        assert not np.array_equal(board, seeds[0])


class Everything(frozenset[Key]):
    """Holds every class."""

    def __contains__(self, key: object) -> bool:
        return True

    def __len__(self) -> int:
        return 1


@pytest.mark.slow
def test_excluded_classes_are_left_out() -> None:
    search_around = Vicinity(
        digits(HARD)[None],
        np.random.default_rng(0),
        views=views(8),
        min_guesses=1.0,
        excluded=Everything(),
        boards_a_round=64,
    )
    assert not len(next(search_around.rounds()).puzzles)
