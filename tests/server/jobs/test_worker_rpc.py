"""What only the socket can do wrong: strangers, broken frames, a worker that vanishes."""

import asyncio
import struct
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from gram_server.errors import LinkClosed
from gram_server.job import JobState
from gram_server.jobs.memory_store import MemoryStore
from gram_server.jobs.worker_rpc import WorkerRpcClient, WorkerRpcServer
from gram_server.settings import QueueConfig
from tests.server.jobs.conftest import MakeJob

pytestmark = pytest.mark.anyio


Served = tuple[MemoryStore, Path, WorkerRpcServer]


@pytest.fixture
async def served(tmp_path: Path) -> AsyncIterator[Served]:
    store = MemoryStore(QueueConfig())
    path = tmp_path / "link.sock"
    server = WorkerRpcServer(store, path)
    await server.start()
    yield store, path, server
    await server.close()
    await store.close()


@pytest.fixture
async def worker(served: Served) -> AsyncIterator[WorkerRpcClient]:
    connected = await WorkerRpcClient.connect(served[1], worker="w")
    yield connected
    await connected.close()


def frame(text: bytes) -> bytes:
    return struct.pack(">I", len(text)) + text


async def test_only_this_user_may_connect(served: Served) -> None:
    assert served[1].stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize(
    "sent",
    [
        b"",
        b"\x00",
        b"GET / HTTP/1.1\r\n\r\n",
        frame(b"not json"),
        frame(b"[]"),
        frame(b"{}"),
        frame(b'{"worker": "x"}') + frame(b'{"call": "nothing"}'),
        frame(b'{"worker": "x"}') + frame(b'{"call": "claim"}'),
        frame(b'{"worker": "x"}') + struct.pack(">I", 2**32 - 1),
    ],
)
async def test_a_stranger_is_cut_off_and_does_no_harm(
    served: Served, make_job: MakeJob, sent: bytes
) -> None:
    store, path, _ = served
    reader, writer = await asyncio.open_unix_connection(path)
    writer.write(sent)
    writer.write_eof()
    async with asyncio.timeout(5.0):
        assert await reader.read() == b""
    writer.close()
    worker = await WorkerRpcClient.connect(path, worker="good")
    await store.submit(make_job())
    assert [job.id for job in await worker.claim(max_jobs=1)] == ["a"]
    await worker.close()


async def test_a_vanished_worker_gives_its_jobs_back(
    served: Served, worker: WorkerRpcClient, make_job: MakeJob
) -> None:
    store, path, _ = served
    await store.submit(make_job())
    await worker.claim(max_jobs=1)
    worker._writer.transport.abort()
    other = await WorkerRpcClient.connect(path, worker="w2")
    async with asyncio.timeout(5.0):
        [job] = await other.claim(max_jobs=1)
    assert (job.id, job.attempt) == ("a", 1)
    await other.close()


async def test_the_end_of_the_server_ends_every_call_of_a_worker(
    served: Served, worker: WorkerRpcClient
) -> None:
    claim = asyncio.create_task(worker.claim(max_jobs=1))
    heard = asyncio.create_task(_all(worker.cancellations()))
    await asyncio.sleep(0.01)
    await served[2].close()
    async with asyncio.timeout(5.0):
        with pytest.raises(LinkClosed):
            await claim
        assert await heard == []
        with pytest.raises(LinkClosed):
            await worker.fail("a", code="x", detail="y")


async def test_what_was_written_before_closing_arrives(
    served: Served, worker: WorkerRpcClient, make_job: MakeJob
) -> None:
    store, *_ = served
    await store.submit(make_job())
    await worker.claim(max_jobs=1)
    result: dict[str, object] = {"status": "solved", "padding": "x" * 5_000_000}
    await worker.complete("a", result)
    await worker.close()
    record = await store.wait("a", timeout_s=5.0)
    assert record.state is JobState.DONE
    assert record.result == result


async def _all(stream: AsyncIterator[str]) -> list[str]:
    return [item async for item in stream]


async def test_a_job_of_another_version_is_refused_and_the_link_lives(
    served: Served, worker: WorkerRpcClient, make_job: MakeJob
) -> None:
    store, *_ = served
    strange = make_job("strange")
    # What a newer version could write, and no constructor of this one lets through.
    object.__setattr__(strange.options, "halt", "when it rains")
    await store.submit(strange)
    await store.submit(make_job("a"))
    async with asyncio.timeout(5.0):
        assert [job.id for job in await worker.claim(max_jobs=2)] == ["a"]
        record = await store.wait("strange", timeout_s=None)
        assert record.error is not None
        assert (record.state, record.error.code) == (JobState.FAILED, "job_unreadable")
        await worker.complete("a", {"status": "solved"})
        assert (await store.wait("a", timeout_s=None)).state is JobState.DONE


async def test_a_broken_receiver_ends_the_link(worker: WorkerRpcClient) -> None:
    claim = asyncio.create_task(worker.claim(max_jobs=1))
    worker._reader.feed_data(frame(b'{"call": "jobs"}'))
    async with asyncio.timeout(5.0):
        with pytest.raises(LinkClosed):
            await claim
