"""Ends a worker that hangs: it has work, and made no step for too long.

For workers that nobody supervises by their heartbeat. The alarm is a thread of the C library's own,
which needs no interpreter lock: it goes off also while a call into a kernel never returns.
"""

import faulthandler
import time

from gram_server.heartbeat import Heartbeat

NUM_ALARMS = 10
"""How often the alarm is set anew within the time it waits: setting it starts a thread."""


class Watchdog:
    """Takes the beats of an engine loop, passes them on, and bites when they stop."""

    def __init__(self, hang_s: float, heartbeat: Heartbeat | None = None) -> None:
        self._hang_s = hang_s
        self._heartbeat = heartbeat
        self._set_at_s: float | None = None

    def beat(self, *, num_ticks: int, num_live: int) -> None:
        """Note a sign of life."""
        if self._heartbeat is not None:
            self._heartbeat.beat(num_ticks=num_ticks, num_live=num_live)
        if not num_live:
            self.close()
            return
        now_s = time.monotonic()
        if self._set_at_s is None or now_s - self._set_at_s > self._hang_s / NUM_ALARMS:
            # Prints where every thread stands, then ends the process with status 1.
            faulthandler.dump_traceback_later(self._hang_s, exit=True)
            self._set_at_s = now_s

    def close(self) -> None:
        """Watch no more until the next beat with work."""
        if self._set_at_s is not None:
            faulthandler.cancel_dump_traceback_later()
            self._set_at_s = None
