"""A folder for the socket and the heartbeat of one server, which nobody else may enter.

Removed at the end; what a killed server left behind is removed by the next one.
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
"""Held for as long as the server lives; the system lets go of it however that ends."""

MAX_SOCKET_PATH = 100
"""Bytes that the path of a Unix socket may have: 107 on Linux, 103 elsewhere."""

SHORT_PLACES = ("/tmp", "/var/tmp", "/dev/shm")
"""Where the folder goes when the path of the usual place is too long for a socket."""


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
        """Remove the folder and what is in it."""
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
    """Lock a folder before others can see that it has a lock, and return what holds it."""
    made = folder / f"{LOCK}.new"
    descriptor = os.open(made, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    made.rename(folder / LOCK)
    return descriptor


def _sweep(place: Path) -> None:
    """Remove our own folders whose lock nobody holds."""
    for folder in place.glob(f"{PREFIX}*"):
        try:
            descriptor = os.open(folder / LOCK, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
        except OSError:
            # Not a server's, not ours, or not finished.
            continue
        try:
            if os.fstat(descriptor).st_uid == os.geteuid():
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(folder, ignore_errors=True)
        except OSError:
            continue
        finally:
            os.close(descriptor)
