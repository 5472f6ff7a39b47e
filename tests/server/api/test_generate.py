import asyncio
from typing import Any

import pytest

from gram_server.answers import GenerateResponse
from gram_server.job import WorkerState
from gram_server.jobs.worker_rpc import MemoryWorker
from tests.server.api.conftest import OpenService, Service, events_of

pytestmark = pytest.mark.anyio

SAMPLED = "gram_sampled_trajectories_total"


async def generate(service: Service, query: str = "", **kwargs: Any) -> Any:
    return await service.client.post(f"/generate?{query}", **kwargs)


async def test_boards_are_returned_as_the_worker_found_them(service: Service) -> None:
    response = await generate(service, "puzzle=sudoku&count=3&seed=5")
    assert response.status_code == 200
    answer = GenerateResponse.model_validate(response.json())
    assert (answer.status, len(answer.boards), answer.seed) == ("complete", 3, 5)
    assert answer.model == "sudoku-4x4-generate@dcba4321"
    assert "total;dur=" in response.headers["Server-Timing"]


async def test_the_job_is_an_empty_board_with_a_bound_on_its_trajectories(service: Service) -> None:
    await generate(service, "count=20&distinct=false&reduce_clues=7")
    other = "count=2&max_trajectories=5&deadline_ms=900&halt=halt_head&augment=true"
    await generate(service, other)
    first, second = service.worker.jobs
    assert first.body == {"puzzle": "sudoku", "grid": "." * 16}
    assert (first.options.width, first.options.max_solutions) == (40, 20)
    assert first.options.depth == 16
    assert not first.options.augment
    assert first.sampling is not None
    assert (first.sampling.is_distinct, first.sampling.num_clues) == (False, 7)
    assert (second.options.width, second.options.halt, second.options.augment) == (5, "act", True)
    assert second.deadline_s == pytest.approx(second.submitted_s + 0.9)


async def test_few_boards_may_take_a_handful_of_trajectories(service: Service) -> None:
    await generate(service)
    assert service.worker.jobs[0].options.width == 16


@pytest.mark.parametrize(
    ("query", "code", "field"),
    [
        ("count=0", "parameter_invalid", "count"),
        ("count=65", "parameter_invalid", "count"),
        ("count=many", "parameter_invalid", "count"),
        ("puzzle=chess", "parameter_invalid", "puzzle"),
        ("puzzle=graph-coloring", "parameter_invalid", "puzzle"),
        ("reduce_clues=some", "parameter_invalid", "reduce_clues"),
        ("reduce_clues=0", "parameter_invalid", "reduce_clues"),
        ("halt=never", "parameter_invalid", "halt"),
        ("width=3", "parameter_invalid", "width"),
        ("count=9&max_trajectories=8", "parameter_invalid", "max_trajectories"),
        ("max_trajectories=4097", "parameter_invalid", "max_trajectories"),
        ("size=9", "model_unknown", "puzzle"),
        ("size=9&model=sudoku-4x4-generate", "model_unknown", "model"),
        ("model=nqueens-8", "model_unknown", "model"),
        ("model=none", "model_unknown", "model"),
    ],
)
async def test_what_cannot_be_asked_for_is_refused_by_name(
    shared: Service, query: str, code: str, field: str
) -> None:
    response = await generate(shared, query)
    problem = response.json()
    assert (response.status_code, problem["code"]) == (422, code)
    assert [issue["field"] for issue in problem["errors"]] == [field]
    assert shared.worker.jobs == []


async def test_too_many_boards_to_thin_are_refused(open_service: OpenService) -> None:
    async with open_service(max_width=1024) as service:
        problem = (await generate(service, "count=65&reduce_clues=unique")).json()
        assert "1 to 64" in problem["detail"]
        assert (await generate(service, "count=65")).status_code == 200


async def test_a_body_is_refused(service: Service) -> None:
    response = await generate(service, content="53..7....")
    assert (response.status_code, response.json()["code"]) == (400, "body_invalid")


async def test_a_model_that_solves_makes_up_boards_only_where_it_is_named(service: Service) -> None:
    await generate(service, "size=4")
    await generate(service, "size=4&model=sudoku-4x4")
    await service.solve("." * 16)
    await service.solve("." * 16, params={"model": "sudoku-4x4-generate"})
    models = [job.model for job in service.worker.jobs]
    assert models == ["sudoku-4x4-generate", "sudoku-4x4", "sudoku-4x4", "sudoku-4x4-generate"]


async def test_trajectories_count_against_the_bound_of_the_queue(open_service: OpenService) -> None:
    async with open_service(max_trajectories=64, has_worker=False) as service:
        worker = MemoryWorker(service.store, "idle")
        service.worker.side = worker
        await service.worker.report(WorkerState.READY)
        waiting = asyncio.create_task(generate(service, "max_trajectories=50"))
        await asyncio.sleep(0.05)
        refused = await generate(service, "max_trajectories=15")
        assert (refused.status_code, refused.json()["code"]) == (429, "queue_full")
        assert int(refused.headers["Retry-After"]) >= 1
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)


async def test_boards_are_streamed_in_the_order_of_the_answer(service: Service) -> None:
    headers = {"Accept": "text/event-stream"}
    events = events_of((await generate(service, "count=3&seed=5", headers=headers)).text)
    assert [kind for _, kind, _ in events] == ["accepted", *["solution"] * 3, "done"]
    assert [number for number, _, _ in events] == [1, 2, 3, 4, 5]
    told = [data for _, _, data in events]
    whole = (await generate(service, "count=3&seed=5")).json()
    assert told[1:-1] == whole["boards"] == told[-1]["boards"]


@pytest.mark.slow
async def test_a_deadline_without_a_result_tells_the_boards_known(service: Service) -> None:
    service.worker.is_held = True
    answer = (await generate(service, "count=2&deadline_ms=500")).json()
    GenerateResponse.model_validate(answer)
    assert (answer["status"], len(answer["boards"]), answer["validity"]) == ("partial", 2, None)


async def test_validity_is_measured_by_puzzle(service: Service) -> None:
    await generate(service, "count=3")
    await generate(service, "count=3")
    samples = await service.metrics()
    assert samples[f'{SAMPLED}{{puzzle="sudoku",result="valid"}}'] == 6
    assert samples[f'{SAMPLED}{{puzzle="sudoku",result="invalid"}}'] == 4
    assert samples['gram_boards_total{puzzle="sudoku"}'] == 6
    label = '{class="normal",model="sudoku-4x4-generate",outcome="solved"}'
    assert samples[f"gram_requests_total{label}"] == 2
