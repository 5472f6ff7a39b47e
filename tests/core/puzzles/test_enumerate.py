import builtins
import time
from collections.abc import Mapping
from itertools import combinations

import networkx
import pytest

from gram_core.errors import ExactTimeout, ExactUnavailable
from gram_core.puzzles import Tokens, family

CLIQUE = [list(pair) for pair in combinations(range(4), 2)]


@pytest.mark.parametrize(
    ("puzzle", "body", "total"),
    [
        *(("nqueens", {"n": n}, total) for n, total in ((1, 1), (2, 0), (3, 0), (4, 2), (8, 92))),
        ("nqueens", {"n": 8, "queens": [[0, 0]]}, 4),
        ("sudoku", {"grid": "." * 16}, 288),
        ("graph-coloring", {"vertices": 3, "edges": []}, 5),
        ("graph-coloring", {"vertices": 3, "edges": [], "fixed": {"0": 1}}, 5),
        ("graph-coloring", {"vertices": 3, "edges": [], "fixed": {"0": 1, "1": 2}}, 3),
        ("graph-coloring", {"vertices": 4, "edges": [], "colors": 1}, 1),
        ("graph-coloring", {"vertices": 4, "edges": [[0, 1], [1, 2], [2, 3], [3, 0]]}, 3),
        ("graph-coloring", {"vertices": 4, "edges": CLIQUE}, 0),
    ],
)
def test_known_totals_are_found(puzzle: str, body: Mapping[str, object], total: int) -> None:
    rules = family(puzzle)
    instance = rules.parse(body)
    found = list(rules.enumerate(instance, limit=1000, max_time_s=60.0))
    assert all(rules.check(instance, tokens) for tokens in found)
    assert len({rules.canonical(instance, tokens) for tokens in found}) == len(found) == total


def _coloring(graph: "networkx.Graph[int]", colors: int) -> dict[str, object]:
    edges = [list(edge) for edge in graph.edges]
    return {"vertices": len(graph), "edges": edges, "colors": colors}


QUEENS_GRAPH = networkx.Graph(
    (one, other)
    for one, other in combinations(range(25), 2)
    if one // 5 == other // 5
    or one % 5 == other % 5
    or abs(one // 5 - other // 5) == abs(one % 5 - other % 5)
)
"""queen5_5 of DIMACS."""


@pytest.mark.parametrize(
    ("puzzle", "body", "is_solvable"),
    [
        *(("nqueens", {"n": n}, True) for n in (6, 9, 12, 20)),
        ("graph-coloring", _coloring(networkx.mycielski_graph(4), 3), False),
        ("graph-coloring", _coloring(networkx.mycielski_graph(4), 4), True),
        ("graph-coloring", _coloring(QUEENS_GRAPH, 4), False),
        ("graph-coloring", _coloring(QUEENS_GRAPH, 5), True),
        ("graph-coloring", _coloring(networkx.karate_club_graph(), 4), False),
        ("graph-coloring", _coloring(networkx.karate_club_graph(), 5), True),
    ],
)
def test_well_known_puzzles_without_weights_are_solved_or_refuted(
    puzzle: str, body: dict[str, object], is_solvable: bool
) -> None:
    rules = family(puzzle)
    instance = rules.parse(body)
    found = list(rules.enumerate(instance, limit=1, max_time_s=60.0))
    assert [rules.check(instance, tokens) for tokens in found] == [True] * is_solvable


@pytest.mark.parametrize("limit", [0, 1, 91, 92])
def test_enumeration_stops_at_its_limit(limit: int) -> None:
    queens = family("nqueens")
    board = queens.parse({"n": 8})
    found = [tokens.tobytes() for tokens in queens.enumerate(board, limit=limit)]
    assert len(found) == limit
    # And repeats its order.
    assert found == [tokens.tobytes() for tokens in queens.enumerate(board, limit=limit)]


def test_enumeration_that_runs_out_of_time_says_so_after_what_it_found() -> None:
    queens = family("nqueens")
    board = queens.parse({"n": 16})
    found: list[Tokens] = []
    # A busy machine may find nothing in the shortest of these times.
    for max_time_s in (0.3, 3.0, 30.0):
        started_s = time.monotonic()
        with pytest.raises(ExactTimeout, match=f"stopped after {max_time_s:g} s"):
            found.extend(queens.enumerate(board, limit=10**9, max_time_s=max_time_s))
        assert time.monotonic() - started_s < max_time_s + 30
        if found:
            break
    assert found
    assert all(queens.check(board, tokens) for tokens in found)


def test_missing_solver_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    real_import = builtins.__import__

    def without_ortools(name: str, *args: object, **kwargs: object) -> object:
        if name.startswith("ortools"):
            raise ImportError(name)
        return real_import(name, *args, **kwargs)  # type: ignore[arg-type]

    monkeypatch.setattr(builtins, "__import__", without_ortools)
    queens = family("nqueens")
    with pytest.raises(ExactUnavailable, match=r"gram-server\[exact\]"):
        list(queens.enumerate(queens.parse({"n": 4}), limit=1))
