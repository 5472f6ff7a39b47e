"""Clients that leave, or are refused, while their job is being handed in: it must not go on."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from urllib.parse import urlsplit

import httpx
import pytest

from tests.faults.conftest import Park, Queue

pytestmark = [pytest.mark.anyio, pytest.mark.redis, pytest.mark.faults]

EMPTY = "." * 16


@dataclass(slots=True)
class SlowLine:
    """A TCP proxy whose answers take time; without a time they never come."""

    target_port: int
    delay_s: float | None = 0.0
    port: int = 0
    server: asyncio.Server | None = None
    tasks: set["asyncio.Task[None]"] = field(default_factory=set)

    async def open(self) -> None:
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
        for source, sink, is_slow in ((reader, far_writer, False), (far_reader, writer, True)):
            task = asyncio.create_task(self._pump(source, sink, is_slow))
            self.tasks.add(task)
            task.add_done_callback(self.tasks.discard)

    async def _pump(
        self, source: asyncio.StreamReader, sink: asyncio.StreamWriter, is_slow: bool
    ) -> None:
        try:
            while data := await source.read(65536):
                if is_slow:
                    if self.delay_s is None:
                        continue
                    await asyncio.sleep(self.delay_s)
                sink.write(data)
                await sink.drain()
        except ConnectionError:
            pass
        finally:
            sink.close()


@pytest.fixture
async def line(queue: Queue) -> AsyncIterator[SlowLine]:
    made = SlowLine(urlsplit(queue.url).port or 0)
    await made.open()
    yield made
    await made.close()


@pytest.fixture
async def client(queue: Queue, park: Park, line: SlowLine) -> AsyncIterator[httpx.AsyncClient]:
    await asyncio.to_thread(park.worker, queue.url, "--work-s", "120", "--room", "100")
    api = park.start_api(f"redis://127.0.0.1:{line.port}/0")
    await asyncio.to_thread(park.wait_api, api)
    async with httpx.AsyncClient(base_url=api.url, timeout=30.0) as opened:
        yield opened


async def states(queue: Queue) -> list[str]:
    names = [name async for name in queue.redis.scan_iter("{gram}:1:job:*")]
    return sorted([(await queue.redis.hget(name, "state")).decode() for name in names])


async def leave_after(client: httpx.AsyncClient, path: str, delay_s: float) -> None:
    posting = asyncio.create_task(client.post(path, content=EMPTY))
    await asyncio.sleep(delay_s)
    posting.cancel()
    await asyncio.gather(posting, return_exceptions=True)


@pytest.mark.parametrize("accept", ["application/json", "text/event-stream"])
async def test_a_client_that_leaves_while_its_job_is_handed_in_leaves_no_job_behind(
    queue: Queue, client: httpx.AsyncClient, line: SlowLine, accept: str
) -> None:
    client.headers["Accept"] = accept
    line.delay_s = 0.3
    for delay_s in (0.05, 0.1, 0.2, 0.25, 0.3, 0.35, 0.5, 0.8):
        await leave_after(client, "/solve?width=4", delay_s)

    async def are_cancelled() -> bool:
        return set(await states(queue)) == {"cancelled"}

    await queue.until(are_cancelled)
    line.delay_s = 0.0
    await queue.clean()


@pytest.mark.parametrize("path", ["/solve", "/jobs"])
async def test_a_job_whose_client_was_told_503_is_not_worked_on(
    queue: Queue, client: httpx.AsyncClient, line: SlowLine, path: str
) -> None:
    line.delay_s = None
    answer = await client.post(f"{path}?width=4", content=EMPTY)
    assert (answer.status_code, answer.json()["code"]) == (503, "store_unavailable")
    assert await states(queue) != []
    # New connections come about again, over which Redis can be told.
    line.delay_s = 0.0

    async def is_cancelled() -> bool:
        return await states(queue) == ["cancelled"]

    await queue.until(is_cancelled)
    await queue.clean()


async def test_a_job_that_may_be_asked_for_again_by_its_key_goes_on(
    queue: Queue, client: httpx.AsyncClient, line: SlowLine
) -> None:
    line.delay_s = None
    key = {"Idempotency-Key": "k"}
    assert (await client.post("/jobs", content=EMPTY, headers=key)).status_code == 503
    line.delay_s = 0.0

    async def is_found() -> bool:
        again = await client.post("/jobs", content=EMPTY, headers=key)
        return again.status_code == 200

    await queue.until(is_found)
    assert await states(queue) == ["running"]
