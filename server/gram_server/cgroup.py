"""Reads the CPU and memory limits of this process from control groups, versions 1 and 2."""

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

ROOT = Path("/sys/fs/cgroup")
MEMBERSHIP = Path("/proc/self/cgroup")

UNLIMITED_BYTES = 1 << 60
"""Version 1 has a huge number where version 2 has ``max``."""


class Limits(NamedTuple):
    """The tightest limits of a group and its ancestors; None for no limit."""

    processors: float | None
    memory_bytes: int | None


def read_limits(*, root: Path = ROOT, membership: Path = MEMBERSHIP) -> Limits:
    shares, sizes = [], []
    for folder in _folders(root, membership):
        if (share := _share(folder)) is not None:
            shares.append(share)
        size = _read(folder / "memory.max") or _read(folder / "memory.limit_in_bytes")
        if size.isdecimal() and int(size) < UNLIMITED_BYTES:
            sizes.append(int(size))
    return Limits(min(shares, default=None), min(sizes, default=None))


def _folders(root: Path, membership: Path) -> Iterator[Path]:
    """Yield the folder of each group and of its ancestors, up to the controller's root."""
    try:
        lines = membership.read_text("utf-8").splitlines()
    except OSError:
        return
    for line in lines:
        _, controllers, path = line.split(":", 2)
        for base in (root / controllers, *(root / name for name in controllers.split(","))):
            inner = base / path.lstrip("/")
            # In a container the path may be the host's while the base is already the group.
            yield from (each for each in (inner, *inner.parents) if each.is_relative_to(base))


def _share(folder: Path) -> float | None:
    two, quota, period = (
        _read(folder / name) for name in ("cpu.max", "cpu.cfs_quota_us", "cpu.cfs_period_us")
    )
    if two:
        quota, _, period = two.partition(" ")
    if not quota.isdecimal() or not period.isdecimal():
        return None
    return int(quota) / int(period)


def _read(path: Path) -> str:
    try:
        return path.read_text("ascii").strip()
    except OSError:
        return ""
