"""The real API over HTTP, with a worker that solves exactly and runs in the same event loop."""

import asyncio
import socket
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import uvicorn

from gram_server.app import create_app
from gram_server.jobs.memory_store import MemoryStore
from gram_server.jobs.worker_rpc import MemoryWorker
from gram_server.settings import Settings
from tests.server.api.conftest import TASKS, ExactWorker


class AnnouncedServer(uvicorn.Server):
    """uvicorn, with an event for other threads to wait for."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.is_up = threading.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.is_up.set()


@contextmanager
def serving(settings: Settings, tasks: Sequence[str] = TASKS) -> Iterator[str]:
    """Serve in a thread of its own; yield the address."""
    store = MemoryStore(settings.queue)
    app = create_app(settings, store=store)
    server = AnnouncedServer(uvicorn.Config(app, log_config=None, access_log=False, ws="none"))
    listener = socket.create_server(("127.0.0.1", 0))

    async def serve() -> None:
        working = asyncio.create_task(ExactWorker(MemoryWorker(store, "exact"), tasks=tasks).run())
        await server.serve([listener])
        working.cancel()
        await asyncio.gather(working, return_exceptions=True)

    thread = threading.Thread(target=lambda: asyncio.run(serve()))
    thread.start()
    assert server.is_up.wait(20)
    yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    server.should_exit = True
    thread.join(20)
    assert not thread.is_alive()
    listener.close()
