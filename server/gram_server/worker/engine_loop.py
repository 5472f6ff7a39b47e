"""The worker's main thread: feeds the engines and ticks them; blocks while they have no work.

Talks to the store's thread through a queue of messages and a callback. Knows no store.
"""

import faulthandler
import logging
import mmap
import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from queue import Empty, SimpleQueue
from types import MappingProxyType
from typing import NamedTuple

from gram_server.engine import Engine, EngineEvent, EngineJob
from gram_server.supervisor import BEAT

NUM_ALARMS = 10
"""How often a watchdog's alarm is renewed within its time: each renewal starts a thread."""

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Submit:
    """A job for the engine of a model."""

    model: str
    job: EngineJob


@dataclass(frozen=True, slots=True)
class Abort:
    """Cancel a job."""

    job_id: str


@dataclass(frozen=True, slots=True)
class Stop:
    """End the loop, even with live trajectories."""


Message = Submit | Abort | Stop


class Load(NamedTuple):
    """Work of one engine."""

    demand: int
    taken: int
    """Trajectories taken out of the inbox by then."""


class Heartbeat:
    """The worker's side of a small memory-mapped file.

    Others can read it while the worker is busy, holds its GIL or hangs.
    """

    def __init__(self, path: Path) -> None:
        """Create the file, or reuse that of an earlier worker."""
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            os.ftruncate(descriptor, BEAT.size)
            self._memory = mmap.mmap(descriptor, BEAT.size)
        finally:
            os.close(descriptor)
        self.beat(num_ticks=0, num_live=0)

    def beat(self, *, num_ticks: int, num_live: int) -> None:
        BEAT.pack_into(self._memory, 0, os.getpid(), num_ticks, num_live, time.monotonic_ns())


class Watchdog:
    """Ends a worker that hangs and whose heartbeat nothing supervises: it has work, but no beats.

    The alarm is a C thread that needs no interpreter lock, so it also fires while a call into a
    kernel never returns.
    """

    def __init__(self, hang_s: float, heartbeat: Heartbeat | None = None) -> None:
        self._hang_s = hang_s
        self._heartbeat = heartbeat
        self._set_at_s: float | None = None

    def beat(self, *, num_ticks: int, num_live: int) -> None:
        if self._heartbeat is not None:
            self._heartbeat.beat(num_ticks=num_ticks, num_live=num_live)
        if not num_live:
            self.close()
            return
        now_s = time.monotonic()
        if self._set_at_s is None or now_s - self._set_at_s > self._hang_s / NUM_ALARMS:
            # Prints the stack of every thread, then ends the process with status 1.
            faulthandler.dump_traceback_later(self._hang_s, exit=True)
            self._set_at_s = now_s

    def close(self) -> None:
        """Stop watching until the next beat with work."""
        if self._set_at_s is not None:
            faulthandler.cancel_dump_traceback_later()
            self._set_at_s = None


class EngineLoop:
    """Ticks one engine per model in turn."""

    def __init__(
        self,
        engines: Mapping[str, Engine],
        *,
        late: Mapping[str, Callable[[], Engine]] = MappingProxyType({}),
        heartbeat: Heartbeat | Watchdog | None,
    ) -> None:
        """``late`` engines are made when a job first asks for their model."""
        self.inbox: SimpleQueue[Message] = SimpleQueue()
        self._engines, self._late = dict(engines), late
        self._heartbeat = heartbeat
        self._num_ticks = 0
        # Read by the store's thread: plain numbers, never the engines themselves.
        self.num_live = 0
        self.num_waiting = 0
        self._loads = {model: Load(0, 0) for model in [*engines, *late]}
        # Total trajectories by model, put into the inbox and taken out of it.
        self._sent = dict.fromkeys(self._loads, 0)
        self._taken = dict.fromkeys(self._loads, 0)
        self._is_stopped = False

    @property
    def demand(self) -> int:
        """Most trajectories with or waiting for a slot, over all models."""
        sent, loads = self._sent, self._loads
        return max(load.demand + sent[model] - load.taken for model, load in loads.items())

    def send(self, message: Message) -> None:
        """Put a message into the inbox, from the store's thread."""
        if isinstance(message, Submit):
            self._sent[message.model] += message.job.width
        self.inbox.put(message)

    def run(self, emit: Callable[[list[EngineEvent]], None]) -> None:
        """Run until ``Stop``; ``emit`` must not block."""
        while True:
            self._take_messages()
            if self._is_stopped:
                return
            self._beat()
            for engine in self._engines.values():
                if engine.has_work:
                    events = engine.tick(time.monotonic())
                    self._num_ticks += 1
                    self._beat()
                    if events:
                        emit(events)

    def _take_messages(self) -> None:
        """Take all messages; block for one when no engine has work."""
        must_wait = not any(engine.has_work for engine in self._engines.values())
        while True:
            try:
                message = self.inbox.get(block=must_wait)
            except Empty:
                return
            must_wait = False
            match message:
                case Submit(model, job):
                    self._taken[model] += job.width
                    engine = self._engine(model)
                    try:
                        engine.submit(job, time.monotonic())
                    except ValueError:
                        # The first run continues: one job sent twice must not end all the others.
                        logger.exception("job=%s is not taken again", job.id)
                case Abort(job_id):
                    for engine in self._engines.values():
                        engine.abort(job_id)
                case Stop():
                    self._is_stopped = True

    def _engine(self, model: str) -> Engine:
        if model not in self._engines:
            if self._heartbeat is not None:
                # On a GPU kernels may have to be compiled first: that is no hang.
                self._heartbeat.beat(num_ticks=self._num_ticks, num_live=0)
            self._engines[model] = self._late[model]()
        return self._engines[model]

    def _beat(self) -> None:
        """Publish the load; before a tick too, so that a hang in the first one is seen."""
        engines = self._engines.values()
        self.num_live = sum(engine.live for engine in engines)
        self.num_waiting = sum(engine.waiting_trajectories for engine in engines)
        # Replaced as a whole: no trajectory may count twice or not at all.
        self._loads = self._loads | {
            model: Load(engine.live + engine.waiting_trajectories, self._taken[model])
            for model, engine in self._engines.items()
        }
        if self._heartbeat is not None:
            num_unfinished = self.num_live + self.num_waiting
            self._heartbeat.beat(num_ticks=self._num_ticks, num_live=num_unfinished)
