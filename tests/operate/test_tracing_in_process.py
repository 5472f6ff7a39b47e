"""API, store, worker and engine in one process, with the spans in a list."""

import asyncio
import secrets
import threading
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import httpx
import pytest
from opentelemetry import trace as otel
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider, sampling
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from prometheus_client import CollectorRegistry

from gram_server.app import create_app
from gram_server.engine import EngineEvent
from gram_server.errors import QueueFull
from gram_server.job import (
    Job,
    ModelReport,
    WorkerReport,
    WorkerState,
    dump,
    from_bytes,
    load_job,
    to_bytes,
)
from gram_server.jobs.memory_store import MemoryStore
from gram_server.jobs.store import QueueStats
from gram_server.jobs.worker_rpc import MemoryWorker
from gram_server.metrics.engine import EngineMetrics
from gram_server.settings import EngineConfig, QueueConfig, Settings
from gram_server.tracing import Tracer, read_trace
from gram_server.worker.engine_loop import EngineLoop, Stop
from gram_server.worker.job_runner import JobRunner
from gram_server.worker.loading import ServedModel, load_served_model
from gram_server.worker.start import wanted_models
from tests.jobs import new_job
from tests.processes import until

GRID = "1.34341221434321"
MODEL = "sudoku-4x4"
PARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


pytestmark = pytest.mark.anyio


@pytest.fixture(scope="module")
def served() -> ServedModel:
    [info] = wanted_models([MODEL])
    return load_served_model(info, EngineConfig(num_slots=4, device="cpu"))


@dataclass(slots=True)
class Whole:
    """The server and its worker, in this process, and what they recorded."""

    client: httpx.AsyncClient
    store: MemoryStore
    runner: JobRunner
    report: Callable[[WorkerState], WorkerReport]
    exporter: InMemorySpanExporter

    @property
    def spans(self) -> tuple[ReadableSpan, ...]:
        return self.exporter.get_finished_spans()

    def named(self, name: str) -> list[ReadableSpan]:
        return [span for span in self.spans if span.name == name]

    async def solve(self) -> httpx.Response:
        return await self.client.post("/solve", content=GRID, headers={"traceparent": PARENT})

    async def join(self) -> MemoryWorker:
        """Let another worker be there, which does nothing by itself."""
        first = MemoryWorker(self.store, "first")
        await first.report(self.report(WorkerState.READY))
        return first

    async def until(self, condition: Callable[[QueueStats], bool]) -> None:
        async def holds() -> bool:
            return condition(await self.store.stats())

        await until(holds, every_s=0.002)

    @asynccontextmanager
    async def working(self) -> AsyncIterator[None]:
        """Have the worker at work, ready at first and drained in the end."""
        working = asyncio.create_task(self.runner.run())
        await self.until(lambda stats: any(one.state is WorkerState.READY for one in stats.workers))
        yield
        self.runner.drain()
        await working


def tracer_of(exporter: InMemorySpanExporter, sampler: sampling.Sampler) -> Tracer:
    provider = TracerProvider(sampler=sampler, shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    return Tracer(provider.get_tracer("gram_server"))


@pytest.fixture
async def whole(served: ServedModel, request: pytest.FixtureRequest) -> AsyncIterator[Whole]:
    exporter = InMemorySpanExporter()
    tracer = tracer_of(exporter, getattr(request, "param", sampling.ALWAYS_ON))
    store, info = MemoryStore(QueueConfig(max_trajectories=1024)), served.info
    metrics = EngineMetrics(CollectorRegistry()).of(info.name)
    engine = EngineLoop({info.name: served.engine(metrics)}, heartbeat=None)
    names = ("name", "task", "fingerprint", "depth", "num_parameters")
    model = ModelReport(**{name: getattr(info, name) for name in names})

    def report(state: WorkerState) -> WorkerReport:
        return WorkerReport(worker="any", state=state, models=(model,))

    side = MemoryWorker(store, "second")
    runner = JobRunner(side, [info], send=engine.send, report=report, drain_s=5.0, tracer=tracer)
    loop = asyncio.get_running_loop()

    def emit(events: list[EngineEvent]) -> None:
        loop.call_soon_threadsafe(runner.on_events, events)

    thread = threading.Thread(target=engine.run, args=(emit,))
    thread.start()
    app = create_app(Settings(queue=QueueConfig(max_trajectories=1024)), store=store, tracer=tracer)
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
        yield Whole(client, store, runner, report, exporter)
    engine.send(Stop())
    await asyncio.to_thread(thread.join, 20.0)


@pytest.mark.slow
async def test_a_stream_is_one_span_to_its_end_and_the_exact_search_has_its_own(
    whole: Whole,
) -> None:
    headers = {"traceparent": PARENT, "accept": "text/event-stream"}
    async with whole.working():
        path = "/solve?width=4&count_solutions=exact"
        result = await whole.client.post(path, content=GRID, headers=headers)
    assert "event: done" in result.text
    [solved], [search] = whole.named("solve"), whole.named("exact search")
    assert search.parent == solved.context
    assert {span.context.trace_id for span in whole.spans if span.context} == {
        int(PARENT.split("-")[1], 16)
    }


async def test_an_exact_search_that_breaks_is_an_error_of_its_span_alone(
    whole: Whole, monkeypatch: pytest.MonkeyPatch
) -> None:
    def choke(*_: object) -> None:
        raise MemoryError

    monkeypatch.setattr("gram_server.worker.job_results.find_exactly", choke)
    async with whole.working():
        result = await whole.client.post("/solve?width=4&count_solutions=exact", content=GRID)
    assert result.json()["status"] == "solved"
    [solved], [search] = whole.named("solve"), whole.named("exact search")
    assert search.status.status_code is otel.StatusCode.ERROR
    assert (search.attributes or {})["error.type"] == "MemoryError"
    assert solved.status.status_code is not otel.StatusCode.ERROR


async def test_a_job_that_lost_its_worker_stays_in_its_trace(whole: Whole) -> None:
    first = await whole.join()
    asking = asyncio.create_task(whole.solve())
    [job] = await first.claim(max_jobs=1)
    assert job.attempt == 0
    await first.close()
    async with whole.working():
        assert (await asking).status_code == 200
    [solved], [enqueued] = whole.named("solve"), whole.named("enqueue")
    assert solved.parent is not None
    assert enqueued.context is not None
    assert solved.parent.span_id == enqueued.context.span_id
    assert [event.name for event in solved.events] == ["redelivered"]
    assert (solved.attributes or {})["gram.attempt"] == 1


async def test_what_was_handed_back_and_what_was_refused_end_too(whole: Whole) -> None:
    async with whole.working():
        refused = make_job(body={"puzzle": "sudoku", "grid": "11" + GRID[2:]})
        await whole.store.submit(refused)
        await whole.store.wait(refused.id, timeout_s=60.0)
        await whole.store.submit(make_job(width=512, halt="never"))
        await whole.until(lambda stats: stats.num_running == 1)
        whole.runner.drain()
    ends = [(span.attributes or {})["gram.outcome"] for span in whole.named("solve")]
    assert ends == ["puzzle_invalid", "handed_back"]
    failed = [span.name for span in whole.spans if span.status.status_code.name == "ERROR"]
    assert failed == ["solve"]


def make_job(**fields: Any) -> Job:
    return new_job(secrets.token_hex(4), grid=GRID, submitted_s=time.time(), **fields)


async def test_a_full_queue_is_an_error_of_its_span_and_told_without_words(whole: Whole) -> None:
    await whole.join()
    await whole.store.submit(make_job(width=1024))
    assert (await whole.solve()).status_code == 429
    [enqueued], [request] = whole.named("enqueue"), whole.named("POST /solve")
    assert (enqueued.attributes or {})["error.type"] == QueueFull.code
    assert enqueued.status.description is None
    assert not enqueued.events
    # The caller's trouble is no failure of the server.
    assert request.status.is_unset


@pytest.mark.parametrize("whole", [sampling.ALWAYS_OFF], indirect=True)
async def test_a_tracer_that_samples_nothing_records_nothing_and_still_passes_the_trace_on(
    whole: Whole,
) -> None:
    first = await whole.join()
    asking = asyncio.create_task(whole.solve())
    [job] = await first.claim(max_jobs=1)
    asking.cancel()
    await asyncio.wait((asking,))
    assert whole.spans == ()
    context = otel.get_current_span(read_trace(job.traceparent)).get_span_context()
    assert otel.format_trace_id(context.trace_id) == PARENT.split("-")[1]
    assert not context.trace_flags.sampled


async def test_probes_are_not_traced(whole: Whole) -> None:
    for path in ("/livez", "/readyz", "/startupz", "/metrics", "/models", "/nowhere/7"):
        await whole.client.get(path)
    # A path that is no route gives no name: there is no end to such paths.
    assert [span.name for span in whole.spans] == ["GET /models", "GET"]


def test_a_job_written_before_there_were_traces_is_read() -> None:
    data = from_bytes(to_bytes(dump(make_job())))
    for name in ("request_id", "traceparent", "tracestate"):
        del data[name]
    job = load_job(data)
    assert (job.request_id, job.traceparent, job.tracestate) == (None, None, None)
    assert job.log_ids == {"job_id": job.id}
