"""The real API over HTTP, with a worker that solves exactly and runs in the same event loop."""

import asyncio
import socket
import threading
from collections.abc import Iterator
from typing import Any

import pytest
import uvicorn

from gram_core.puzzles import family
from gram_server.app import create_app
from gram_server.job import Job, ModelReport, WorkerReport, WorkerState
from gram_server.jobs.memory_store import MemoryStore
from gram_server.jobs.memory_worker import MemoryWorker
from gram_server.settings import Settings

TASKS = ("sudoku-4x4", "nqueens-4", "graph-coloring-3")
FAILING_SEED = 13


class AnnouncedServer(uvicorn.Server):
    """uvicorn, with an event for other threads to wait for."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.is_up = threading.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.is_up.set()


@pytest.fixture(scope="module")
def base_url() -> Iterator[str]:
    """Serve on a free port until the last test of the module."""
    settings = Settings()
    store = MemoryStore(settings.queue)
    app = create_app(settings, store=store)
    server = AnnouncedServer(uvicorn.Config(app, log_config=None, ws="none"))
    listener = socket.create_server(("127.0.0.1", 0))
    thread = threading.Thread(target=lambda: asyncio.run(_serve(server, listener, store)))
    thread.start()
    assert server.is_up.wait(20)
    yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    server.should_exit = True
    thread.join(20)
    assert not thread.is_alive()


async def _serve(server: uvicorn.Server, listener: socket.socket, store: MemoryStore) -> None:
    working = asyncio.create_task(_work(store.connect("exact")))
    await server.serve(sockets=[listener])
    working.cancel()
    await asyncio.gather(working, return_exceptions=True)


async def _work(worker: MemoryWorker) -> None:
    models = tuple(
        ModelReport(name=task, task=task, fingerprint="0123abcd", depth=8, num_parameters=1)
        for task in TASKS
    )
    report = WorkerReport(worker="exact", state=WorkerState.READY, models=models)
    await worker.report(report)
    while True:
        for job in await worker.claim(max_jobs=8):
            if job.options.seed == FAILING_SEED:
                await worker.fail(job.id, code="engine", detail="it was told to")
            else:
                await worker.complete(job.id, _result(job))


def _result(job: Job) -> dict[str, Any]:
    rules = family(job.puzzle)
    instance = rules.parse(job.body)
    answers = [rules.decode(instance, tokens) for tokens in rules.enumerate(instance, limit=4)]
    first = {"trajectory": 0, "step": 1, "ms": 1.0}
    return {
        "id": job.id,
        "puzzle": job.puzzle,
        "status": "solved" if answers else "unsolved",
        "solutions": [
            {"answer": answer, "votes": 1, "source": "model", "value": 0.5, "first": first}
            for answer in answers
        ],
        "distinct": len(answers),
        "valid_trajectories": len(answers),
        "width": job.options.width,
        "depth": job.options.depth,
        "completeness": {"estimate": None, "total": None},
        "best_attempt": None,
        "usage": {"queue_ms": 0.1, "engine_ms": 1.0, "supervision_steps": 1, "wasted_steps": 0},
        "seed": job.options.seed,
        "model": f"{job.model}@0123abcd",
    }
