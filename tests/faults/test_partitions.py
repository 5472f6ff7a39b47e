"""Hosts that cannot reach each other, disagree about the time, or lose an API process."""

import asyncio
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from urllib.parse import urlsplit

import httpx
import pytest

from gram_server.job import JobState
from tests.faults.conftest import Park, Queue

pytestmark = [pytest.mark.anyio, pytest.mark.redis, pytest.mark.faults]

EASY = ".234341221434321"


@dataclass(slots=True)
class Wire:
    """A TCP proxy that can be cut: bytes then go nowhere, and no connection hears of it."""

    target_port: int
    port: int = 0
    is_whole: asyncio.Event = field(default_factory=asyncio.Event)
    server: asyncio.Server | None = None
    tasks: set["asyncio.Task[None]"] = field(default_factory=set)

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    async def open(self) -> None:
        self.is_whole.set()
        self.server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        self.port = self.server.sockets[0].getsockname()[1]

    async def close(self) -> None:
        assert self.server is not None
        self.server.close()
        for task in list(self.tasks):
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self.target_port)
        for source, sink in ((reader, far_writer), (far_reader, writer)):
            task = asyncio.create_task(self._pump(source, sink))
            self.tasks.add(task)
            task.add_done_callback(self.tasks.discard)

    async def _pump(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        try:
            while data := await source.read(65536):
                await self.is_whole.wait()
                sink.write(data)
                await sink.drain()
        except ConnectionError:
            pass
        finally:
            sink.close()


@pytest.fixture
async def wires(queue: Queue) -> AsyncIterator[list[Wire]]:
    made = [Wire(urlsplit(queue.url).port or 0) for _ in range(2)]
    for wire in made:
        await wire.open()
    yield made
    for wire in made:
        await wire.close()


async def test_two_workers_cut_off_in_turn_lose_nothing(
    queue: Queue, park: Park, wires: list[Wire]
) -> None:
    for wire in wires:
        worker = park.start_worker(wire.url, "--work-s", "0.3", "--room", "3", "--lease-s", "1.5")
        await asyncio.to_thread(worker.wait_for, "started")
    job_ids = await queue.submit_many(60)
    ends = asyncio.create_task(queue.ends(job_ids))
    for wire in (*wires, *wires):
        wire.is_whole.clear()
        await asyncio.sleep(2.5)
        wire.is_whole.set()
        await asyncio.sleep(0.5)
    records = await ends
    assert {record.state for record in records} == {JobState.DONE}
    for job_id in job_ids:
        kinds = [event.kind async for event in queue.store.events(job_id)]
        assert kinds == ["accepted", "solution", "done"]
    await queue.clean()


async def until_readiness_is(client: httpx.AsyncClient, status: int) -> None:
    async with asyncio.timeout(20.0):
        # What is waited for happens in another process.
        while (await client.get("/readyz")).status_code != status:  # noqa: ASYNC110
            await asyncio.sleep(0.1)


async def test_an_api_process_cut_off_from_redis_refuses_in_time_and_comes_back(
    queue: Queue, park: Park, wires: list[Wire]
) -> None:
    wire = wires[0]
    api = park.start_api(wire.url)
    park.worker(queue.url, "--work-s", "0.2")
    await asyncio.to_thread(park.wait_api, api)
    async with httpx.AsyncClient(base_url=api.url, timeout=20.0) as client:
        job_id = (await client.post("/jobs", content=EASY)).json()["id"]
        assert (await client.get(f"/jobs/{job_id}?wait=20")).json()["state"] == "done"
        # From here on connections are open, and nothing comes through them.
        wire.is_whole.clear()
        key = {"Idempotency-Key": "k"}
        started_s = time.monotonic()
        lost = await client.post("/jobs", content=EASY, headers=key)
        assert (lost.status_code, lost.json()["code"]) == (503, "store_unavailable")
        assert time.monotonic() - started_s < 10.0
        assert (await client.get("/livez")).status_code == 200
        await until_readiness_is(client, 503)
        wire.is_whole.set()
        await until_readiness_is(client, 200)
        # The lost request may have arrived after all: the same again is the same job.
        again = await client.post("/jobs", content=EASY, headers=key)
        assert again.status_code in (200, 202)
        repeated = await client.post("/jobs", content=EASY, headers=key)
        assert (repeated.status_code, repeated.json()["id"]) == (200, again.json()["id"])
        done = await client.get(f"/jobs/{again.json()['id']}?wait=20")
        assert done.json()["state"] == "done"
        assert len((await client.get("/jobs")).json()["jobs"]) == 2
    await queue.clean()


@pytest.mark.parametrize("skew_s", [3600.0, -3600.0])
async def test_hosts_that_disagree_about_the_time_keep_deadlines_and_leases(
    queue: Queue, park: Park, skew_s: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    park.worker(queue.url, "--work-s", "0.3", "--skew-s", str(skew_s), "--lease-s", "2")
    other = park.worker(queue.url, "--work-s", "0.3", "--skew-s", str(-skew_s), "--lease-s", "2")
    [record] = await queue.ends([await queue.submit(deadline_ms=20_000)])
    assert (record.state, record.job.attempt) == (JobState.DONE, 0)
    other.kill()
    busy = park.worker(queue.url, "--work-s", "30", "--skew-s", str(-skew_s), "--room", "1")
    started_s = time.monotonic()
    records = await queue.ends(await queue.submit_many(20, deadline_ms=1_000))
    assert time.monotonic() - started_s < 15.0
    assert {record.state for record in records} <= {JobState.DONE, JobState.EXPIRED}
    assert JobState.DONE in {record.state for record in records}
    busy.kill()
    # An API host that is an hour off, and a client that gives one second.
    true_time = time.time
    monkeypatch.setattr(time, "time", lambda: true_time() + skew_s)
    [record] = await queue.ends([await queue.submit(deadline_ms=10_000)])
    assert record.state is JobState.DONE
    assert abs(record.job.submitted_s - time.time()) < 5.0
    await queue.clean()


async def test_a_client_whose_api_process_dies_gets_its_job_from_another(
    queue: Queue, park: Park
) -> None:
    park.worker(queue.url, "--work-s", "1.5")
    apis = [park.start_api(queue.url) for _ in range(2)]
    for api in apis:
        await asyncio.to_thread(park.wait_api, api)
    async with httpx.AsyncClient(timeout=30.0) as client:
        posted = await client.post(
            f"{apis[0].url}/jobs", content=EASY, headers={"Idempotency-Key": "k"}
        )
        path = f"/jobs/{posted.json()['id']}"
        waiting = asyncio.create_task(client.get(f"{apis[0].url}{path}?wait=20"))
        following = asyncio.create_task(client.get(f"{apis[0].url}{path}/events"))
        await asyncio.sleep(0.3)
        apis[0].kill()
        for lost in await asyncio.gather(waiting, following, return_exceptions=True):
            assert isinstance(lost, httpx.TransportError)
        again = await client.post(
            f"{apis[1].url}/jobs", content=EASY, headers={"Idempotency-Key": "k"}
        )
        assert (again.status_code, again.json()["id"]) == (200, posted.json()["id"])
        answer = await client.get(f"{apis[1].url}{path}?wait=20")
        assert answer.json()["state"] == "done"
        events = await client.get(f"{apis[1].url}{path}/events", headers={"Last-Event-ID": "1"})
        assert events.text.count("event: solution") == 1
    await queue.clean()
