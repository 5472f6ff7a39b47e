"""A stream that is read more slowly than its job is forgotten still ends with the whole answer."""

import asyncio
import json
from collections.abc import Mapping
from typing import Any

import pytest

from gram_server.app import create_app
from gram_server.errors import JobNotFound
from gram_server.jobs.memory_store import MemoryStore
from gram_server.jobs.store import IdempotencyKey
from gram_server.jobs.worker_rpc import MemoryWorker
from gram_server.settings import QueueConfig, Settings
from tests.processes import until
from tests.server.api.conftest import ExactWorker, http_scope

pytestmark = pytest.mark.anyio


async def test_an_answer_waits_for_a_reader_longer_than_the_store_does() -> None:
    settings = Settings(queue=QueueConfig(keep_finished_s=0.01))
    store = MemoryStore(settings.queue)
    app = create_app(settings, store=store)
    worker = ExactWorker(MemoryWorker(store, "exact"))
    working = asyncio.create_task(worker.run())
    headers = [(b"accept", b"text/event-stream"), (b"host", b"localhost")]
    scope = http_scope("POST", "/solve", query=b"width=3", headers=headers)
    parts: list[bytes] = []
    goes_on = asyncio.Event()

    async def send(message: Mapping[str, Any]) -> None:
        parts.append(message.get("body", b""))
        if len(parts) > 2:
            await goes_on.wait()

    async def forgotten(job_id: str) -> None:
        while True:
            # What is too old is dropped when somebody comes.
            await store.known(IdempotencyKey(owner="", key="k", fingerprint="f"))
            try:
                await store.get(job_id)
            except JobNotFound:
                return
            await asyncio.sleep(0.02)

    async with asyncio.timeout(30.0):
        asking = asyncio.create_task(app(scope, receiver(), send))
        await until(lambda: len(parts) >= 3)
        await forgotten(worker.jobs[0].id)
        goes_on.set()
        await asking
    events = [part for part in b"".join(parts).decode().split("\n\n") if "event: " in part]
    last = dict(line.split(": ", 1) for line in events[-1].splitlines())
    assert last["event"] == "done"
    assert json.loads(last["data"])["distinct"] == 3
    working.cancel()
    await asyncio.gather(working, return_exceptions=True)
    await store.close()


def receiver() -> Any:
    messages: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
    messages.put_nowait({"type": "http.request", "body": b"." * 16, "more_body": False})
    return messages.get
