"""Made-up boards from a real server, against rules, rollouts and enumeration of our own."""

import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

from gram_core import puzzles
from gram_core.checkpoint import load_model
from gram_core.solve import TrajectoryResult, solve
from gram_server.answers import GenerateResponse
from tests.server.e2e.conftest import Server, Start, is_whole

pytestmark = pytest.mark.slow

MODEL = "sudoku-4x4-generate"
DEPTH = 5
"""Supervision steps at which a good part of the boards is still wrong."""
SHIPPED = "sudoku-9x9-generate"
LONG = "count=500&max_trajectories=4000&depth=64&distinct=false"
"""Many seconds of work for the shipped model."""


@pytest.fixture(scope="module")
def shipped(start_server: Start) -> Any:
    return start_server("--model", SHIPPED)


def generate(server: Server, **params: Any) -> dict[str, Any]:
    response = httpx.post(f"{server.url}/generate", params=params, timeout=60.0)
    assert response.status_code == 200, response.text
    answer: dict[str, Any] = response.json()
    GenerateResponse.model_validate(answer)
    return answer


def lasting(answer: dict[str, Any]) -> dict[str, Any]:
    """Return what a repetition must repeat: all but the clock and the id."""
    boards = [{**board, "ms": 0} for board in answer["boards"]]
    return {**answer, "id": "", "usage": {}, "boards": boards}


def solutions(grid: str) -> list[str]:
    """Return every valid board that has the clues, by trying all digits."""
    if "." not in grid:
        return [grid] if is_whole(grid) else []
    place = grid.index(".")
    row, column = divmod(place, 4)
    taken = {grid[row * 4 + other] for other in range(4)}
    taken |= {grid[other * 4 + column] for other in range(4)}
    fits = [digit for digit in "1234" if digit not in taken]
    return [
        found for digit in fits for found in solutions(grid[:place] + digit + grid[place + 1 :])
    ]


def rollouts(folder: Path, *, width: int, depth: int, seed: int) -> tuple[TrajectoryResult, ...]:
    """Return what the plain loop makes of the empty board."""
    loaded = load_model(folder)
    empty = puzzles.family("sudoku").parse({"grid": "." * 16})
    return solve(loaded, empty, width=width, depth=depth, seed=seed, augment=False, batch=8)


def test_only_valid_boards_come_back_as_many_as_asked_for(server: Server) -> None:
    answer = generate(server, count=40, seed=1)
    assert (answer["status"], answer["model"].partition("@")[0]) == ("complete", MODEL)
    boards = [board["answer"] for board in answer["boards"]]
    assert len(set(boards)) == len(boards) == 40
    assert all(is_whole(board) for board in boards)


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_boards_and_rates_are_those_of_the_plain_loop(
    server: Server, generating: Path, seed: int
) -> None:
    answer = generate(server, count=9, depth=DEPTH, seed=seed, max_trajectories=200)
    truth = rollouts(generating, width=answer["trajectories"], depth=DEPTH, seed=seed)
    valid = [
        (index, result.solved_at, "".join(str(token - 1) for token in result.tokens))
        for index, result in enumerate(truth)
        if result.solved_at
    ]
    first: dict[str, tuple[int, int | None]] = {}
    for index, step, board in valid:
        first.setdefault(board, (index, step))
    got = {board["answer"]: (board["trajectory"], board["step"]) for board in answer["boards"]}
    assert got == first
    assert list(got) == list(first)
    assert answer["valid_trajectories"] == len(valid) < answer["trajectories"]
    assert answer["validity"] == pytest.approx(len(valid) / len(truth), abs=1e-6)
    assert answer["uniqueness"] == pytest.approx(len(first) / len(valid), abs=1e-6)


def test_a_seed_repeats_boards_and_order_in_any_traffic(server: Server) -> None:
    params = {"count": 12, "depth": DEPTH, "seed": 77, "max_trajectories": 300}
    alone = generate(server, **params)

    def crowd(number: int) -> dict[str, Any]:
        if number % 3 == 0:
            httpx.post(f"{server.url}/solve?width=20", content="." * 16, timeout=60.0)
        return lasting(generate(server, **params))

    with ThreadPoolExecutor(8) as pool:
        assert all(answer == lasting(alone) for answer in pool.map(crowd, range(8)))
    other = generate(server, **{**params, "seed": 78})
    assert lasting(other)["boards"] != lasting(alone)["boards"]


def test_puzzles_have_their_board_as_the_only_solution(server: Server) -> None:
    params = {"count": 6, "reduce_clues": "unique", "seed": 3}
    answer = generate(server, **params)
    assert answer["status"] == "complete"
    for board in answer["boards"]:
        puzzle = board["puzzle"]
        assert solutions(puzzle) == [board["answer"]]
        clues = [place for place, cell in enumerate(puzzle) if cell != "."]
        assert len(clues) == board["clues"]
        for place in clues:
            assert len(solutions(f"{puzzle[:place]}.{puzzle[place + 1 :]}")) > 1
    assert lasting(generate(server, **params)) == lasting(answer)
    whole = generate(server, count=6, seed=3)
    assert [board["answer"] for board in whole["boards"]] == [
        board["answer"] for board in answer["boards"]
    ]


def test_a_deadline_brings_what_there_is(shipped: Server) -> None:
    params = dict(pair.split("=") for pair in LONG.split("&"))
    # A crowded machine may end no trajectory within the first of them.
    for deadline_ms in (900, 4_000, 16_000):
        started_s = time.monotonic()
        answer = generate(shipped, **{**params, "deadline_ms": str(deadline_ms)})
        assert answer["status"] == "partial"
        assert time.monotonic() - started_s < deadline_ms / 1e3 + 5.0
        if answer["trajectories"]:
            break
    assert answer["trajectories"] > 0
    assert all(is_whole(board["answer"]) for board in answer["boards"])


def test_the_shipped_weights_make_up_whole_sudokus(shipped: Server) -> None:
    answer = generate(shipped, count=3, reduce_clues="unique", seed=7)
    assert answer["status"] == "complete"
    assert answer["task"] == "sudoku-9x9"
    sudoku = puzzles.family("sudoku")
    for board in answer["boards"]:
        assert is_whole(board["answer"])
        grid = sudoku.parse({"grid": board["puzzle"]})
        found = [sudoku.decode(grid, tokens) for tokens in sudoku.enumerate(grid, limit=2)]
        assert found == [board["answer"]]


def test_boards_of_few_givens_go_to_the_weights_that_generate(shipped: Server) -> None:
    """No puzzle of fewer than 17 givens has one solution; weights that solve leave it unsolved."""
    solved = "534678912672195348198342567859761423426853791713924856961537284287419635345286179"
    for num_givens in (0, 1, 8, 12, 16, 16):
        kept = np.random.default_rng(num_givens).permutation(81)[:num_givens]
        board = "".join(digit if place in kept else "." for place, digit in enumerate(solved))
        posted = httpx.post(f"{shipped.url}/solve?width=16&seed=1", content=board, timeout=60.0)
        answer = posted.json()
        assert (answer["status"], answer["model"].split("@")[0]) == ("solved", SHIPPED), board
        for solution in answer["solutions"]:
            assert is_whole(solution["answer"])
            assert all(solution["answer"][place] == solved[place] for place in kept)
    refused = httpx.post(f"{shipped.url}/solve", content=solved[:17] + "." * 64)
    assert refused.json()["code"] == "model_unknown"
