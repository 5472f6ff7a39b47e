"""A puzzle family that another package brings, through a real server and its processes."""

import os
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.brought_family import install, looked_up_anew
from tests.server.e2e.conftest import Start, save_guesser

pytestmark = pytest.mark.slow

GRID = [[1, 2, 3, 4], [2, 1, 4, 3], [3, 4, 0, 2], [4, 3, 2, 0]]
SOLVED = [[1, 2, 3, 4], [2, 1, 4, 3], [3, 4, 1, 2], [4, 3, 2, 1]]


def test_a_family_of_another_package_is_served_like_any_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, start_server: Start
) -> None:
    install(tmp_path)
    with looked_up_anew(tmp_path, monkeypatch):
        model = save_guesser(tmp_path / "weights", "latin-4x4")
    paths = [str(tmp_path), os.environ.get("PYTHONPATH", "")]
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(filter(None, paths)))
    server = start_server("--model", str(model))

    def ask(method: str, path: str, **options: Any) -> Any:
        return httpx.request(method, f"{server.url}{path}", timeout=60.0, **options).json()

    assert "latin" in {puzzle["name"] for puzzle in ask("GET", "/puzzles")["puzzles"]}
    assert "LatinBody" in ask("GET", "/openapi.json")["components"]["schemas"]
    params = {"width": 64, "seed": 1, "count_solutions": "exact"}
    body = {"puzzle": "latin", "grid": GRID}
    answer = ask("POST", "/solve", params=params, json=body)
    assert (answer["puzzle"], answer["status"]) == ("latin", "solved")
    assert [solution["answer"] for solution in answer["solutions"]] == [SOLVED]
    assert answer["solutions"][0]["source"] == "model"
    assert answer["completeness"]["total"] == 1
    clash = ask("POST", "/solve", json={"puzzle": "latin", "grid": [[1, 1], [0, 0]]})
    assert clash["errors"][0]["rule"] == "row 0"
