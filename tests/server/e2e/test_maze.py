"""Mazes through a real server, judged by a search of our own."""

import json
import subprocess
import sys
from itertools import pairwise
from typing import Any

import httpx
import pytest

from gram_client import Client
from gram_server.answers import SolveResponse
from tests.server.e2e.conftest import Server

MAZE = [".S.", "..G"]
"""Two moves lead from start to goal, over either of two cells."""
TEXT = "\n".join(MAZE).replace(".", " ")
WIDTH = 64


def is_shortest(path: list[list[int]]) -> bool:
    """Judge a path through MAZE: from start to goal, each step to a cell beside, two in all."""
    steps = [abs(a - c) + abs(b - d) for (a, b), (c, d) in pairwise(path)]
    return [*path[:1], *path[-1:]] == [[0, 1], [1, 2]] and steps == [1, 1]


@pytest.mark.slow
@pytest.mark.parametrize("body", [json.dumps({"puzzle": "maze", "grid": MAZE}), TEXT])
def test_both_shortest_paths_are_found_whatever_the_form(server: Server, body: str) -> None:
    response = httpx.post(
        f"{server.url}/solve?width={WIDTH}&seed=3&count_solutions=exact", content=body
    )
    answer = SolveResponse.model_validate(response.json())
    assert (answer.puzzle, answer.status, answer.completeness.total) == ("maze", "solved", 2)
    paths: Any = [solution.answer for solution in answer.solutions]
    assert sorted(paths) == [[[0, 1], [0, 2], [1, 2]], [[0, 1], [1, 1], [1, 2]]]
    assert all(is_shortest(path) for path in paths)


@pytest.mark.slow
def test_a_path_that_is_not_shortest_is_no_solution(server: Server) -> None:
    answer = httpx.post(
        f"{server.url}/solve?width=256&seed=1&halt=never&depth=8",
        json={"puzzle": "maze", "grid": MAZE},
        timeout=60.0,
    ).json()
    assert 0 < answer["valid_trajectories"] < 256
    assert all(is_shortest(solution["answer"]) for solution in answer["solutions"])


@pytest.mark.slow
def test_the_exact_solver_answers_where_the_model_does_not(server: Server) -> None:
    params: dict[str, str | int] = {"width": 1, "depth": 1, "seed": 0, "fallback": "exact"}
    maze = {"puzzle": "maze", "grid": ["S..", "..G"]}
    [solution, *_] = httpx.post(f"{server.url}/solve", params=params, json=maze).json()["solutions"]
    assert len(solution["answer"]) == 4


@pytest.mark.slow
def test_the_client_and_the_console_script_draw_the_path(server: Server) -> None:
    with Client(server.url) as client:
        result = client.solve(TEXT, width=WIDTH, seed=3)
    first = result.solutions[0].answer
    assert is_shortest([list(cell) for cell in first])  # type: ignore[arg-type]  # a path
    command = [sys.executable, "-m", "gram_client.cli", "solve", "-", "--base-url", server.url]
    command += ["--width", str(WIDTH), "--seed", "3", "--boards"]
    ran = subprocess.run(command, input=TEXT, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr
    drawings = {"\n".join(lines.splitlines()[1:3]) for lines in ran.stdout.split("solution ")[1:]}
    assert drawings == {" S*\n  G", " S \n *G"}
