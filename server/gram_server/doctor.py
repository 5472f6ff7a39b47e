"""``gram-server doctor``: checks what this machine can run.

Works without torch too: such an installation can still run the API.
"""

import asyncio
import errno
import os
import platform
import resource
import tempfile
from collections.abc import Callable, Iterator, Mapping
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from typing import Literal, NamedTuple

from gram_core.catalog import shipped_models
from gram_core.errors import CoreError
from gram_server.errors import ConfigError, ServerError
from gram_server.jobs.redis_connection import WANTED_SETTINGS, RedisConnection
from gram_server.listening import authority, bind, is_open_to_others
from gram_server.settings import Settings
from gram_server.store_url import redact_url
from gram_server.tracing import is_wanted

MIN_OPEN_FILES = 4096
GIB = 2**30
PROBE = """
redis.call('TIME')
redis.call('SET', KEYS[1], '1', 'PX', 1000)
redis.call('DEL', KEYS[1])
return redis.REDIS_VERSION or ''
"""
"""Uses what the queue's scripts use; Redis before 7.0 does not tell scripts its version."""

Health = Literal["ok", "warning", "failed"]


class Finding(NamedTuple):
    """Result of one check."""

    check: str
    health: Health
    detail: str


def examine(settings: Settings) -> list[Finding]:
    """Run every check; a failed check is a finding, not an exception."""
    checks: tuple[Callable[[Settings], Iterator[Finding]], ...] = (
        _packages,
        _processors,
        _memory,
        _devices,
        _models,
        _limits,
        _listening,
        _key_file,
        _store,
        _traces,
    )
    return [finding for check in checks for finding in check(settings)]


def is_fit(findings: list[Finding]) -> bool:
    return all(finding.health != "failed" for finding in findings)


def _packages(settings: Settings) -> Iterator[Finding]:
    yield Finding("python", "ok", f"{platform.python_version()} on {platform.platform()}")
    for name, purpose in (
        ("torch", "without it this can be an API process only"),
        ("triton", "needed for fused kernels on a GPU"),
        ("ortools", "needed for fallback=exact and count_solutions=exact: the extra exact"),
        ("uvloop", "serves more requests with it"),
    ):
        try:
            yield Finding(name, "ok", version(name))
        except PackageNotFoundError:
            yield Finding(name, "warning", f"not installed: {purpose}")


def _processors(settings: Settings) -> Iterator[Finding]:
    usable = len(os.sched_getaffinity(0))
    share = read_limits().processors
    limit = usable if share is None else min(usable, share)
    threads = settings.engine.num_threads
    detail = f"{usable} usable, {limit:g} by the container's limit" if share else f"{usable} usable"
    if (threads or usable) > limit + 0.5:
        hint = f"{detail}: threads of the model would wait for each other, set --num-threads"
        yield Finding("processors", "warning", hint)
    else:
        yield Finding("processors", "ok", detail)


def _memory(settings: Settings) -> Iterator[Finding]:
    total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    limit = read_limits().memory_bytes or total
    health: Health = "ok" if min(total, limit) >= 2 * GIB else "warning"
    detail = f"{total / GIB:.1f} GiB"
    if limit < total:
        detail += f", {limit / GIB:.1f} by the container's limit"
    yield Finding("memory", health, f"{detail}; a worker takes about 1 GiB")


def _devices(settings: Settings) -> Iterator[Finding]:
    wanted = settings.engine.device
    if find_spec("torch") is None:
        return
    import torch

    from gram_core.bound_step import native_precision
    from gram_kernels.backend import triton_refusal
    from gram_kernels.supervision_step.native import origin, refusal

    reason, precision = refusal(), settings.engine.precision
    detail = f"slower on a CPU: {reason}" if reason else f"native code on a CPU: {origin()}"
    if not reason:
        chosen = native_precision() if precision == "auto" else precision
        detail += f", products in {chosen}"
    yield Finding("supervision step", "warning" if reason else "ok", detail)
    num_gpus = torch.cuda.device_count()
    for index in range(num_gpus):
        gpu = torch.cuda.get_device_properties(index)
        memory_gib = gpu.total_memory / 2**30
        yield Finding(f"cuda:{index}", "ok", f"{gpu.name}, {memory_gib:.0f} GiB")
    if num_gpus and (reason := triton_refusal()):
        yield Finding("fused kernels", "warning", f"slower on a GPU: {reason}")
    number = int(wanted.partition(":")[2] or 0)
    if wanted.startswith("cuda") and number >= num_gpus:
        seen = f"torch {torch.__version__} sees {num_gpus or 'no'} GPU"
        yield Finding("device", "failed", f"{wanted} is wanted, and {seen}")
    elif not num_gpus and Path("/dev/nvidiactl").exists():
        built = f"torch {torch.__version__}, built for CUDA {torch.version.cuda or '(none)'},"
        hint = "its driver may be too old"
        yield Finding("device", "warning", f"there is a GPU that {built} cannot use: {hint}")
    else:
        device = wanted if wanted != "auto" else ("cuda" if num_gpus else "cpu")
        yield Finding("device", "ok", f"a worker runs on {device}")


def _models(settings: Settings) -> Iterator[Finding]:
    from gram_core.catalog import find_models

    names = settings.engine.models or tuple(info.name for info in shipped_models())
    if not names:
        yield Finding("models", "failed", "none is shipped here: name a checkpoint with --model")
    for name in names:
        try:
            found = find_models(name)
        except (CoreError, OSError) as error:
            yield Finding(f"model {name}", "failed", str(error))
        else:
            for info in found:
                yield Finding(f"model {info.name}", "ok", f"{info.id} for {info.task}")


def _limits(settings: Settings) -> Iterator[Finding]:
    # A server raises its soft limit to the hard one.
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    is_enough = hard >= MIN_OPEN_FILES or hard == resource.RLIM_INFINITY
    health: Health = "ok" if is_enough else "warning"
    yield Finding("open files", health, f"{hard}; every open stream takes one (ulimit -Hn)")
    try:
        with tempfile.TemporaryDirectory(prefix="gram-") as folder:
            yield Finding("temporary files", "ok", f"can be written: {Path(folder).parent}")
    except OSError as error:
        detail = f"the link to the worker has no place: {error} (set TMPDIR)"
        yield Finding("temporary files", "failed", detail)


def _listening(settings: Settings) -> Iterator[Finding]:
    host, port = settings.http.host, settings.http.port
    try:
        for each in bind(host, port, setting="port"):
            each.close()
        yield Finding("address", "ok", f"{authority(host, port)} is free")
    except ConfigError as error:
        # A running server may hold the port.
        is_taken = getattr(error.__cause__, "errno", None) == errno.EADDRINUSE
        yield Finding("address", "warning" if is_taken else "failed", str(error))
    if is_open_to_others(host) and settings.http.keys is None:
        yield Finding("keys", "warning", "others can reach the server, and it asks for no key")


def _key_file(settings: Settings) -> Iterator[Finding]:
    if settings.http.keys is None:
        return
    from gram_server.api.keys import KeyFile

    try:
        faults = KeyFile(Path(settings.http.keys)).faults
    except (ServerError, OSError, ValueError) as error:
        yield Finding("keys", "failed", f"{settings.http.keys}: {error}")
        return
    for fault in faults:
        yield Finding("keys", "failed", f"{settings.http.keys}: {fault}")
    if not faults:
        yield Finding("keys", "ok", f"{settings.http.keys} can be read")


def _store(settings: Settings) -> Iterator[Finding]:
    if settings.redis.store is None:
        yield Finding("store", "ok", "in the memory of one process; --store shares a Redis")
        return
    url = redact_url(settings.redis.store)
    try:
        version, found = asyncio.run(_ask_redis(settings))
    except ServerError as error:
        yield Finding("store", "failed", f"{url}: {error}")
        return
    health: Health = "failed" if version is None else "ok"
    number = "6 or older" if version is None else version
    yield Finding("store", health, f"{url}: Redis {number}, 7.0 or later is needed")
    for name, (wanted, danger) in WANTED_SETTINGS.items():
        value = found.get(name, wanted)
        if value != wanted:
            yield Finding(name, "warning", f"{value}, not {wanted}: {danger}")


async def _ask_redis(settings: Settings) -> tuple[str | None, Mapping[str, str]]:
    """Run a script and a function of the queue, as a server and its workers do.

    Returns the version, None before 7.0, and those settings that the user may read.
    """
    connection = RedisConnection(settings.redis)
    try:
        place = f"{connection.keys.prefix}doctor"
        version = await connection.execute("EVAL", PROBE, 1, place)
        if version:
            # Loads the function library if it is missing.
            await connection.run("known", "doctor", "")
        readable = await connection.read_settings()
    finally:
        await connection.close()
    return version.decode() if version else None, readable


def _traces(settings: Settings) -> Iterator[Finding]:
    try:
        if not is_wanted(os.environ):
            yield Finding("traces", "ok", "not asked for by OTEL_EXPORTER_OTLP_ENDPOINT")
            return
        # This package depends on the rest of the extra.
        exporter = "opentelemetry-exporter-otlp-proto-http"
        yield Finding("traces", "ok", f"sent by {exporter} {version(exporter)}")
    except PackageNotFoundError:
        yield Finding("traces", "warning", "asked for, and not installed: the extra otel")
    except ServerError as error:
        yield Finding("traces", "failed", str(error))


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
        two, quota, period = (
            _read(folder / name) for name in ("cpu.max", "cpu.cfs_quota_us", "cpu.cfs_period_us")
        )
        if two:
            quota, _, period = two.partition(" ")
        if quota.isdecimal() and period.isdecimal():
            shares.append(int(quota) / int(period))
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


def _read(path: Path) -> str:
    try:
        return path.read_text("ascii").strip()
    except OSError:
        return ""
