"""The child worker of an API process: its socket, heartbeat file and settings."""

import asyncio
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from gram_server.errors import ServerError
from gram_server.heartbeat import read_heartbeat
from gram_server.jobs.memory_store import MemoryStore
from gram_server.jobs.worker_rpc import WorkerRpcServer
from gram_server.private_folder import PrivateFolder
from gram_server.settings import WORKER_SETTINGS, Settings
from gram_server.supervisor import RestartPolicy, Supervisor

STOP_S = 1.0
"""Seconds an idle worker may take to exit before it is killed."""


class ChildWorker:
    """Runs one worker process and serves the store to it."""

    def __init__(self, settings: Settings, store: MemoryStore) -> None:
        # Only this user may enter: a process on the socket can read and answer every job.
        self._folder = PrivateFolder.open()
        socket, heartbeat = self._folder.path / "link.sock", self._folder.path / "heartbeat"
        self._link = WorkerRpcServer(store, socket)
        self._stopping: asyncio.Task[None] | None = None
        self.supervisor = Supervisor(
            worker_command(link=socket, heartbeat=heartbeat),
            environ={**os.environ, WORKER_SETTINGS: settings.to_json()},
            read_beat=lambda: read_heartbeat(heartbeat),
            policy=RestartPolicy(
                hang_s=settings.engine.hang_s,
                stop_s=STOP_S,
                max_failed_starts=settings.engine.max_failed_starts,
            ),
        )

    async def start(self) -> None:
        """Listen for the worker, then start it; raises ``ServerError`` if it cannot run."""
        await self._link.start()
        try:
            await self.supervisor.start()
        except ServerError:
            await self.stop()
            raise

    def begin_stop(self) -> "asyncio.Task[None]":
        """Start to stop the worker and to clean up, without waiting."""
        if self._stopping is None:
            self._stopping = asyncio.create_task(self._stop())
        return self._stopping

    async def stop(self) -> None:
        await self.begin_stop()

    async def _stop(self) -> None:
        await self.supervisor.stop()
        await self._link.close()
        self.clean_up()

    def kill(self) -> None:
        self.supervisor.kill()
        self.clean_up()

    def clean_up(self) -> None:
        self._folder.remove()


def worker_command(*, link: Path, heartbeat: Path) -> Sequence[str]:
    command = [sys.executable, "-m", "gram_server.cli", "worker"]
    return [*command, "--link", str(link), "--heartbeat", str(heartbeat)]
