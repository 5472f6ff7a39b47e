"""Keeps one worker process running: starts it again when it dies, kills it when it hangs.

Knows processes and heartbeats; not jobs, which the link gives back to the queue by itself.
"""

import asyncio
import logging
import signal
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from gram_server.heartbeat import Beat

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """How long the supervisor waits for what."""

    hang_s: float = 30.0
    """Without a tick while trajectories are live, before the worker is killed."""
    stop_s: float = 35.0
    """For a worker that was told to stop, before it is killed."""
    watch_s: float = 1.0
    """Between two looks at the heartbeat."""
    min_backoff_s: float = 0.1
    max_backoff_s: float = 10.0
    """Between the death of a worker and the next start: doubles while starts keep failing."""
    healthy_s: float = 30.0
    """A worker that lived this long starts again with the shortest backoff."""


class Supervisor:
    """Owns the worker process."""

    def __init__(
        self,
        command: Sequence[str],
        *,
        read_beat: Callable[[], Beat | None],
        patience: Patience | None = None,
    ) -> None:
        self._command = tuple(command)
        self._read_beat = read_beat
        self._patience = patience or Patience()
        self._process: asyncio.subprocess.Process | None = None
        self._keeper: asyncio.Task[None] | None = None
        self.num_restarts = 0

    async def start(self) -> None:
        """Start the worker, and keep it running until ``stop``."""
        await self._spawn()
        self._keeper = asyncio.create_task(self._keep())

    async def stop(self) -> None:
        """Tell the worker to finish and wait for it; kill it when it takes too long."""
        if self._keeper is not None:
            self._keeper.cancel()
            await asyncio.gather(self._keeper, return_exceptions=True)
        if self._process is None or self._process.returncode is not None:
            return
        self._process.send_signal(signal.SIGTERM)
        try:
            async with asyncio.timeout(self._patience.stop_s):
                await self._process.wait()
        except TimeoutError:
            logger.warning("worker pid=%d does not stop: killed", self._process.pid)
            self._process.kill()
            await self._process.wait()

    def kill(self) -> None:
        """End the worker at once."""
        if self._process is not None and self._process.returncode is None:
            self._process.kill()

    def why_hung(self) -> str | None:
        """Say that the worker has work and makes no progress, or None."""
        beat = self._read_beat()
        # The file may still hold the last words of a worker that is gone.
        if beat is None or self._process is None or beat.pid != self._process.pid:
            return None
        if beat.num_live == 0 or beat.age_s <= self._patience.hang_s:
            return None
        return f"the worker made no step for {beat.age_s:.0f} s with {beat.num_live} live"

    async def _keep(self) -> None:
        backoff_s = self._patience.min_backoff_s
        while True:
            started_s = time.monotonic()
            await self._watch()
            if time.monotonic() - started_s > self._patience.healthy_s:
                backoff_s = self._patience.min_backoff_s
            await asyncio.sleep(backoff_s)
            backoff_s = min(2 * backoff_s, self._patience.max_backoff_s)
            self.num_restarts += 1
            await self._spawn()

    async def _spawn(self) -> None:
        # A session of its own: a Ctrl-C in the terminal is for us to pass on, after draining.
        self._process = await asyncio.create_subprocess_exec(
            *self._command, stdin=asyncio.subprocess.DEVNULL, start_new_session=True
        )
        logger.info("worker pid=%d started", self._process.pid)

    async def _watch(self) -> None:
        """Return when the worker has died; kill it if it hangs."""
        assert self._process is not None
        pid, ended = self._process.pid, asyncio.ensure_future(self._process.wait())
        while not (await asyncio.wait((ended,), timeout=self._patience.watch_s))[0]:
            if reason := self.why_hung():
                logger.error("worker pid=%d killed: %s", pid, reason)
                self._process.kill()
        logger.error("worker pid=%d ended with status %d", pid, ended.result())
