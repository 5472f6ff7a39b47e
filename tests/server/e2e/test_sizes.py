"""Puzzles of any size, behind a real server: by weights, padded, by exact search."""

import json
import random
import shutil
from itertools import combinations, product
from pathlib import Path
from typing import Any

import httpx
import networkx
import pytest

from gram_client import BadRequest, Client
from gram_core.catalog import CONFIG_FILE, find_model
from tests.server.e2e.conftest import Server, Start

pytestmark = pytest.mark.slow


def binary_tree_maze(side: int) -> list[str]:
    """Open, from every second cell, the way up or the way to the left."""
    draw, cells = random.Random(1), [["#"] * side for _ in range(side)]
    for row, column in product(range(1, side, 2), repeat=2):
        ways = [(row - 1, column)] * (row > 1) + [(row, column - 1)] * (column > 1)
        for at, place in [(row, column), *([draw.choice(ways)] if ways else [])]:
            cells[at][place] = "."
    cells[1][1], cells[-2][-2] = "S", "G"
    return ["".join(row) for row in cells]


def colored(graph: Any, colors: int) -> Any:
    graph.graph["colors"] = colors
    return graph


AUSTRALIA = networkx.Graph(
    {
        "WA": ["NT", "SA"],
        "NT": ["SA", "Q"],
        "SA": ["Q", "NSW", "V"],
        "Q": ["NSW"],
        "NSW": ["V"],
        "T": [],
    }
)
QUEEN5_5 = networkx.Graph(
    (one, other)
    for one, other in combinations(product(range(5), repeat=2), 2)
    if one[0] == other[0] or one[1] == other[1] or abs(one[0] - other[0]) == abs(one[1] - other[1])
)
GRAPHS = {
    "map of Australia": (colored(AUSTRALIA, 3), "graph-coloring-8"),
    "myciel3": (colored(networkx.mycielski_graph(4), 4), "exact"),
    "queen5_5": (colored(QUEEN5_5, 5), "exact"),
    "karate club": (colored(networkx.karate_club_graph(), 5), "exact"),
}


@pytest.fixture(scope="module")
def shipped(start_server: Start) -> Server:
    """A server with all sizes of the shipped weights."""
    names = ("nqueens-8", "nqueens-10", "graph-coloring-8", "graph-coloring-10", "maze-30x30")
    folders = [str(find_model(name).path) for name in names]
    return start_server(*(word for folder in folders for word in ("--model", folder)))


@pytest.mark.parametrize("name", GRAPHS)
def test_a_known_graph_is_colored(shipped: Server, name: str) -> None:
    graph, model = GRAPHS[name]
    with Client(shipped.url) as client:
        if model == "exact":
            with pytest.raises(BadRequest, match="with fallback=exact") as refused:
                client.solve(graph)
            assert refused.value.code == "model_unknown"
        result = client.solve(graph, fallback="exact", max_solutions=1, seed=1)
    assert (result.model.partition("@")[0], result.padded_to) == (
        model, None if model == "exact" else model,
    )  # fmt: skip
    assert result.best is not None
    assert result.best.source == ("exact" if model == "exact" else "model")
    colors = result.best.colors
    assert colors is not None
    assert set(colors) == set(graph.nodes)
    assert set(colors.values()) <= set(range(graph.graph["colors"]))
    assert all(colors[one] != colors[other] for one, other in graph.edges)


@pytest.mark.parametrize("size", [6, 9, 12, 20])
def test_queens_of_a_size_that_nothing_was_trained_on_are_placed(
    shipped: Server, size: int
) -> None:
    with Client(shipped.url) as client:
        result = client.solve({"puzzle": "nqueens", "n": size}, max_solutions=1, seed=1)
    assert result.model.startswith(f"nqueens-{size}@")
    assert result.best is not None
    queens: Any = result.best.answer
    lines = [{row for row, _ in queens}, {column for _, column in queens}]
    lines += [{row + column for row, column in queens}, {row - column for row, column in queens}]
    assert [len(line) for line in lines] == [size] * 4


@pytest.mark.parametrize(
    ("side", "padded_to"), [(21, "maze-30x30"), (25, "maze-30x30"), (41, None)]
)
def test_a_maze_of_an_odd_side_is_solved(shipped: Server, side: int, padded_to: str | None) -> None:
    grid = binary_tree_maze(side)
    with Client(shipped.url) as client:
        result = client.solve(
            {"puzzle": "maze", "grid": grid}, fallback="exact", max_solutions=1, seed=1
        )
    assert result.padded_to == padded_to
    assert result.best is not None
    assert result.best.source == ("model" if padded_to else "exact")
    steps: Any = result.best.answer
    path = [tuple(cell) for cell in steps]
    ways = networkx.grid_2d_graph(side, side)
    ways.remove_nodes_from(
        [(row, at) for row, line in enumerate(grid) for at, sign in enumerate(line) if sign == "#"]
    )
    assert path == networkx.shortest_path(ways, (1, 1), (side - 2, side - 2))


def test_a_further_size_is_served_by_an_engine_that_its_first_job_makes(
    start_server: Start, tmp_path: Path
) -> None:
    folder = tmp_path / "queens-8"
    shutil.copytree(find_model("nqueens-8").path, folder)
    config = json.loads((folder / CONFIG_FILE).read_text())
    config |= {"name": folder.name, "other_tasks": ["nqueens-9", "nqueens-7"]}
    (folder / CONFIG_FILE).write_text(json.dumps(config))
    server = start_server("--model", str(folder))
    with httpx.Client(base_url=server.url, timeout=60.0) as client:
        models = client.get("/models").json()["models"]
        served = {model["name"]: model["task"] for model in models if "queens" in model["task"]}
        assert served == {f"queens-{size}": f"nqueens-{size}" for size in (7, 8, 9)}
        assert len({model["fingerprint"] for model in models if model["name"] in served}) == 1
        slots = {name: f'gram_slots_capacity{{model="{name}"}}' for name in served}
        assert {name for name in served if slots[name] in server.metrics()} == {"queens-8"}
        for size in (9, 8, 9):
            body = {"puzzle": "nqueens", "n": size, "queens": [[0, 2]]}
            answer = client.post("/solve", params={"width": 16, "seed": 1}, json=body).json()
            assert answer["status"] == "solved"
            assert answer["model"].startswith(f"queens-{size}@")
            assert answer["padded_to"] is None
        # A busy worker reports its numbers now and then.
        server.wait(lambda: slots["queens-9"] in server.metrics())
        known = server.metrics()
        assert {name for name in served if slots[name] in known} == {"queens-8", "queens-9"}
        refused = client.post("/solve", json={"puzzle": "nqueens", "n": 6})
        assert (refused.status_code, refused.json()["code"]) == (422, "model_unknown")
