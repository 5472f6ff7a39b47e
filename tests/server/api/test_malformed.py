"""Everything that must be refused, with the status, the code and the field that say so."""

import json
from typing import Any

import pytest

from gram_server.api.schemas import ProblemDocument
from tests.server.api.conftest import OpenService, Service

pytestmark = pytest.mark.anyio

GRID = "53..7....6..195....98....6.8...6...34..8.3..17...2...6.6....28....419..5....8..79"
TWO_FIVES = "55" + GRID[2:]
COLORING: dict[str, Any] = {"puzzle": "graph-coloring", "vertices": 8, "edges": [[0, 1]]}


def sudoku(grid: object) -> str:
    return json.dumps({"puzzle": "sudoku", "grid": grid})


def queens(**fields: object) -> str:
    return json.dumps({"puzzle": "nqueens", **fields})


def coloring(**fields: object) -> str:
    return json.dumps({**COLORING, **fields})


ROWS: list[Any] = [[0] * 9 for _ in range(9)]
WRONG_CELL = ("puzzle_invalid", "grid[0]")

BODIES: list[tuple[str, str | bytes, int, str, str | None]] = [
    ("empty", "", 400, "body_invalid", "body"),
    ("only spaces", "  \n ", 400, "body_invalid", "body"),
    ("not UTF-8", b"\xff\xfe53..7", 400, "body_invalid", "body"),
    ("broken JSON", '{"puzzle": "sudoku"', 400, "body_invalid", "body"),
    ("trailing comma", '{"puzzle": "sudoku",}', 400, "body_invalid", "body"),
    ("single quotes", "{'puzzle': 'sudoku'}", 400, "body_invalid", "body"),
    ("two documents", "{}{}", 400, "body_invalid", "body"),
    ("NaN", '{"puzzle": "sudoku", "grid": [[NaN]]}', 400, "body_invalid", "body"),
    ("infinity", '{"puzzle": "sudoku", "grid": [[-Infinity]]}', 400, "body_invalid", "body"),
    ("deep nesting", '{"puzzle": "sudoku", "grid": ' + "[" * 100_000, 400, "body_invalid", "body"),
    ("deep objects", '{"a":' * 100_000, 400, "body_invalid", "body"),
    ("a field twice", '{"puzzle": "sudoku", "puzzle": "nqueens"}', 400, "body_invalid", "body"),
    ("huge integer", '{"n": ' + "9" * 5000 + "}", 400, "body_invalid", "body"),
    ("a JSON list", "[[1, 2], [3, 4]]", 400, "body_invalid", "body"),
    ("a wrong cell of a list", json.dumps([[10, *ROWS[0][1:]], *ROWS[1:]]), 422, *WRONG_CELL),
    ("no puzzle named", '{"grid": "1..............."}', 422, "puzzle_invalid", "puzzle"),
    ("puzzle is a number", '{"puzzle": 7}', 422, "puzzle_invalid", "puzzle"),
    ("puzzle is null", '{"puzzle": null}', 422, "puzzle_invalid", "puzzle"),
    ("unknown puzzle", '{"puzzle": "chess"}', 422, "unknown_puzzle", "puzzle"),
    ("unpaired surrogate", '{"puzzle": "\\ud800"}', 422, "unknown_puzzle", "puzzle"),
    ("no grid", '{"puzzle": "sudoku"}', 422, "puzzle_invalid", "grid"),
    ("unknown field", sudoku(GRID)[:-1] + ', "x": 1}', 422, "puzzle_invalid", "x"),
    ("prose", "please solve my puzzle", 422, "puzzle_invalid", "grid"),
    ("two fives in a row", TWO_FIVES, 422, "puzzle_invalid", "grid"),
    ("digit 1e999", sudoku(ROWS).replace("0", "1e999", 1), 422, "puzzle_invalid", "grid[0]"),
    ("edge to nowhere", coloring(edges=[[0, 8]]), 422, "puzzle_invalid", "edges[0][1]"),
    ("fixed off the graph", coloring(fixed={"9": 0}), 422, "puzzle_invalid", "fixed[9]"),
    ("DIMACS self-loop", "p edge 3 1\ne 1 1\n", 422, "puzzle_invalid", "dimacs"),
    ("no model for 6x6", "." * 36, 422, "model_unknown", "puzzle"),
    ("no model for 12 queens", queens(n=12, queens=[]), 422, "model_unknown", "puzzle"),
]


@pytest.mark.parametrize(
    ("content", "status", "code", "field"),
    [row[1:] for row in BODIES],
    ids=[row[0] for row in BODIES],
)
async def test_a_malformed_body_is_refused_where_it_is_wrong(
    shared: Service, content: str | bytes, status: int, code: str, field: str | None
) -> None:
    response = await shared.solve(content)
    assert_problem(response, status, code, field)
    assert shared.worker.jobs == []


PARAMETERS: list[tuple[str, str]] = [
    ("width=0", "width"),
    ("width=-1", "width"),
    ("width=1000000000", "width"),
    ("width=65", "width"),
    ("width=99999999999999999999999", "width"),
    ("width=NaN", "width"),
    ("width=inf", "width"),
    ("width=1e3", "width"),
    ("width=1.5", "width"),
    ("width=ten", "width"),
    ("width=", "width"),
    ("width=%2B5", "width"),
    ("width=5%20", "width"),
    ("width=1_000", "width"),
    ("width=%D9%A3", "width"),
    ("width=0x10", "width"),
    ("width=4&width=5", "width"),
    ("depth=0", "depth"),
    ("depth=1025", "depth"),
    ("max_solutions=0", "max_solutions"),
    ("deadline_ms=0", "deadline_ms"),
    ("deadline_ms=600001", "deadline_ms"),
    ("seed=-1", "seed"),
    ("seed=9223372036854775808", "seed"),
    ("show_trajectories=-1", "show_trajectories"),
    ("show_trajectories=65", "show_trajectories"),
    ("show_trajectories=many", "show_trajectories"),
    ("augment=maybe", "augment"),
    ("augment=True", "augment"),
    ("halt=soon", "halt"),
    ("halt=", "halt"),
    ("fallback=luck", "fallback"),
    ("count_solutions=all", "count_solutions"),
    ("puzzle=chess", "puzzle"),
    ("model=", "model"),
    ("widht=64", "widht"),
    ("Width=64", "Width"),
    ("=64", ""),
    ("width=%FF", "width"),
]


@pytest.mark.parametrize(("query", "field"), PARAMETERS, ids=[query for query, _ in PARAMETERS])
async def test_a_malformed_parameter_is_refused_by_name(
    shared: Service, query: str, field: str
) -> None:
    response = await shared.client.post(f"/solve?{query}", content=GRID)
    assert_problem(response, 422, "parameter_invalid", field)
    assert shared.worker.jobs == []


@pytest.mark.parametrize("query", ["model=nothing", "model=sudoku-9x9@ffffffff", "model=nqueens-8"])
async def test_a_model_that_is_not_there_or_does_not_fit_is_refused(
    service: Service, query: str
) -> None:
    response = await service.client.post(f"/solve?{query}", content=GRID)
    assert_problem(response, 422, "model_unknown", "model")


async def test_a_body_that_names_another_puzzle_than_the_query_is_refused(service: Service) -> None:
    response = await service.client.post("/solve?puzzle=nqueens", content=sudoku(GRID))
    assert_problem(response, 422, "parameter_invalid", "puzzle")


@pytest.mark.parametrize(
    "content_type",
    ["image/png", "multipart/form-data; boundary=x", "application/xml", "text/html", "nonsense"],
)
async def test_other_content_types_are_refused(shared: Service, content_type: str) -> None:
    response = await shared.solve(GRID, headers={"Content-Type": content_type})
    assert_problem(response, 415, "media_type_unsupported", None)


async def test_a_compressed_body_is_refused(service: Service) -> None:
    response = await service.solve(GRID, headers={"Content-Encoding": "gzip"})
    assert_problem(response, 415, "media_type_unsupported", None)


@pytest.mark.parametrize("body", [GRID, "{", "[1"])
async def test_a_body_declared_as_json_has_to_be_json(service: Service, body: str) -> None:
    response = await service.solve(body, headers={"Content-Type": "application/json"})
    assert_problem(response, 400, "body_invalid", "body")


async def test_a_huge_body_is_refused_before_it_is_read(open_service: OpenService) -> None:
    async with open_service(max_body_bytes=1000) as service:
        assert_problem(await service.solve("." * 1001), 413, "body_too_large", None)
        assert (await service.solve(GRID + " " * 919)).status_code == 200


async def test_a_huge_body_of_unknown_length_is_refused_while_it_comes(
    open_service: OpenService,
) -> None:
    sent = 0

    async def chunks() -> Any:
        nonlocal sent
        for _ in range(1000):
            sent += 100
            yield b"." * 100

    async with open_service(max_body_bytes=1000) as service:
        response = await service.client.post("/solve", content=chunks())
        assert_problem(response, 413, "body_too_large", None)
    assert sent <= 1200


async def test_a_clash_names_the_cells_and_the_rule(service: Service) -> None:
    [issue] = (await service.solve(TWO_FIVES)).json()["errors"][:1]
    assert issue["field"] == "grid"
    assert issue["rule"] == "row 0"
    assert issue["cells"] == [[0, 0], [0, 1]]
    assert "5" in issue["detail"]


async def test_unknown_paths_and_methods_are_problems_too(service: Service) -> None:
    missing = await service.client.get("/nothing/here")
    assert_problem(missing, 404, "not_found", None)
    wrong = await service.client.get("/solve")
    assert_problem(wrong, 405, "method_not_allowed", None)
    assert wrong.headers["Allow"] == "OPTIONS, POST"


def assert_problem(response: Any, status: int, code: str, field: str | None) -> None:
    assert response.status_code == status, response.text
    assert response.headers["Content-Type"] == "application/problem+json"
    problem = ProblemDocument.model_validate(response.json())
    assert (problem.status, problem.code) == (status, code)
    assert problem.type == f"/problems/{code}"
    assert problem.request_id == response.headers["X-Request-ID"]
    assert problem.detail
    if field is not None:
        assert field in [issue.field for issue in problem.errors], response.text


async def test_a_wrong_character_is_told_for_each_form_that_it_may_be_meant_for(
    service: Service,
) -> None:
    problem = (await service.solve("53..x" + "." * 76)).json()
    details = [(issue["detail"], issue["cells"]) for issue in problem["errors"]]
    assert [detail.partition(":")[0] for detail, _ in details] == [
        *("as sudoku", "as nqueens", "as graph-coloring", "as maze"),
        *("as futoshiki", "as light-up", "as jigsaw", "as arc"),
    ]
    assert details[0][1] == [[0, 4]]


async def test_a_broken_rule_shows_which_form_was_meant(service: Service) -> None:
    problem = (await service.solve("S#.\n.#G")).json()
    assert {issue["rule"] for issue in problem["errors"]} == {"path"}


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("53..7...." * 8 + "53..7...", "grid: as sudoku: has 80 cells"),
        ("53..7x..." + "." * 72, "grid: as sudoku: row 0, column 5 holds"),
        ("Q..\n...\n..\n", "grid[2]: as nqueens: has 2 squares"),
        ("S.#\n...\n", "grid: has no goal: mark one cell G"),
        ("S.#\n....\n..G", "grid[1]: as maze: has 4 cells"),
        ("p edge 3 2\ne 1 2\ne 1 4\n", "dimacs: as graph-coloring: line 3 holds 4"),
        # Nothing tells which puzzle dots alone are of: no rule is named that one of them breaks.
        (".......\n" * 5, "grid: as sudoku: has 35 cells"),
        ("what is this?", "grid: as sudoku: "),
    ],
)
async def test_a_text_is_refused_in_the_words_first_of_the_family_that_it_looks_like(
    shared: Service, text: str, told: str
) -> None:
    assert (await shared.solve(text)).json()["detail"].startswith(told)


async def test_what_only_one_family_could_have_meant_is_refused_in_its_words_alone(
    shared: Service,
) -> None:
    problem = (await shared.solve("53..7...." * 8 + "5")).json()
    assert [error["detail"] for error in problem["errors"]] == [
        "as sudoku: has 73 cells; a sudoku has 16 (4x4) or 36 (6x6) or 81 (9x9)"
    ]
