"""Ends a worker that hangs: it has work, but made no step for too long.

For workers whose heartbeat nothing supervises. The alarm is a C thread that needs no interpreter
lock, so it also fires while a call into a kernel never returns.
"""

import faulthandler
import time

from gram_server.heartbeat import Heartbeat

NUM_ALARMS = 10
"""How often the alarm is renewed within its time: each renewal starts a thread."""


class Watchdog:
    """Passes on the beats of an engine loop, and ends the process when they stop."""

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
