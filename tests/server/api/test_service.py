"""Life of the service as its users see it: full, starting, draining, left alone, measured."""

import asyncio
import re
from typing import Any

import pytest

from gram_core.puzzles import families
from gram_server.job import WorkerState
from gram_server.jobs.worker_rpc import MemoryWorker
from gram_server.supervisor import Supervisor
from tests.server.api.conftest import OpenService, Service, http_scope

pytestmark = pytest.mark.anyio

PUZZLE = "53..7....6..195....98....6.8...6...34..8.3..17...2...6.6....28....419..5....8..79"


async def start(service: Service, **params: Any) -> "asyncio.Task[Any]":
    """Post a puzzle and return once a worker holds it."""
    known = len(service.worker.jobs)
    solving = asyncio.create_task(service.solve(PUZZLE, params=params))
    await service.until_taken(known + 1)
    return solving


async def leave(*solving: "asyncio.Task[Any]") -> None:
    for task in solving:
        task.cancel()
    await asyncio.gather(*solving, return_exceptions=True)


async def test_a_full_queue_is_a_429_that_says_when_to_come_back(open_service: OpenService) -> None:
    async with open_service(max_trajectories=64) as service:
        service.worker.is_held = True
        filling = await start(service, width=60)
        response = await service.solve(PUZZLE, params={"width": 5})
        problem = response.json()
        assert (response.status_code, problem["code"]) == (429, "queue_full")
        assert problem["retryable"] is True
        assert int(response.headers["Retry-After"]) == problem["retry_after_s"] >= 1
        await leave(filling)
        assert (await service.metrics())['gram_rejected_total{reason="queue_full"}'] == 1.0


async def test_before_the_first_worker_is_ready_solve_is_a_503(open_service: OpenService) -> None:
    async with open_service(has_worker=False) as service:
        response = await service.solve(PUZZLE)
        assert (response.status_code, response.json()["code"]) == (503, "not_ready")
        assert response.json()["retryable"] is True
        assert response.headers["Retry-After"] == "1"


async def test_probes_tell_how_the_start_goes(open_service: OpenService) -> None:
    async with open_service(has_worker=False) as service:
        assert (await service.client.get("/livez")).status_code == 200
        for path in ("/readyz", "/startupz"):
            assert (await service.client.get(path)).status_code == 503
        await service.worker.report(WorkerState.STARTING)
        starting = await service.client.get("/readyz")
        assert starting.json()["detail"] == "the worker is starting"
        await service.worker.report(WorkerState.READY)
        for path in ("/startupz", "/readyz"):
            assert (await service.client.get(path)).status_code == 200
        await service.worker.report(WorkerState.DRAINING)
        assert (await service.client.get("/readyz")).status_code == 503
        assert (await service.client.get("/startupz")).status_code == 200


async def test_a_job_sent_while_the_worker_restarts_waits_for_it(service: Service) -> None:
    await service.client.get("/readyz")
    await service.worker.side.close()
    assert (await service.client.get("/readyz")).json()["detail"] == "no worker is connected"
    solving = asyncio.create_task(service.solve(PUZZLE))
    await asyncio.sleep(0.01)
    again = type(service.worker)(MemoryWorker(service.store, "again"))
    running = asyncio.create_task(again.run())
    assert (await solving).json()["status"] == "solved"
    await leave(running)


async def test_a_draining_server_is_not_ready_but_finishes_what_it_has(service: Service) -> None:
    service.worker.is_held = True
    solving = await start(service)
    lifecycle = service.app.state.app_state.lifecycle
    lifecycle.is_draining = True
    assert (await service.client.get("/readyz")).json()["detail"] == "draining"
    assert (await service.client.get("/livez")).status_code == 200
    lifecycle.is_closed = True
    refused = await service.solve(PUZZLE)
    assert (refused.status_code, refused.json()["code"]) == (503, "not_ready")
    service.worker.is_held = False
    await service.worker._solve(service.worker.jobs[0])
    assert (await solving).json()["status"] == "solved"


async def test_a_hung_engine_is_dead_and_not_ready(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    supervisor = Supervisor([], read_beat=lambda: None)
    monkeypatch.setattr(supervisor, "why_hung", lambda: "the worker made no step for 31 s")
    object.__setattr__(service.app.state.app_state, "supervisor", supervisor)
    for path in ("/livez", "/readyz"):
        response = await service.client.get(path)
        assert response.status_code == 503
        assert "no step for 31 s" in response.json()["detail"]


async def test_a_request_that_goes_away_gives_its_job_up(service: Service) -> None:
    service.worker.is_held = True
    solving = await start(service, width=8)
    [job] = service.worker.jobs
    await leave(solving)
    await asyncio.sleep(0.01)
    assert (await service.store.get(job.id)).state == "cancelled"
    assert service.worker.cancelled == [job.id]
    samples = await service.metrics()
    assert samples["gram_inflight_requests"] == 0.0
    assert samples["gram_reserved_trajectories"] == 0.0


@pytest.mark.parametrize("accept", ["application/json", "text/event-stream"])
async def test_a_disconnect_message_gives_the_job_up(service: Service, accept: str) -> None:
    service.worker.is_held = True
    incoming: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
    incoming.put_nowait({"type": "http.request", "body": PUZZLE.encode(), "more_body": False})

    async def send(message: Any) -> None:
        return None

    headers = [(b"host", b"test"), (b"accept", accept.encode())]
    scope = http_scope("POST", "/solve", query=b"width=8", headers=headers)
    serving = asyncio.create_task(service.app(scope, incoming.get, send))
    await service.until_taken()
    assert not serving.done()
    incoming.put_nowait({"type": "http.disconnect"})
    async with asyncio.timeout(5.0):
        await serving
    assert (await service.store.get(service.worker.jobs[0].id)).state == "cancelled"
    name = 'gram_requests_total{class="normal",model="sudoku-9x9",outcome="cancelled"}'
    assert (await service.metrics())[name] == 1.0


@pytest.mark.slow
async def test_every_request_ends_in_exactly_one_outcome(service: Service) -> None:
    await service.solve(PUZZLE)
    await service.solve("123456789" + "1" + "." * 71)
    await service.solve("12..3..." + "." * 8)
    await service.solve("12..34........4." + "")
    await service.solve(PUZZLE, params={"width": 0})
    service.worker.is_held = True
    await service.solve(PUZZLE, params={"deadline_ms": 5})
    solving = await start(service)
    await leave(solving)
    failing = await start(service)
    await service.worker.side.fail(service.worker.jobs[-1].id, code="x", detail="y")
    await failing
    samples = await service.metrics()
    requests = {
        name.split('outcome="')[1].rstrip('"}'): value
        for name, value in samples.items()
        if (name.startswith("gram_requests_total") and "sudoku-9x9" in name) or 'model=""' in name
    }
    assert requests["solved"] == 1.0
    assert requests["partial"] == 1.0
    assert requests["cancelled"] == 1.0
    assert requests["failed"] == 1.0
    assert requests["invalid"] >= 2.0
    total = sum(v for name, v in samples.items() if name.startswith("gram_requests_total"))
    assert total == 8.0
    accepted = len(service.worker.jobs)
    durations = sum(
        value
        for name, value in samples.items()
        if name.startswith("gram_request_duration_seconds_count")
    )
    assert durations == accepted


async def test_gauges_show_the_queue_as_it_is(open_service: OpenService) -> None:
    async with open_service(has_worker=False) as service:
        await service.worker.report(WorkerState.READY)
        solving = [
            asyncio.create_task(service.solve(PUZZLE, params={"width": width})) for width in (3, 4)
        ]
        await asyncio.sleep(0.05)
        samples = await service.metrics()
        assert samples['gram_queue_jobs{class="normal"}'] == 2.0
        assert samples['gram_queue_trajectories{class="normal"}'] == 7.0
        assert samples['gram_queue_oldest_age_seconds{class="normal"}'] > 0.0
        assert samples["gram_inflight_requests"] == 2.0
        assert samples["gram_ready"] == 1.0
        await leave(*solving)
        samples = await service.metrics()
        assert samples['gram_queue_jobs{class="normal"}'] == 0.0
        assert samples["gram_inflight_requests"] == 0.0


async def test_metrics_carry_the_workers_own_text_and_what_runs_here(service: Service) -> None:
    await service.solve(PUZZLE)
    response = await service.client.get("/metrics")
    assert response.headers["Content-Type"].startswith("text/plain; version=0.0.4")
    samples = await service.metrics()
    assert samples["gram_supervision_steps_total"] == 7.0
    model = 'fingerprint="abcd1234",model="sudoku-9x9",task="sudoku-9x9"'
    assert samples[f"gram_model_info{{{model}}}"] == 1.0
    assert any(name.startswith("gram_build_info{") for name in samples)
    for histogram in ("queue_wait", "engine_duration", "time_to_first_solution"):
        assert samples[f'gram_{histogram}_seconds_count{{model="sudoku-9x9"}}'] == 1.0


async def test_a_request_id_is_taken_over_where_it_is_plain(service: Service) -> None:
    taken = await service.client.get("/puzzles", headers={"X-Request-ID": "abc-1.2:3"})
    assert taken.headers["X-Request-ID"] == "abc-1.2:3"
    for hostile in ("", "a b", "x" * 129, "a\tb", "<script>"):
        drawn = await service.client.get("/puzzles", headers={"X-Request-ID": hostile})
        assert drawn.headers["X-Request-ID"] != hostile
        assert len(drawn.headers["X-Request-ID"]) == 32


async def test_families_and_models_are_listed(service: Service) -> None:
    puzzles = (await service.client.get("/puzzles")).json()["puzzles"]
    names = [puzzle["name"] for puzzle in puzzles]
    assert names == list(families())
    assert "sudoku-9x9" in puzzles[0]["tasks"]
    drawn = {
        puzzle["name"]: puzzle["walls"]
        for puzzle in puzzles
        if "." in puzzle["example"].get("grid", [])
    }
    assert drawn["light-up"] == "#01234"
    assert {"futoshiki", "jigsaw"} < set(drawn)
    models = (await service.client.get("/models")).json()["models"]
    assert models[0] == {
        "id": "sudoku-9x9@abcd1234",
        "name": "sudoku-9x9",
        "task": "sudoku-9x9",
        "fingerprint": "abcd1234",
        "depth": 16,
        "num_parameters": 7,
        "purpose": "solve",
        "max_givens": None,
    }


async def test_every_kind_of_problem_is_described_at_its_type(service: Service) -> None:
    problem = (await service.solve("")).json()
    described = (await service.client.get(problem["type"])).json()
    assert described == {
        "type": "/problems/body_invalid",
        "code": "body_invalid",
        "title": problem["title"],
        "status": 400,
        "retryable": False,
    }
    assert (await service.client.get("/problems/nothing")).json()["code"] == "not_found"


async def test_an_unforeseen_error_is_a_problem_without_its_innards(
    service: Service, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def broken(job: Any) -> None:
        raise RuntimeError("secret path /x/y")

    monkeypatch.setattr(service.store, "submit", broken)
    response = await service.solve(PUZZLE, headers={"X-Request-ID": "find-me"})
    assert (response.status_code, response.json()["code"]) == (500, "internal")
    assert "secret" not in response.text
    assert response.headers["X-Request-ID"] == "find-me"
    assert "find-me" in caplog.text


async def test_no_series_is_told_twice_and_no_label_has_values_without_end(
    service: Service,
) -> None:
    for number in range(20):
        await service.solve("." * 16, params={"width": 1, "seed": number})
        await service.solve("." * 16, params={f"unknown{number}": 1})
        await service.solve("." * 16, params={"model": f"unknown{number}"})
        await service.client.get(f"/nothing/{number}")
    text = (await service.client.get("/metrics")).text
    series = [line.rsplit(" ", 1)[0] for line in text.splitlines() if not line.startswith("#")]
    assert len(set(series)) == len(series)
    values: dict[str, set[str]] = {}
    for name, value in re.findall(r'(\w+)="([^"]*)"', text):
        values.setdefault(name, set()).add(value)
    values.pop("le")
    assert max(map(len, values.values())) <= 12, values
