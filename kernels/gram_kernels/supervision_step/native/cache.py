"""Caches built libraries, written atomically, where no other user can write and code may run.

A library ends with a digest of its content, which loaders ignore: one truncated by a full disk or
a crash is built again, because loading it could end the process.
"""

import hashlib
import os
import shutil
import stat
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

MARK = b"\nsha256="
SCRATCH = "build-"
MAX_BUILD_S = 600.0
"""Age after which a scratch folder is stale."""

OTHER_PLACES = ("/var/tmp", "/dev/shm")
"""Tried after the temporary folder; libraries there serve one process only."""

_T = TypeVar("_T")


def load_kept(name: str, build: Callable[[Path], None], load: Callable[[Path], _T]) -> _T:
    """Return ``load`` of the library of that name, which is built if it is not cached.

    Raises:
        OSError: no folder is usable; gives the reason for each.
    """
    refusals = []
    for place in (_home_place(), *map(_temporary_place, _temporary_bases())):
        try:
            with place as folder:
                if os.statvfs(folder).f_flag & os.ST_NOEXEC:
                    raise OSError(f"{folder} is mounted noexec, so no code can be loaded from it")
                return load(_whole(folder / name, build))
        except OSError as error:
            refusals.append(str(error))
    raise OSError("; ".join(refusals))


def _whole(target: Path, build: Callable[[Path], None]) -> Path:
    if not _is_whole(target):
        _sweep(target.parent)
        with tempfile.TemporaryDirectory(dir=target.parent, prefix=SCRATCH) as scratch:
            made = Path(scratch) / target.name
            build(made)
            _seal(made)
            # Concurrent builds do no harm.
            made.replace(target)
    return target


def _seal(made: Path) -> None:
    """Append the digest and sync to disk, before the file gets its final name."""
    digest = hashlib.sha256(made.read_bytes()).hexdigest()
    with made.open("ab") as file:
        file.write(MARK + digest.encode())
        file.flush()
        os.fsync(file.fileno())


def _is_whole(path: Path) -> bool:
    try:
        content, mark, digest = path.read_bytes().rpartition(MARK)
    except FileNotFoundError:
        return False
    return bool(mark) and hashlib.sha256(content).hexdigest().encode() == digest


def _sweep(folder: Path) -> None:
    """Remove the scratch folders of killed builds."""
    for left in folder.glob(f"{SCRATCH}*"):
        if time.time() - left.stat().st_mtime > MAX_BUILD_S:
            shutil.rmtree(left, ignore_errors=True)


@contextmanager
def _home_place() -> Iterator[Path]:
    """Yield the user's cache folder, if no other user can write to it: code is loaded from it."""
    try:
        folder = Path.home() / ".cache" / "gram-server"
    except RuntimeError as error:
        raise OSError("there is no home folder") from error
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    status = folder.stat()
    if status.st_uid != os.getuid() or status.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        raise OSError(f"{folder} can be written to by others")
    if not os.access(folder, os.W_OK):
        raise OSError(f"{folder} cannot be written to")
    yield folder


def _temporary_bases() -> tuple[str, ...]:
    try:
        return (tempfile.gettempdir(), *OTHER_PLACES)
    except FileNotFoundError:
        return OTHER_PLACES


@contextmanager
def _temporary_place(base: str) -> Iterator[Path]:
    """Yield a folder of this process only; code loaded from it outlives the folder."""
    with tempfile.TemporaryDirectory(dir=base, prefix="gram-server-") as folder:
        yield Path(folder)
