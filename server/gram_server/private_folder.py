"""A private folder for the socket and the heartbeat of one server.

Removed at exit; the next server removes what a killed one left.
"""

import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from gram_server.errors import ConfigError

PREFIX = "gram-"
LOCK = "lock"
"""Locked while the server lives; the kernel releases it on any exit."""

MAX_SOCKET_PATH = 100
"""Bytes of a Unix socket's path; systems allow 107 on Linux, 103 elsewhere."""

SHORT_PLACES = ("/tmp", "/var/tmp", "/dev/shm")
"""Used when the path of the default temporary folder is too long for a socket."""


class PrivateFolder:
    """The folder of one server."""

    def __init__(self, path: Path, lock: int) -> None:
        self.path = path
        self._lock = lock

    @classmethod
    def open(cls) -> "PrivateFolder":
        """Make the folder, and remove those of servers that are gone."""
        refusals = []
        for place in _places():
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


def _places() -> Iterator[Path]:
    for place in (tempfile.gettempdir(), *SHORT_PLACES):
        longest = Path(place) / f"{PREFIX}12345678" / "link.sock"
        if len(os.fsencode(longest)) <= MAX_SOCKET_PATH:
            yield Path(place)


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
