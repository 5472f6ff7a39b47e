"""Exact searches as the interface lets them in: where they can be done, and for whom."""

from dataclasses import replace
from typing import Any

import pytest

from gram_server.api.schemas import deadline_result
from gram_server.api.state import client_of
from gram_server.job import JobRecord, JobState, ModelReport
from tests.jobs import new_job
from tests.server.api.conftest import Service

pytestmark = pytest.mark.anyio

SUDOKU = {"puzzle": "sudoku", "grid": "1..............."}
ARC: dict[str, Any] = {
    "puzzle": "arc",
    "train": [{"input": [[1]], "output": [[2]]}],
    "test": [{"input": [[1]]}],
}
MAZE = {"puzzle": "maze", "grid": ["S..", "..G"]}


async def _lose_solver(service: Service) -> None:
    await service.client.get("/readyz")
    report = service.worker.side.last_report
    assert report is not None
    await service.worker.side.report(replace(report, has_solver=False))
    await service.client.get("/readyz")


@pytest.mark.parametrize("name", ["fallback", "count_solutions"])
@pytest.mark.parametrize("path", ["/solve", "/jobs"])
async def test_a_search_that_no_worker_can_do_is_refused(
    service: Service, path: str, name: str
) -> None:
    await _lose_solver(service)
    for body in (SUDOKU, {"instances": [MAZE, SUDOKU]})[: 1 if path == "/solve" else 2]:
        response = await service.client.post(path, params={name: "exact"}, json=body)
        problem = response.json()
        assert (response.status_code, problem["code"]) == (422, "parameter_invalid")
        assert problem["errors"][0]["field"] == name
        assert "gram-server[exact]" in problem["detail"]
        assert (await service.client.post(path, json=body)).status_code < 300


async def test_mazes_are_searched_without_a_solver(service: Service) -> None:
    await _lose_solver(service)
    response = await service.client.post("/solve", params={"count_solutions": "exact"}, json=MAZE)
    assert response.status_code == 200


async def test_a_job_carries_the_address_of_its_client(service: Service) -> None:
    await service.client.post("/solve", json=SUDOKU)
    [solved] = service.worker.jobs
    batch = (await service.client.post("/jobs", json={"instances": [SUDOKU, MAZE]})).json()
    parts = (await service.store.get(batch["id"])).parts
    assert [job.client for job in (solved, *(part.job for part in parts))] == ["127.0.0.1"] * 3


@pytest.mark.parametrize(
    ("options", "num_solutions", "told"),
    [
        ({}, 0, None),
        ({"count_solutions": "exact"}, 1, "deadline"),
        ({"fallback": "exact"}, 0, "deadline"),
        ({"fallback": "exact"}, 1, None),
    ],
)
async def test_an_answer_of_the_deadline_alone_says_that_no_search_was_done(
    service: Service, options: dict[str, str], num_solutions: int, told: str | None
) -> None:
    await service.client.post("/solve", json=SUDOKU, params=options)
    [job] = service.worker.jobs
    solutions = ({"answer": "1234341221434321"},) * num_solutions
    record = JobRecord(job=job, state=JobState.EXPIRED, solutions=solutions)
    model = ModelReport(name="m", task=job.task, fingerprint="f", depth=16, num_parameters=7)
    assert deadline_result(record, model, now_s=job.submitted_s)["exact_search"] == told


@pytest.mark.parametrize(
    ("state", "address", "client"),
    [
        ({}, ("10.1.2.3", 77), "10.1.2.3"),
        ({"key": "alice"}, ("10.1.2.3", 77), "alice"),
        ({}, None, ""),
    ],
)
async def test_a_client_is_the_holder_of_a_key_or_an_address(
    state: dict[str, str], address: Any, client: str
) -> None:
    class Key:
        name = state.get("key")

    scope = {"type": "http", "client": address, "state": {"key": Key()} if state else {}}
    assert client_of(scope) == client


QUEENS = {"puzzle": "nqueens", "n": 6}
GRAPH = {"puzzle": "graph-coloring", "vertices": 5, "edges": [[0, 1]]}


async def test_a_size_without_a_model_goes_to_exact_search_where_that_is_asked_for(
    service: Service,
) -> None:
    refused = await service.client.post("/solve", json=QUEENS)
    assert (refused.status_code, refused.json()["code"]) == (422, "model_unknown")
    assert "with fallback=exact the puzzle goes to exact search" in refused.json()["detail"]
    params: dict[str, str | int] = {"fallback": "exact", "seed": 3}
    answer = await service.client.post("/solve", params=params, json=QUEENS)
    assert (answer.status_code, answer.json()["status"]) == (200, "solved")
    batch = {"instances": [QUEENS, SUDOKU]}
    accepted = (await service.client.post("/jobs", params=params, json=batch)).json()
    assert [part["model"] for part in accepted["parts"]] == ["exact", "sudoku-4x4"]
    await service.client.get(f"/jobs/{accepted['id']}?wait=20")
    exact = [job for job in service.worker.jobs if job.model == "exact"]
    assert [(job.task, job.route, job.options.depth) for job in exact] == [
        ("nqueens-6", "exact", None)
    ] * 2


async def test_exact_search_alone_is_asked_for_by_its_name_beside_a_model(
    service: Service,
) -> None:
    refused = await service.client.post("/solve", params={"model": "exact"}, json=SUDOKU)
    assert refused.json()["code"] == "model_unknown"
    params = {"model": "exact", "fallback": "exact"}
    assert (await service.client.post("/solve", params=params, json=SUDOKU)).status_code == 200
    assert [job.model for job in service.worker.jobs] == ["exact"]


async def test_without_a_solver_a_size_without_a_model_is_refused(service: Service) -> None:
    await _lose_solver(service)
    response = await service.client.post("/solve", params={"fallback": "exact"}, json=QUEENS)
    assert (response.json()["code"], response.json()["errors"][0]["field"]) == (
        "parameter_invalid",
        "fallback",
    )


@pytest.mark.parametrize("params", [{}, {"model": "graph-coloring-8"}, {"fallback": "exact"}])
async def test_a_smaller_puzzle_goes_to_the_model_that_takes_it_padded(
    service: Service, params: dict[str, str]
) -> None:
    response = await service.client.post("/solve", params=params, json=GRAPH)
    assert response.status_code == 200
    [job] = service.worker.jobs
    assert (job.model, job.task) == ("graph-coloring-8", "graph-coloring-5")
    record = JobRecord(job=job, state=JobState.EXPIRED)
    model = ModelReport(
        name="m", task="graph-coloring-8", fingerprint="f", depth=16, num_parameters=7
    )
    assert deadline_result(record, model, now_s=1.0)["padded_to"] == "graph-coloring-8"


@pytest.mark.parametrize(
    ("name", "word"), [("fallback", "exact"), ("count_solutions", "exact"), ("halt", "never")]
)
async def test_what_needs_rules_is_refused_where_there_are_none(
    service: Service, name: str, word: str
) -> None:
    for path in ("/solve", "/jobs"):
        response = await service.client.post(path, params={name: word}, json=ARC)
        problem = response.json()
        assert (response.status_code, problem["code"]) == (422, "parameter_invalid")
        assert problem["errors"][0]["field"] == name
        assert "arc has none, and answers with candidates" in problem["detail"]


def test_the_deadline_alone_leaves_no_verified_answer() -> None:
    job = replace(new_job(), puzzle="arc", task="arc-2x2", body=ARC)
    model = ModelReport(name="m", task=job.task, fingerprint="f", depth=16, num_parameters=7)
    record = JobRecord(job=job, state=JobState.EXPIRED)
    result = deadline_result(record, model, now_s=job.submitted_s)
    assert (result["verified"], result["candidates"]) == (False, [])
