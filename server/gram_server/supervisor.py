"""Keeps one worker process running: restarts it when it dies, kills it when it hangs.

Also what the worker tells: reports of its start, and a heartbeat. Gives up if no worker ever gets
ready. Knows nothing of jobs: the link requeues them itself.
"""

import asyncio
import json
import logging
import os
import signal
import struct
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import NamedTuple

from gram_server.errors import ServerError, StartFailed, StartRefused

MAX_LINE_BYTES = 16 << 20
"""Longest line of a worker's output: a traceback is one line."""
OUTPUT = 1
"""Standard output, which a worker uses for nothing else."""

BEAT = struct.Struct("<4Q")
"""A heartbeat: process, ticks, live trajectories, and monotonic time in nanoseconds."""

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class RestartPolicy:
    """Time limits and retries of the supervisor."""

    hang_s: float = 30.0
    """Without a tick while trajectories are live, before the worker is killed."""
    stop_s: float = 35.0
    """After a request to stop, before the worker is killed."""
    check_s: float = 30.0
    """For the first worker to check its settings; then the server listens anyway."""
    watch_s: float = 1.0
    """Between checks of the heartbeat."""
    min_backoff_s: float = 0.1
    max_backoff_s: float = 10.0
    """Between the death of a worker and the next start: doubles while starts keep failing."""
    healthy_s: float = 30.0
    """A worker that lived this long starts again with the shortest backoff."""
    max_failed_starts: int = 3
    """Workers that may end before one is ever ready."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Beat:
    """Content of a heartbeat."""

    pid: int
    num_ticks: int
    """Ticks since the worker started."""
    num_live: int
    """Unfinished trajectories, with or without a slot."""
    age_s: float
    """Seconds since it was written."""


class Supervisor:
    """Owns the worker process."""

    def __init__(
        self,
        command: Sequence[str],
        *,
        environ: Mapping[str, str] | None = None,
        read_beat: Callable[[], Beat | None],
        policy: RestartPolicy | None = None,
    ) -> None:
        self._command = tuple(command)
        self._environ = environ
        self._read_beat = read_beat
        self._policy = policy or RestartPolicy()
        self._process: asyncio.subprocess.Process | None = None
        self._listeners: list[asyncio.Task[None]] = []
        self._keeper: asyncio.Task[None] | None = None
        self._is_checked = asyncio.Event()
        self._is_ready = False
        self._is_stopped = False
        self.was_ready = asyncio.Event()
        self._refusal: str | None = None
        self._last_reason = ""
        self._why_failed = ""
        self._num_failed_starts = 0
        self.num_restarts = 0
        self.failure: ServerError | None = None
        """Why no worker is started any more."""
        self.has_failed = asyncio.Event()

    async def start(self) -> None:
        """Start the worker and keep it running until ``stop``.

        Returns once its settings are checked, after ``check_s`` at the latest. If ``stop`` is
        called before or during the start, no worker is left running.

        Raises:
            StartRefused: it cannot run with these settings.
        """
        await self._spawn()
        if self._is_stopped:
            await self.stop()
            return
        self._keeper = asyncio.create_task(self._keep())
        checked = asyncio.create_task(self._is_checked.wait())
        failed = asyncio.create_task(self.has_failed.wait())
        await asyncio.wait(
            (checked, failed, self._keeper),
            timeout=self._policy.check_s,
            return_when=asyncio.FIRST_COMPLETED,
        )
        for task in (checked, failed):
            task.cancel()
        if self.failure is not None:
            raise self.failure

    async def stop(self) -> None:
        """Terminate the worker and wait for it; kill it after ``stop_s``."""
        self._is_stopped = True
        if self._keeper is not None:
            self._keeper.cancel()
            await asyncio.gather(self._keeper, return_exceptions=True)
        if self._process is None or self._process.returncode is not None:
            return
        self._process.send_signal(signal.SIGTERM)
        try:
            async with asyncio.timeout(self._policy.stop_s):
                await self._process.wait()
        except TimeoutError:
            logger.warning("worker pid=%d does not stop: killed", self._process.pid)
            self._process.kill()
            await self._process.wait()
        await self._read_rest()

    def pid(self) -> int:
        """Return the id of the worker process; 0 while there is none."""
        return 0 if self._process is None else self._process.pid

    def kill(self) -> None:
        if self._process is not None and self._process.returncode is None:
            self._process.kill()

    def why_hung(self) -> str | None:
        """Return a reason if the worker has work and makes no progress."""
        beat = self._read_beat()
        # The file may still hold the beat of an earlier worker.
        if beat is None or self._process is None or beat.pid != self._process.pid:
            return None
        if beat.num_live == 0 or beat.age_s <= self._policy.hang_s:
            return None
        return f"the worker made no step for {beat.age_s:.0f} s with {beat.num_live} live"

    def why_not_started(self) -> str | None:
        """Return why the last start failed, until one succeeds."""
        if not self._num_failed_starts:
            return None
        times = "once" if self._num_failed_starts == 1 else f"{self._num_failed_starts} times"
        return f"the worker ended {times} before it was ready: {self._why_failed}"

    async def _keep(self) -> None:
        backoff_s = self._policy.min_backoff_s
        while True:
            started_s = time.monotonic()
            await self._watch()
            self.failure = self._judge_start()
            if self.failure is not None:
                self.has_failed.set()
                return
            if time.monotonic() - started_s > self._policy.healthy_s:
                backoff_s = self._policy.min_backoff_s
            await asyncio.sleep(backoff_s)
            backoff_s = min(2 * backoff_s, self._policy.max_backoff_s)
            self.num_restarts += 1
            await self._spawn()

    def _judge_start(self) -> ServerError | None:
        """Count a failed start; return an error if there must be no other."""
        if self._is_ready:
            return None
        self._num_failed_starts += 1
        self._why_failed = self._last_reason
        if self.was_ready.is_set():
            # Jobs in memory would be lost with this process: retry.
            return None
        if self._refusal is not None:
            return StartRefused(self._refusal)
        if self._num_failed_starts >= self._policy.max_failed_starts:
            return StartFailed(str(self.why_not_started()))
        return None

    async def _spawn(self) -> None:
        # Its own session: Ctrl-C must not reach it before this process has drained.
        spawning = asyncio.ensure_future(
            asyncio.create_subprocess_exec(
                *self._command,
                env=self._environ,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE,
                # A worker speaks to people at a terminal itself.
                stderr=None if sys.stderr.isatty() else asyncio.subprocess.PIPE,
                limit=MAX_LINE_BYTES,
                start_new_session=True,
            )
        )
        try:
            # Cancelled while it connects its pipes, asyncio would wait for them for ever.
            self._process = await asyncio.shield(spawning)
        except asyncio.CancelledError:
            self._process = await spawning
            raise
        self._is_ready, self._refusal, self._last_reason = False, None, ""
        self._listeners = [
            asyncio.create_task(self._listen(self._process)),
            asyncio.create_task(_pass_on_log(self._process)),
        ]

    async def _listen(self, process: asyncio.subprocess.Process) -> None:
        assert process.stdout is not None
        while line := await process.stdout.readline():
            report = read_start_report(line)
            if report is None:
                continue
            self._last_reason = report.reason
            match report.stage:
                case Stage.CHECKED:
                    logger.info("worker pid=%d started", process.pid)
                    self._is_checked.set()
                case Stage.READY:
                    self._is_ready = True
                    self.was_ready.set()
                    self._num_failed_starts = 0
                case Stage.REFUSED:
                    self._refusal = report.reason

    async def _read_rest(self) -> None:
        if self._listeners:
            await asyncio.wait(self._listeners, timeout=self._policy.watch_s)

    async def _watch(self) -> None:
        assert self._process is not None
        pid, ended = self._process.pid, asyncio.ensure_future(self._process.wait())
        reason: str | None = None
        while not (await asyncio.wait((ended,), timeout=self._policy.watch_s))[0]:
            # Seen twice: after both processes were frozen, the worker may only just have resumed.
            was_hung, reason = reason is not None, self.why_hung()
            if was_hung and reason is not None:
                logger.error("worker pid=%d killed: %s", pid, reason)
                self._process.kill()
        await self._read_rest()
        self._last_reason = self._last_reason or f"status {ended.result()}"
        if self._refusal is None:
            logger.error("worker pid=%d ended with status %d", pid, ended.result())


class Stage(StrEnum):
    """Stage of a worker's start."""

    CHECKED = "checked"
    """The settings can work here, and every model is loaded."""
    READY = "ready"
    REFUSED = "refused"
    """The settings cannot work here: a retry would fail too."""
    FAILED = "failed"
    """The start failed; a retry may succeed."""


class StartReport(NamedTuple):
    """What a worker tells its parent about its start: a line of JSON on standard output."""

    stage: Stage
    reason: str = ""

    def send(self) -> None:
        """Write it to the parent process, if that still lives."""
        line = json.dumps({"start": self.stage, "reason": self.reason}) + "\n"
        with suppress(OSError):
            os.write(OUTPUT, line.encode())


def read_start_report(line: bytes) -> StartReport | None:
    """Return the report in a line of a worker's output; None for a library's output."""
    try:
        values = json.loads(line)
        return StartReport(Stage(values["start"]), str(values["reason"]))
    except (ValueError, KeyError, TypeError):
        return None


async def _pass_on_log(process: asyncio.subprocess.Process) -> None:
    """Copy a worker's log lines to ours; log other output, a library's, as warnings."""
    while process.stderr is not None and (line := await process.stderr.readline()):
        text = line.decode(errors="replace").rstrip()
        if text.startswith("{"):
            sys.stderr.write(f"{text}\n")
            sys.stderr.flush()
        elif text:
            logger.warning("worker pid=%d says: %s", process.pid, text)


def read_heartbeat(path: Path) -> Beat | None:
    """Return the last beat in the file; None while there is none."""
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return None
    if len(content) != BEAT.size:
        return None
    pid, num_ticks, num_live, written_ns = BEAT.unpack(content)
    if not pid:
        return None
    # All processes of a machine share the monotonic clock.
    age_s = max(0.0, (time.monotonic_ns() - written_ns) / 1e9)
    return Beat(pid=pid, num_ticks=num_ticks, num_live=num_live, age_s=age_s)
