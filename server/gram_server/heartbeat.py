"""A worker's heartbeat: a small memory-mapped file that other processes read.

Readable while the worker is busy, holds its GIL or hangs.
"""

import mmap
import os
import struct
import time
from dataclasses import dataclass
from pathlib import Path

_LAYOUT = struct.Struct("<4Q")


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


class Heartbeat:
    """The worker's side: writes the file."""

    def __init__(self, path: Path) -> None:
        """Create the file, or reuse that of an earlier worker."""
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            os.ftruncate(descriptor, _LAYOUT.size)
            self._memory = mmap.mmap(descriptor, _LAYOUT.size)
        finally:
            os.close(descriptor)
        self.beat(num_ticks=0, num_live=0)

    def beat(self, *, num_ticks: int, num_live: int) -> None:
        _LAYOUT.pack_into(self._memory, 0, os.getpid(), num_ticks, num_live, time.monotonic_ns())


def read_heartbeat(path: Path) -> Beat | None:
    """Return the last beat in the file; None while there is none."""
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return None
    if len(content) != _LAYOUT.size:
        return None
    pid, num_ticks, num_live, written_ns = _LAYOUT.unpack(content)
    if not pid:
        return None
    # All processes of a machine share the monotonic clock.
    age_s = max(0.0, (time.monotonic_ns() - written_ns) / 1e9)
    return Beat(pid=pid, num_ticks=num_ticks, num_live=num_live, age_s=age_s)
