"""Clients that are slow, huge or many: the server stays there for the others."""

import asyncio
import resource
import time
from dataclasses import replace
from urllib.parse import urlsplit

import psutil
import pytest

from gram_server.jobs.redis_connection import RedisConnection
from gram_server.jobs.redis_worker import RedisWorker
from gram_server.settings import RedisConfig
from tests.faults.conftest import EASY, Api, Queue, Site

pytestmark = [pytest.mark.anyio, pytest.mark.redis, pytest.mark.faults]

NUM_TRIES = 3
MAX_PROBE_S = 0.25
"""Of 99 in 100: far below the seconds for which the hostile ones hold on, also where it is busy."""
NUM_STREAMS = 10_000


@pytest.fixture
async def api(queue: Queue, site: Site, monkeypatch: pytest.MonkeyPatch) -> Api:
    monkeypatch.setenv("GRAM_SERVER_HEADER_TIMEOUT_S", "3")
    monkeypatch.setenv("GRAM_SERVER_BODY_TIMEOUT_S", "3")
    await site.worker(queue.url, "--work-s", "0.05")
    return await site.api(queue.url)


async def open_socket(api: Api) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    address = urlsplit(str(api.client.base_url))
    return await asyncio.open_connection(address.hostname, address.port)


async def probe_p99_s(api: Api, count: int = 200) -> float:
    times = []
    for _ in range(count):
        started_s = time.perf_counter()
        assert (await api.client.get("/livez")).status_code == 200
        times.append(time.perf_counter() - started_s)
        await asyncio.sleep(0.005)
    return sorted(times)[int(0.99 * (count - 1))]


async def assert_responsive(api: Api) -> None:
    # The machine may have other things to do: the best of a few measurements counts.
    found = []
    for _ in range(NUM_TRIES):
        found.append(await probe_p99_s(api))
        if found[-1] < MAX_PROBE_S:
            break
    assert min(found) < MAX_PROBE_S, found
    answer = await api.client.post("/solve", content=EASY)
    assert answer.json()["status"] == "solved"


async def drip(api: Api, head: bytes, part: bytes) -> bytes:
    """Send a request bit by bit until the server has had enough; return what it said."""
    reader, writer = await open_socket(api)
    writer.write(head)
    answer = asyncio.create_task(reader.read(4096))
    while not answer.done():
        writer.write(part)
        await asyncio.wait([answer], timeout=0.2)
    writer.close()
    return answer.result()


async def test_slow_clients_are_let_go_and_nobody_else_notices(queue: Queue, api: Api) -> None:
    body = b"POST /solve HTTP/1.1\r\nhost: x\r\ncontent-length: 100000\r\n\r\n"
    headers = b"GET /livez HTTP/1.1\r\nhost: x\r\n"
    slow = [asyncio.create_task(drip(api, body, b".")) for _ in range(64)]
    loris = [asyncio.create_task(drip(api, headers, b"a: b\r\n")) for _ in range(64)]
    await assert_responsive(api)
    for answer in await asyncio.gather(*slow, *loris):
        assert answer.startswith(b"HTTP/1.1 408 ")
    await queue.clean()


async def test_a_body_of_a_million_bytes_is_refused_cleanly(api: Api) -> None:
    answers = asyncio.gather(*(api.client.post("/solve", content="." * 10**6) for _ in range(8)))
    await assert_responsive(api)
    for answer in await answers:
        assert (answer.status_code, answer.json()["code"]) == (422, "puzzle_invalid")
    too_large = await api.client.post("/solve", content="." * (1 << 21))
    assert (too_large.status_code, too_large.json()["code"]) == (413, "body_too_large")


@pytest.mark.timeout(300)
async def test_ten_thousand_idle_streams_cost_little(queue: Queue, api: Api, site: Site) -> None:
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard < 2 * NUM_STREAMS:
        pytest.skip(f"a process may only open {hard} files here")
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    resource.prlimit(api.running.pid, resource.RLIMIT_NOFILE, (hard, hard))
    # A job that its worker never ends.
    worker = site.park.processes[0]
    worker.pause()
    config = RedisConfig(store=queue.url)
    side = RedisWorker(RedisConnection(config), name="w", lease_s=60.0, max_attempts=3)
    job = replace(queue.job(), owner="")
    await queue.store.submit(job)
    await side.claim(max_jobs=1)
    worker.resume()
    memory = psutil.Process(api.running.pid).memory_info
    before = memory().rss
    request = f"GET /jobs/{job.id}/events HTTP/1.1\r\nhost: x\r\n\r\n".encode()
    writers = []
    for start in range(0, NUM_STREAMS, 100):
        opened = await asyncio.gather(*(open_socket(api) for _ in range(100)))
        for _, writer in opened:
            writer.write(request)
            writers.append(writer)
        heads = await asyncio.gather(*(reader.readline() for reader, _ in opened))
        assert set(heads) == {b"HTTP/1.1 200 OK\r\n"}, start
    assert (memory().rss - before) / NUM_STREAMS < 100_000
    await assert_responsive(api)
    for writer in writers:
        writer.close()
    await side.close()
