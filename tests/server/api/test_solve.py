import json

import pytest

from gram_core.puzzles import family
from gram_server.answers import SolveResponse
from gram_server.job import Job, WorkerState
from tests.server.api.conftest import ExactWorker, OpenService, Service

pytestmark = pytest.mark.anyio

PUZZLE = "53..7....6..195....98....6.8...6...34..8.3..17...2...6.6....28....419..5....8..79"
SOLUTION = "534678912672195348198342567859761423426853791713924856961537284287419635345286179"
BODY = json.dumps({"puzzle": "sudoku", "grid": PUZZLE})


async def test_a_sudoku_comes_back_solved_in_the_documented_shape(service: Service) -> None:
    response = await service.solve(PUZZLE, params={"width": 64, "seed": 7})
    assert response.status_code == 200
    answer = SolveResponse.model_validate(response.json())
    assert [solution.answer for solution in answer.solutions] == [SOLUTION]
    assert (answer.puzzle, answer.status, answer.distinct) == ("sudoku", "solved", 1)
    assert (answer.width, answer.depth, answer.seed) == (64, 16, 7)
    assert answer.model == "sudoku-9x9@abcd1234"


@pytest.mark.parametrize(
    "content_type",
    [
        None,
        "",
        "text/plain",
        "text/plain; charset=utf-8",
        "application/x-www-form-urlencoded",
        "application/octet-stream",
    ],
)
@pytest.mark.parametrize("body", [PUZZLE, BODY, "\n  " + BODY])
async def test_text_and_json_are_told_apart_whatever_the_content_type(
    shared: Service, content_type: str | None, body: str
) -> None:
    headers = {} if content_type is None else {"Content-Type": content_type}
    response = await shared.solve(body, headers=headers)
    assert response.json()["solutions"][0]["answer"] == SOLUTION


@pytest.mark.parametrize("content_type", ["application/json", "application/vnd.gram+json"])
async def test_json_is_read_under_its_own_content_types(shared: Service, content_type: str) -> None:
    response = await shared.solve(BODY, headers={"Content-Type": content_type})
    assert response.status_code == 200


@pytest.mark.parametrize(
    ("text", "puzzle"),
    [
        (PUZZLE, "sudoku"),
        ("1...\n..2.\n.3..\n...4", "sudoku"),
        (f"[Puzzle]\n{PUZZLE}\n[State]\n{SOLUTION}\n", "sudoku"),
        ("Q.......\n" + "........\n" * 7, "nqueens"),
        (" S.\n..G", "maze"),
        ("c a triangle\np edge 8 3\ne 1 2\ne 2 3\ne 1 3\n", "graph-coloring"),
    ],
)
async def test_the_family_of_a_text_is_found(shared: Service, text: str, puzzle: str) -> None:
    response = await shared.solve(text, headers={"Content-Type": "text/plain"})
    assert (response.json()["puzzle"], response.json()["status"]) == (puzzle, "solved")


async def test_the_family_can_be_named_beside_the_body(service: Service) -> None:
    grid = json.dumps({"grid": PUZZLE})
    assert (await service.solve(grid, params={"puzzle": "sudoku"})).status_code == 200
    assert (await service.solve(PUZZLE, params={"puzzle": "sudoku"})).status_code == 200
    assert (await service.solve(PUZZLE, params={"puzzle": "nqueens"})).status_code == 422


async def test_a_puzzle_may_be_named_by_its_size(service: Service) -> None:
    named = json.dumps({"puzzle": "sudoku-9x9", "grid": PUZZLE})
    for params, text in (
        ({}, named),
        ({"puzzle": "sudoku"}, named),
        ({}, named.replace("sudoku", "Sudoku")),
        ({}, named.replace("sudoku-9x9", "SU-doku")),
    ):
        answer = (await service.solve(text, params=params)).json()
        assert (answer["puzzle"], answer["solutions"][0]["answer"]) == ("sudoku", SOLUTION)
    other = (await service.solve(named.replace("9x9", "4x4"))).json()
    assert other["detail"] == "puzzle: is sudoku-4x4, but the puzzle is sudoku-9x9"
    unknown = await service.solve(named.replace("9x9", "7x7"))
    assert unknown.json()["code"] == "unknown_puzzle"


async def test_the_rows_of_a_board_alone_are_read_where_one_family_has_such_boards(
    service: Service,
) -> None:
    cells = [list(PUZZLE[start : start + 9]) for start in range(0, 81, 9)]
    numbers = [[0 if cell == "." else int(cell) for cell in row] for row in cells]
    queens = ["...Q....", *["........"] * 7]
    maze = [["S", "."], ["#", "G"]]
    params = {"fallback": "exact"}
    for rows, puzzle in (
        (cells, "sudoku"),
        (numbers, "sudoku"),
        (queens, "nqueens"),
        (maze, "maze"),
    ):
        answer = (await service.solve(json.dumps(rows), params=params)).json()
        assert (answer["puzzle"], answer["status"]) == (puzzle, "solved")
    accepted = await service.client.post("/jobs", json={"instances": [cells, queens]})
    assert accepted.status_code == 202
    board = json.dumps([[0, 1, 0, 0], *[[0] * 4] * 3])
    refused = (await service.solve(board)).json()
    assert "can be read as sudoku and as nqueens" in refused["detail"]
    named = await service.solve(board, params={**params, "puzzle": "nqueens"})
    assert named.json()["puzzle"] == "nqueens"


async def test_a_board_of_zeros_and_ones_is_taken_for_nothing_that_it_may_not_be(
    service: Service,
) -> None:
    board = "0100\n0000\n0000\n0000"
    refused = (await service.solve(board)).json()
    assert "can be read as sudoku and as nqueens" in refused["detail"]
    for puzzle in ("sudoku", "nqueens"):
        params = {"puzzle": puzzle, "fallback": "exact"}
        assert (await service.solve(board, params=params)).json()["puzzle"] == puzzle
    # One line is no board of queens, and without a given it does not matter.
    for text in (board.replace("\n", ""), board.replace("1", "0")):
        assert (await service.solve(text)).json()["puzzle"] == "sudoku"


async def test_the_colors_of_a_graph_can_be_named_beside_it(service: Service) -> None:
    clique = "p edge 8 6\ne 1 2\ne 1 3\ne 1 4\ne 2 3\ne 2 4\ne 3 4\n"
    body = json.dumps({"puzzle": "graph-coloring", "dimacs": clique})
    for content in (clique, body, body[:-1] + ', "colors": 4}'):
        answer = await service.solve(content, params={"colors": 4, "fallback": "exact"})
        assert (answer.status_code, answer.json()["status"]) == (200, "solved")
    assert (await service.solve(clique)).json()["status"] == "unsolved"
    other = await service.solve(body[:-1] + ', "colors": 3}', params={"colors": 4})
    assert (other.json()["code"], other.json()["errors"][0]["field"]) == (
        "parameter_invalid",
        "colors",
    )
    assert (await service.solve(PUZZLE, params={"colors": 4})).status_code == 422


async def test_a_form_body_is_not_decoded_as_a_form(service: Service) -> None:
    """A drawn board has characters that a form would turn into others."""
    rows = [PUZZLE[start : start + 9] for start in range(0, 81, 9)]
    ruled = [f"{row[:3]}|{row[3:6]}|{row[6:]}" for row in rows]
    drawn = "\n---+---+---\n".join("\n".join(ruled[at : at + 3]) for at in (0, 3, 6))
    response = await service.solve(
        drawn, headers={"Content-Type": "application/x-www-form-urlencoded"}
    )
    assert response.status_code == 200, response.text


async def test_every_parameter_reaches_the_job(service: Service) -> None:
    parameters = {
        "width": "3",
        "depth": "5",
        "max_solutions": "2",
        "deadline_ms": "60000",
        "seed": "9223372036854775807",
        "augment": "false",
        "halt": "never",
        "fallback": "exact",
        "count_solutions": "exact",
        "model": "sudoku-9x9@abcd1234",
    }
    assert (await service.solve(PUZZLE, params=parameters)).status_code == 200
    [job] = service.worker.jobs
    options = job.options
    assert (options.width, options.depth, options.max_solutions) == (3, 5, 2)
    assert (options.deadline_ms, options.seed) == (60_000, 2**63 - 1)
    assert (options.augment, options.halt) == (False, "never")
    assert (options.fallback, options.count, options.model) == ("exact", "exact", "sudoku-9x9")
    assert job.deadline_s == pytest.approx(job.submitted_s + 60.0)


async def test_defaults_are_the_documented_ones(service: Service) -> None:
    await service.solve(PUZZLE)
    options = service.worker.jobs[0].options
    assert (options.width, options.depth, options.max_solutions) == (16, 16, None)
    assert (options.deadline_ms, options.augment, options.halt) == (None, True, "verified")
    assert (options.fallback, options.count) == ("none", "none")


async def test_a_seed_is_drawn_and_returned_where_none_is_given(service: Service) -> None:
    seeds = {(await service.solve(PUZZLE)).json()["seed"] for _ in range(5)}
    assert len(seeds) == 5
    assert all(0 <= seed < 2**53 for seed in seeds)


async def test_the_job_carries_the_canonical_body(service: Service) -> None:
    await service.solve(PUZZLE)
    [job] = service.worker.jobs
    rules = family("sudoku")
    assert rules.dump(rules.parse(job.body)) == job.body
    assert (job.puzzle, job.task) == ("sudoku", "sudoku-9x9")


async def test_server_timing_names_queue_engine_and_total(service: Service) -> None:
    timing = (await service.solve(PUZZLE)).headers["Server-Timing"]
    parts = dict(part.split(";dur=") for part in timing.split(", "))
    assert set(parts) == {"queue", "engine", "total"}
    assert (float(parts["queue"]), float(parts["engine"])) == (0.1, 1.5)


async def test_a_large_body_is_read_off_the_event_loop(service: Service) -> None:
    response = await service.solve(" " * 100_000 + BODY)
    assert response.status_code == 200


@pytest.mark.slow
async def test_a_job_cut_short_answers_with_what_was_found(service: Service) -> None:
    service.worker.is_held = True
    response = await service.solve(PUZZLE, params={"deadline_ms": 500, "seed": 3})
    answer = SolveResponse.model_validate(response.json())
    assert response.status_code == 200
    assert (answer.status, answer.seed, answer.depth) == ("partial", 3, 16)
    assert [solution.answer for solution in answer.solutions] == [SOLUTION]
    assert answer.usage.engine_ms > 0


async def test_a_queued_job_answers_at_its_deadline(open_service: OpenService) -> None:
    async with open_service() as service:
        service.worker.is_held = True
        await service.store.close()
    async with open_service(has_worker=False) as service:
        await service.worker.report(WorkerState.READY)
        response = await service.solve(PUZZLE, params={"deadline_ms": 20})
        answer = SolveResponse.model_validate(response.json())
        assert (answer.status, answer.solutions) == ("partial", [])
        assert answer.usage.queue_ms >= 15


@pytest.mark.parametrize(
    ("code", "status", "told", "detail"),
    [
        ("bad_rows", 500, "job_failed", "bad_rows: nothing finite"),
        # What only the worker can know, as which tasks its model has learned.
        ("unknown_task", 422, "model_unknown", "nothing finite"),
        ("model_unknown", 422, "model_unknown", "nothing finite"),
    ],
)
async def test_a_job_that_its_worker_fails_is_a_problem_that_says_why(
    code: str,
    status: int,
    told: str,
    detail: str,
    service: Service,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def fail(worker: ExactWorker, job: Job) -> None:
        await worker.side.fail(job.id, code=code, detail="nothing finite")

    monkeypatch.setattr(ExactWorker, "_solve", fail)
    response = await service.solve(PUZZLE)
    assert (response.status_code, response.json()["code"]) == (status, told)
    assert response.json()["detail"] == detail


@pytest.mark.parametrize(
    ("word", "kept"),
    [("verified", "verified"), ("halt_head", "act"), ("settled", "settled"), ("never", "never")],
)
async def test_a_rule_of_halting_reaches_the_job(service: Service, word: str, kept: str) -> None:
    await service.solve(PUZZLE, params={"halt": word})
    assert [job.options.halt for job in service.worker.jobs] == [kept]
