"""Starts a worker from the command line's words. Imports no model code until it runs."""

import logging
import os
import socket
import time
from pathlib import Path

from gram_server.jobs.link import LinkStore
from gram_server.jobs.store import WorkerStore
from gram_server.settings import Settings

logger = logging.getLogger(__name__)


def run_worker(settings: Settings, *, link: Path, heartbeat: Path) -> None:
    """Work for the store behind a socket until SIGTERM; raise when it has to end early.

    Args:
        settings: of which the engine's part is read.
        link: Unix socket of the API process.
        heartbeat: file to keep a sign of life in.
    """
    started_s = time.perf_counter()
    # Torch takes most of this phase; the API process never pays for it.
    from gram_server.worker.process import WorkerProcess

    name = f"{socket.gethostname()}-{os.getpid()}"

    async def open_store() -> WorkerStore:
        return await LinkStore.connect(link, worker=name)

    process = WorkerProcess(settings.engine, open_store=open_store, name=name, heartbeat=heartbeat)
    process.note_phase("import", time.perf_counter() - started_s)
    process.run()
    logger.info("worker %s stopped", name)
