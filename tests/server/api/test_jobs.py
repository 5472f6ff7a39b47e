import asyncio
import json
from typing import Any
from urllib.parse import urljoin

import pytest

from gram_server.api.schemas import JobDocument, JobPage
from gram_server.job import JobState, WorkerState
from tests.server.api.conftest import OpenService, Service, events_of

pytestmark = pytest.mark.anyio

EASY = ".234341221434321"
EMPTY = "." * 16
SOLVED = "1234341221434321"


async def submit(service: Service, content: Any, **kwargs: Any) -> dict[str, Any]:
    body = content if isinstance(content, str) else json.dumps(content)
    response = await service.client.post("/jobs", content=body, **kwargs)
    assert response.status_code == 202, response.text
    JobDocument.model_validate(response.json())
    location = urljoin(str(response.url), response.headers["Location"])
    assert location == f"http://test/jobs/{response.json()['id']}"
    return dict(response.json())


async def test_a_job_is_accepted_at_once_and_shows_its_result_later(service: Service) -> None:
    job = await submit(service, EASY, params={"seed": 5, "width": 4, "priority": "high"})
    assert (job["state"], job["result"], job["seed"]) == ("queued", None, 5)
    response = await service.client.get(f"/jobs/{job['id']}", params={"wait": 20})
    document = JobDocument.model_validate(response.json())
    assert (document.state, document.priority) == ("done", "high")
    assert document.result is not None
    assert document.result.solutions[0].answer == SOLVED
    assert service.worker.jobs[0].priority == 0


@pytest.mark.slow
async def test_a_wait_ends_with_the_job_as_it_stands(open_service: OpenService) -> None:
    async with open_service(has_worker=False) as service:
        await service.worker.report(WorkerState.READY)
        job = await submit(service, EASY)
        response = await service.client.get(f"/jobs/{job['id']}?wait=1")
        assert (response.status_code, response.json()["state"]) == (200, "queued")


async def test_a_batch_is_one_job_with_a_part_for_each_puzzle(service: Service) -> None:
    instances = [EASY, {"puzzle": "nqueens", "n": 8}, {"puzzle": "sudoku", "grid": EMPTY}]
    batch = await submit(service, {"instances": instances}, params={"width": 2, "seed": 9})
    assert (batch["batch"], batch["model"]) == ({"size": 3, "finished": 0}, None)
    response = await service.client.get(f"/jobs/{batch['id']}?wait=20")
    document = JobDocument.model_validate(response.json())
    assert (document.state, document.result) == ("done", None)
    assert [part.puzzle for part in document.parts] == ["sudoku", "nqueens", "sudoku"]
    assert [part.state for part in document.parts] == ["done"] * 3
    assert {part.seed for part in document.parts} == {9}
    assert document.parts[0].result is not None
    assert document.parts[0].result.solutions[0].answer == SOLVED
    part = await service.client.get(f"/jobs/{document.parts[1].id}")
    assert part.json()["id"] == document.parts[1].id


async def test_a_batch_of_a_thousand_is_accepted_and_one_more_is_not(
    open_service: OpenService,
) -> None:
    async with open_service(has_worker=False) as service:
        await service.worker.report(WorkerState.READY)
        batch = await submit(service, {"instances": [EASY] * 1000}, params={"width": 1})
        assert len(batch["parts"]) == 1000
        body = json.dumps({"instances": [EASY] * 1001})
        refused = await service.client.post("/jobs", content=body)
        assert (refused.status_code, refused.json()["code"]) == (400, "body_invalid")


async def test_a_bad_puzzle_in_a_batch_is_named_and_nothing_is_accepted(service: Service) -> None:
    body = {"instances": [EASY, "11" + "." * 14, {"puzzle": "nqueens", "n": 8}]}
    response = await service.client.post("/jobs", json=body)
    assert (response.status_code, response.json()["code"]) == (422, "puzzle_invalid")
    assert response.json()["errors"][0]["field"].startswith("instances[1].")
    assert (await service.store.stats()).reserved_trajectories == 0
    assert (await service.client.get("/jobs")).json()["jobs"] == []


@pytest.mark.parametrize(
    ("bad", "params", "code", "field"),
    [
        ({"puzzle": "nqueens", "n": 6}, {}, "model_unknown", "instances[1].puzzle"),
        (EASY, {"model": "nqueens-8"}, "model_unknown", "model"),
        ({"puzzle": "chess"}, {}, "unknown_puzzle", "instances[1].puzzle"),
        ({"puzzle": "maze"}, {"puzzle": "nqueens"}, "parameter_invalid", "instances[1].puzzle"),
        ({"grid": EASY}, {}, "puzzle_invalid", "instances[1].puzzle"),
        ({"vertices": 3}, {"puzzle": "graph-coloring"}, "puzzle_invalid", "instances[1].edges"),
        ("rubbish", {}, "puzzle_invalid", "instances[1].grid"),
        (7, {}, "puzzle_invalid", "instances[1]"),
    ],
)
async def test_every_refusal_of_a_batch_names_its_instance(
    service: Service, bad: Any, params: dict[str, str], code: str, field: str
) -> None:
    good: dict[str, object] = {"puzzle": "nqueens", "n": 8}
    if params.get("puzzle") == "graph-coloring":
        good = {"vertices": 8, "edges": []}
    body = {"instances": [good, bad, bad]}
    problem = (await service.client.post("/jobs", json=body, params=params)).json()
    assert (problem["code"], problem["errors"][0]["field"]) == (code, field)
    assert "instances[1]" in problem["detail"]
    alone = await service.client.post("/jobs", params=params, json=bad)
    assert "instances" not in alone.json()["detail"]


@pytest.mark.parametrize(
    "body", [{"instances": []}, {"instances": "x"}, {"instances": [EASY], "width": 4}]
)
async def test_a_malformed_batch_is_refused(service: Service, body: Any) -> None:
    response = await service.client.post("/jobs", json=body)
    assert (response.status_code, response.json()["code"]) == (400, "body_invalid")


async def test_a_batch_that_can_never_fit_is_no_matter_of_waiting(
    open_service: OpenService,
) -> None:
    async with open_service(max_trajectories=64) as service:
        body = {"instances": [EASY] * 5}
        response = await service.client.post("/jobs", json=body, params={"width": 16})
        assert (response.status_code, response.json()["code"]) == (422, "parameter_invalid")


async def test_one_key_is_one_job_however_often_it_comes(service: Service) -> None:
    headers = {"Idempotency-Key": "order-66"}
    first = await submit(service, EASY, headers=headers)
    posts = (service.client.post("/jobs", content=EASY, headers=headers) for _ in range(20))
    responses = await asyncio.gather(*posts)
    assert {response.status_code for response in responses} == {200}
    assert {response.json()["id"] for response in responses} == {first["id"]}
    other = await service.client.post("/jobs", content=EMPTY, headers=headers)
    assert (other.status_code, other.json()["code"]) == (409, "idempotency_conflict")
    wider = await service.client.post("/jobs?width=2", content=EASY, headers=headers)
    assert wider.status_code == 409


@pytest.mark.parametrize("key", ["", "two words", "x" * 256])
async def test_a_key_has_a_plain_form(service: Service, key: str) -> None:
    response = await service.client.post("/jobs", content=EASY, headers={"Idempotency-Key": key})
    assert (response.status_code, response.json()["code"]) == (422, "parameter_invalid")


async def test_events_can_be_taken_up_where_they_were_left(service: Service) -> None:
    job = await submit(service, EMPTY, params={"width": 3})
    await service.client.get(f"/jobs/{job['id']}?wait=20")
    path = f"/jobs/{job['id']}/events"
    whole = events_of((await service.client.get(path)).text)
    assert [kind for _, kind, _ in whole] == ["accepted", *["solution"] * 3, "done"]
    assert whole[-1][2]["solutions"] == [data for _, kind, data in whole if kind == "solution"]
    rest = await service.client.get(path, headers={"Last-Event-ID": "2"})
    assert events_of(rest.text) == whole[2:]
    nothing = await service.client.get(path, headers={"Last-Event-ID": "5"})
    assert (nothing.status_code, nothing.text) == (204, "")


async def test_the_events_of_an_open_job_follow_it_to_its_end(open_service: OpenService) -> None:
    async with open_service() as service:
        service.worker.is_held = True
        job = await submit(service, EASY)
        following = asyncio.create_task(service.client.get(f"/jobs/{job['id']}/events"))
        await asyncio.sleep(0.2)
        assert not following.done()
        await service.client.delete(f"/jobs/{job['id']}")
        response = await following
        found = events_of(response.text)
        assert [kind for _, kind, _ in found] == ["accepted", "solution", "error"]
        assert found[-1][2]["code"] == "job_failed"
        assert ": keep-alive" in response.text


@pytest.mark.parametrize("last", ["x", "-1", "1.5", "9" * 30])
async def test_a_last_event_is_a_number(service: Service, last: str) -> None:
    job = await submit(service, EASY)
    response = await service.client.get(
        f"/jobs/{job['id']}/events", headers={"Last-Event-ID": last}
    )
    assert (response.status_code, response.json()["code"]) == (422, "parameter_invalid")


async def test_cancelling_ends_a_job_and_its_work_and_changes_no_final_one(
    open_service: OpenService,
) -> None:
    async with open_service() as service:
        service.worker.is_held = True
        job = await submit(service, EASY)
        await asyncio.sleep(0.05)
        cancelled = await service.client.delete(f"/jobs/{job['id']}")
        assert (cancelled.status_code, cancelled.json()["state"]) == (200, "cancelled")
        again = await service.client.delete(f"/jobs/{job['id']}")
        assert (again.status_code, again.json()) == (200, cancelled.json())
        await asyncio.sleep(0.05)
        assert service.worker.cancelled == [job["id"]]


@pytest.mark.slow
async def test_a_job_past_its_deadline_shows_what_was_found(open_service: OpenService) -> None:
    async with open_service() as service:
        service.worker.is_held = True
        job = await submit(service, EASY, params={"deadline_ms": 500})
        response = await service.client.get(f"/jobs/{job['id']}?wait=20")
        document = JobDocument.model_validate(response.json())
        assert document.state == "expired"
        assert document.result is not None
        assert document.result.status == "partial"
        assert [solution.answer for solution in document.result.solutions] == [SOLVED]


async def test_the_list_is_turned_page_by_page(service: Service) -> None:
    ids = [(await submit(service, EASY))["id"] for _ in range(5)]
    await service.solve(EASY)
    found: list[str] = []
    cursor: str | None = None
    for _ in range(3):
        params: dict[str, str | int] = {"limit": 2}
        if cursor is not None:
            params["cursor"] = cursor
        page = JobPage.model_validate((await service.client.get("/jobs", params=params)).json())
        found += [job.id for job in page.jobs]
        cursor = page.cursor
    assert cursor is None
    assert sorted(found) == sorted(ids)


async def test_an_answer_to_solve_is_no_job(service: Service) -> None:
    answer = (await service.solve(EASY)).json()
    for path in (f"/jobs/{answer['id']}", "/jobs/nothing", "/jobs/nothing/events"):
        response = await service.client.get(path)
        assert (response.status_code, response.json()["code"]) == (404, "job_not_found")
    assert (await service.client.delete("/jobs/nothing")).status_code == 404


async def test_a_client_that_leaves_does_not_end_its_job(service: Service) -> None:
    service.worker.is_held = True
    job = await submit(service, EASY)
    waiting = asyncio.create_task(service.client.get(f"/jobs/{job['id']}?wait=30"))
    await asyncio.sleep(0.1)
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)
    assert (await service.store.get(job["id"])).state is JobState.RUNNING


async def test_every_job_taken_shows_in_the_metrics_once_by_how_it_ended(service: Service) -> None:
    batch = await submit(service, {"instances": [EASY, EASY, {"puzzle": "nqueens", "n": 8}]})
    single = await submit(service, EASY, params={"priority": "low"})
    for job in (batch, single):
        await service.client.get(f"/jobs/{job['id']}?wait=20")
    assert (await service.solve(EASY)).status_code == 200
    service.worker.is_held = True
    held = await submit(service, EASY)
    assert (await service.client.post("/jobs", content="no puzzle")).status_code == 422

    async def counted(name: str) -> dict[str, float]:
        samples = await service.metrics()
        return {key: value for key, value in samples.items() if key.startswith(name)}

    assert sum((await counted("gram_jobs_accepted_total")).values()) == 6
    assert sum((await counted("gram_jobs_ended_total")).values()) == 5
    await service.client.delete(f"/jobs/{held['id']}")
    labels = {
        'class="normal",model="sudoku-4x4",outcome="solved"': 3.0,
        'class="normal",model="nqueens-8",outcome="solved"': 1.0,
        'class="low",model="sudoku-4x4",outcome="solved"': 1.0,
        'class="normal",model="sudoku-4x4",outcome="cancelled"': 1.0,
    }
    ended = {f"gram_jobs_ended_total{{{key}}}": value for key, value in labels.items()}
    assert await counted("gram_jobs_ended_total") == ended
