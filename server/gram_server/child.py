"""The child worker of an API process: its folder, socket, heartbeat file and settings."""

import asyncio
import fcntl
import os
import shutil
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from gram_server.errors import ConfigError, ServerError
from gram_server.jobs.memory_store import MemoryStore
from gram_server.jobs.worker_rpc import WorkerRpcServer
from gram_server.settings import WORKER_SETTINGS, Settings
from gram_server.supervisor import RestartPolicy, Supervisor, read_heartbeat

STOP_S = 3.0
"""Seconds a worker may take to exit before it is killed; its engine thread yields to others."""

PREFIX = "gram-"
LOCK = "lock"
"""Locked while the server lives; the kernel releases it on any exit."""

MAX_SOCKET_PATH = 100
"""Bytes of a Unix socket's path; systems allow 107 on Linux, 103 elsewhere."""

SHORT_PLACES = ("/tmp", "/var/tmp", "/dev/shm")
"""Used when the path of the default temporary folder is too long for a socket."""


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

    def stop(self) -> "asyncio.Task[None]":
        """Start to stop the worker and to clean up; return the task to wait for."""
        if self._stopping is None:
            self._stopping = asyncio.create_task(self._stop())
        return self._stopping

    async def _stop(self) -> None:
        await self.supervisor.stop()
        await self._link.close()
        self._folder.remove()

    def kill(self) -> None:
        self.supervisor.kill()
        self._folder.remove()


def worker_command(*, link: Path, heartbeat: Path) -> Sequence[str]:
    command = [sys.executable, "-m", "gram_server.cli", "worker"]
    return [*command, "--link", str(link), "--heartbeat", str(heartbeat)]


class PrivateFolder:
    """The private folder of one server, for the socket and the heartbeat of its worker.

    Removed at exit; the next server removes what a killed one left.
    """

    def __init__(self, path: Path, lock: int) -> None:
        self.path = path
        self._lock = lock

    @classmethod
    def open(cls) -> "PrivateFolder":
        """Make the folder, and remove those of servers that are gone."""
        refusals = []
        for place in map(Path, (tempfile.gettempdir(), *SHORT_PLACES)):
            if len(os.fsencode(place / f"{PREFIX}12345678" / "link.sock")) > MAX_SOCKET_PATH:
                continue
            try:
                _sweep(place)
                path = Path(tempfile.mkdtemp(prefix=PREFIX, dir=place))
                return cls(path, _lock(path))
            except OSError as error:
                refusals.append(f"{place}: {error.strerror}")
        reason = f"no place for the link to the worker: {'; '.join(refusals)}"
        raise ConfigError("TMPDIR", tempfile.gettempdir(), reason)

    def remove(self) -> None:
        shutil.rmtree(self.path, ignore_errors=True)
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1


def _lock(folder: Path) -> int:
    """Lock a folder before its lock file is visible; return the descriptor."""
    made = folder / f"{LOCK}.new"
    descriptor = os.open(made, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    made.rename(folder / LOCK)
    return descriptor


def _sweep(place: Path) -> None:
    """Remove this user's folders whose lock is free."""
    for folder in place.glob(f"{PREFIX}*"):
        try:
            descriptor = os.open(folder / LOCK, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
        except OSError:
            # Not a server's, another user's, or unfinished.
            continue
        try:
            if os.fstat(descriptor).st_uid == os.geteuid():
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(folder, ignore_errors=True)
        except OSError:
            continue
        finally:
            os.close(descriptor)
