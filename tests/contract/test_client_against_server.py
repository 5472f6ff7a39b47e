"""The client and the real API understand each other, over HTTP."""

import asyncio

import pytest

import gram_client
from gram_client import AsyncClient, Client

SUDOKU = "12.4341221434321"
SOLVED = "1234341221434321"
EDGES = [[0, 1], [1, 2], [0, 2]]


@pytest.mark.parametrize(
    ("puzzle", "answers"),
    [
        (SUDOKU, [SOLVED]),
        ("12.4\n3412\n2143\n4321\n", [SOLVED]),
        (
            [[1, 2, 0, 4], [3, 4, 1, 2], [2, 1, 4, 3], [4, 3, 2, 1]],
            [[[1, 2, 3, 4], [3, 4, 1, 2], [2, 1, 4, 3], [4, 3, 2, 1]]],
        ),
        ({"puzzle": "nqueens", "n": 4, "queens": [[0, 1]]}, [[[0, 1], [1, 3], [2, 0], [3, 2]]]),
        (".Q..\n....\n....\n....", [".Q..\n...Q\nQ...\n..Q."]),
        (
            {"puzzle": "nqueens", "grid": [".Q..", "....", "....", "...."]},
            [[".Q..", "...Q", "Q...", "..Q."]],
        ),
        (
            {"puzzle": "graph-coloring", "vertices": 3, "edges": EDGES, "fixed": {"0": 1, "1": 0}},
            [[1, 0, 2]],
        ),
    ],
)
def test_answers_come_back_in_the_form_that_was_posted(
    base_url: str, puzzle: gram_client.Puzzle, answers: list[object]
) -> None:
    with Client(base_url) as client:
        result = client.solve(puzzle, width=4)
    assert [solution.answer for solution in result.solutions] == answers
    assert result.status == "solved"
    assert result.width == 4


def test_a_dimacs_graph_is_solved(base_url: str) -> None:
    with Client(base_url) as client:
        result = client.solve("p edge 3 3\ne 1 2\ne 2 3\ne 1 3\n")
    assert result.puzzle == "graph-coloring"
    assert sorted(str(color) for color in result.solutions[0].answer) == ["0", "1", "2"]


def test_the_asynchronous_client_solves_many_at_once(base_url: str) -> None:
    async def solve_many() -> list[gram_client.SolveResult]:
        async with AsyncClient(base_url) as client:
            return await asyncio.gather(*(client.solve(SUDOKU, seed=seed) for seed in range(8)))

    results = asyncio.run(solve_many())
    assert [result.seed for result in results] == list(range(8))
    assert all(result.solutions[0].answer == SOLVED for result in results)


def test_every_parameter_is_one_that_the_server_knows(base_url: str) -> None:
    with Client(base_url) as client:
        result = client.solve(
            SUDOKU,
            width=3,
            depth=5,
            max_solutions=1,
            deadline_ms=5000,
            seed=7,
            augment=False,
            halt="halt_head",
            fallback="exact",
            count_solutions="exact",
            model="sudoku-4x4",
        )
    assert (result.width, result.depth, result.seed) == (3, 5, 7)


def test_a_contradiction_names_its_cells_and_rules(base_url: str) -> None:
    with Client(base_url) as client, pytest.raises(gram_client.BadRequest) as caught:
        client.solve("11" + "." * 14)
    assert caught.value.code == "puzzle_invalid"
    rules = {issue.rule: issue.cells for issue in caught.value.errors}
    assert rules["row 0"] == ((0, 0), (0, 1))
    assert caught.value.request_id


@pytest.mark.parametrize(
    ("options", "code", "field"),
    [
        ({"width": 0}, "parameter_invalid", "width"),
        ({"width": 10**9}, "parameter_invalid", "width"),
        ({"seed": -1}, "parameter_invalid", "seed"),
        ({"model": "none-such"}, "model_unknown", "model"),
    ],
)
def test_a_parameter_that_cannot_be_used_is_a_bad_request(
    base_url: str, options: dict[str, int], code: str, field: str
) -> None:
    with Client(base_url) as client, pytest.raises(gram_client.BadRequest) as caught:
        client.solve(SUDOKU, **options)  # type: ignore[arg-type]  # one table for all of them
    assert caught.value.code == code
    assert [issue.field for issue in caught.value.errors] == [field]


@pytest.mark.parametrize("text", ["", "\udcff", "{", "hello"])
def test_text_that_is_no_puzzle_is_a_bad_request(base_url: str, text: str) -> None:
    with Client(base_url) as client, pytest.raises(gram_client.BadRequest):
        client.solve(text)


def test_a_failed_job_is_the_servers_failure(base_url: str) -> None:
    client = Client(base_url, max_retries=0)
    with client, pytest.raises(gram_client.ServerFailure, match="it was told to") as caught:
        client.solve(SUDOKU, seed=13)
    assert caught.value.code == "job_failed"


def test_the_server_lists_its_puzzles_and_models_and_is_ready(base_url: str) -> None:
    with Client(base_url) as client:
        assert {puzzle.name for puzzle in client.puzzles()} >= {"sudoku", "nqueens"}
        assert [model.task for model in client.models()] == [
            "sudoku-4x4",
            "nqueens-4",
            "graph-coloring-3",
        ]
        assert client.health().is_ready
