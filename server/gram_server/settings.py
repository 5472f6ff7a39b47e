"""Every setting of the server, from the environment or from flags; nothing else reads either.

Flags win over the environment, the environment over the defaults, and each default is written once,
here. Unknown ``GRAM_SERVER_*`` names and values that cannot be read stop the start.
"""

import ipaddress
import json
import math
import os
import re
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, fields
from itertools import pairwise
from typing import Any, get_type_hints

from gram_server.errors import ConfigError, require
from gram_server.store_url import HIDDEN, redact_url, refusal

ENV_PREFIX = "GRAM_SERVER_"
WORKER_SETTINGS = "GRAM_WORKER_SETTINGS"
"""Variable that passes a server's settings to its child worker, as JSON."""
PRECISIONS = ("auto", "fp32", "bf16", "int8")
LOG_LEVELS = ("debug", "info", "warning", "error")


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpConfig:
    """What the API process listens on and lets in."""

    host: str = "127.0.0.1"
    """Name or address to listen on; ``::`` is every address of both families."""
    port: int = 8000
    """0 takes a free port; the log line of the start names it."""
    metrics_port: int | None = None
    """Port of ``/metrics`` alone, without a key; None serves it beside the rest."""
    max_body_bytes: int = 1 << 20
    """Bytes of a request's body; more is refused with 413."""
    max_width: int = 1024
    """Trajectories that one puzzle may have."""
    max_depth: int = 1024
    """Supervision steps that a trajectory may take."""
    max_deadline_ms: int = 600_000
    """Milliseconds that a request may ask for at most."""
    sse_heartbeat_s: float = 15.0
    """Seconds of silence after which a stream gets a comment line."""
    drain_delay_s: float = 0.0
    """Seconds a stopping server is not ready but still takes work, until balancers notice."""
    body_timeout_s: float = 30.0
    """Seconds the body of a request may take to arrive."""
    header_timeout_s: float = 10.0
    """Seconds a connection may take for the headers of its first request."""
    keep_alive_s: float = 75.0
    """Seconds a connection may rest between two requests; longer than any balancer keeps its own,
    which would send a request into a connection that is just being closed."""
    max_batch: int = 1000
    """Puzzles in one batch."""
    max_wait_s: int = 60
    """Seconds that a request for a job may wait for its end."""
    keys: str | None = None
    """File of API keys; without it every request may do everything."""
    allowed_hosts: tuple[str, ...] = ()
    """Names by which browsers may ask for the server, ``*`` for any; names without a dot and
    addresses always may. Empty asks no more than that on a loopback address without keys, and
    nothing elsewhere."""
    allowed_origins: tuple[str, ...] = ()
    """Other origins whose pages may send work, as ``https://example.org``; ``*`` for any. No others
    may where any are listed here, or names are asked for."""
    trusted_proxies: tuple[str, ...] = ()
    """Addresses and networks of proxies whose ``X-Forwarded-For`` is believed."""
    root_path: str = ""
    """Path under which a proxy shows the server, as ``/gram``; written in the OpenAPI document, and
    taken off requests that still have it."""
    latency_buckets_ms: tuple[float, ...] = ()
    """Bounds of the latency histograms; empty takes the standard ones."""

    def __post_init__(self) -> None:
        for name, port in (("port", self.port), ("metrics_port", self.metrics_port or 0)):
            require(0 <= port <= 65535, name, port, "must be 0 .. 65535")
        is_taken = self.port != 0 and self.metrics_port == self.port
        require(not is_taken, "metrics_port", self.metrics_port, "is the port of the rest")
        _require_positive(
            self,
            *("max_body_bytes", "max_width", "max_depth", "max_deadline_ms", "max_batch"),
            *("sse_heartbeat_s", "body_timeout_s", "header_timeout_s", "keep_alive_s"),
            "max_wait_s",
        )
        require(bool(self.host), "host", self.host, "is no address")
        require(self.drain_delay_s >= 0, "drain_delay_s", self.drain_delay_s, "is negative")
        root = self.root_path
        is_path = not root or (root.startswith("/") and root.isascii() and not root.endswith("/"))
        require(is_path, "root_path", root, "must begin with / and not end with it")
        for proxy in self.trusted_proxies:
            try:
                ipaddress.ip_network(proxy, strict=False)
            except ValueError as error:
                reason = "is no address or network"
                raise ConfigError("trusted_proxies", proxy, reason) from error
        bounds = self.latency_buckets_ms
        is_rising = all(low < high for low, high in pairwise((0.0, *bounds)))
        require(is_rising, "latency_buckets_ms", bounds, "must rise from above 0")


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueConfig:
    """How much may wait, and for how long it is remembered."""

    max_trajectories: int = 4096
    """Widths of all unfinished jobs, summed; more is refused with 429."""
    max_backlog_s: float = 10.0
    """Seconds that the unfinished jobs of a model may be expected to take; a request that waits for
    its answer is refused with 429 beyond it. Jobs of ``POST /jobs`` may queue for longer."""
    max_attempts: int = 3
    """Workers that may be lost over one job before it fails."""
    keep_finished_s: float = 60.0
    """How long the answer of a request that waited for it is kept."""
    keep_jobs_s: float = 3600.0
    """How long a finished job of ``POST /jobs`` can still be read."""
    keep_keys_s: float = 86400.0
    """How long an idempotency key is remembered."""
    max_finished_jobs: int = 100_000
    """Ended jobs that are remembered; beyond it the oldest go early, of the owner who has most."""
    max_finished_bytes: int = 256 << 20
    """What they may take, likewise."""
    max_keys: int = 100_000
    """Idempotency keys that are remembered of each owner; beyond it the oldest go early."""

    def __post_init__(self) -> None:
        _require_positive(self, *(each.name for each in fields(self)))


@dataclass(frozen=True, slots=True, kw_only=True)
class RedisConfig:
    """Where the queue is that several API processes and workers share."""

    store: str | None = field(default=None, repr=False)
    """URL, ``redis://``, ``rediss://``, ``redis+sentinel://`` or ``redis+cluster://``; None keeps
    the queue in the memory of one API process."""
    queue_name: str = "gram"
    """Queues of different names share a Redis without knowing of each other."""
    lease_s: float = 15.0
    """Seconds without a sign of life after which a worker's jobs go to another."""
    redis_timeout_s: float = 2.0
    """Seconds that Redis may take to answer."""

    def __post_init__(self) -> None:
        _require_positive(self, "lease_s", "redis_timeout_s")
        reason = None if self.store is None else refusal(self.store)
        require(reason is None, "store", redact_url(self.store or ""), reason or "")
        is_plain = self.queue_name.replace("-", "").replace("_", "").isalnum()
        require(is_plain, "queue_name", self.queue_name, "must be letters, digits, - and _")


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineConfig:
    """How a worker runs its models."""

    num_slots: int | None = None
    """Rows of the running batch, for each model; None is 16 on the CPU, where every row costs time
    of its own, and one for each multiprocessor on CUDA."""
    device: str = "auto"
    """``auto`` is CUDA where there is one, else the CPU."""
    num_threads: int | None = None
    """Threads of torch on the CPU; None leaves torch's own choice."""
    fixed_shape: bool = True
    """Always run the full batch shape: answers are bit-equal for any batch mix."""
    precision: str = "auto"
    """Of products on a CPU: ``int8`` rounds both factors to 8 bits (needs VNNI), ``bf16`` rounds
    activations to bfloat16 on matrix units, where ``fp32`` keeps 16 bits of them. ``auto`` is
    ``int8`` where there is VNNI and no matrix unit, else ``fp32``; on CUDA it is float16."""
    models: tuple[str, ...] = ()
    """Names of shipped models or paths of checkpoints; empty loads every shipped model."""
    worker_metrics_port: int | None = None
    """Port of the metrics of a worker that works for a store; one beside an API process leaves them
    to that."""
    worker_metrics_host: str = "127.0.0.1"
    """Name or address of that port."""
    drain_s: float = 30.0
    """Seconds a stopping worker may spend on its live jobs before it hands them back."""
    hang_s: float = 30.0
    """Seconds without a tick, with trajectories live, after which a worker is killed."""

    max_failed_starts: int = 3
    """Workers beside an API process that may end before one was ever ready; then it ends."""

    def __post_init__(self) -> None:
        _require_positive(self, "hang_s", "max_failed_starts")
        is_named = bool(self.worker_metrics_host)
        require(is_named, "worker_metrics_host", self.worker_metrics_host, "is no address")
        require(self.drain_s >= 0, "drain_s", self.drain_s, "must not be negative")
        port = self.worker_metrics_port or 0
        require(0 <= port <= 65535, "worker_metrics_port", port, "must be 0 .. 65535")
        for name in ("num_slots", "num_threads"):
            count = getattr(self, name)
            require(count is None or count > 0, name, count, "must be above 0")
        is_device = re.fullmatch(r"auto|cpu|cuda(:\d+)?", self.device) is not None
        require(is_device, "device", self.device, "must be auto, cpu, cuda or cuda:N")
        is_known = self.precision in PRECISIONS
        require(is_known, "precision", self.precision, f"must be one of {', '.join(PRECISIONS)}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """All of them; has parts, inherits nothing."""

    http: HttpConfig = field(default_factory=HttpConfig)
    queue: QueueConfig = field(default_factory=QueueConfig)
    redis: RedisConfig = field(default_factory=RedisConfig)
    engine: EngineConfig = field(default_factory=EngineConfig)
    log_level: str = "info"
    """``debug``, ``info``, ``warning`` or ``error``."""

    def __post_init__(self) -> None:
        require(self.log_level in LOG_LEVELS, "log_level", self.log_level, "unknown level")
        require(
            self.http.max_width <= self.queue.max_trajectories,
            "max_width",
            self.http.max_width,
            f"must not be above max_trajectories ({self.queue.max_trajectories}): lower it with "
            f"{ENV_PREFIX}MAX_WIDTH",
        )

    @classmethod
    def load(
        cls,
        flags: Mapping[str, object] | None = None,
        *,
        environ: Mapping[str, str] | None = None,
    ) -> "Settings":
        """Build settings from flags (None values are absent) over the environment."""
        values: dict[str, object] = {
            name.removeprefix(ENV_PREFIX).lower(): text
            for name, text in (os.environ if environ is None else environ).items()
            if name.startswith(ENV_PREFIX)
        }
        values.update({name: value for name, value in (flags or {}).items() if value is not None})
        settings = cls(
            http=HttpConfig(**_take(HttpConfig, values)),
            queue=QueueConfig(**_take(QueueConfig, values)),
            redis=RedisConfig(**_take(RedisConfig, values)),
            engine=EngineConfig(**_take(EngineConfig, values)),
            log_level=str(values.pop("log_level", cls().log_level)).lower(),
        )
        for name in values:
            # Its value may be a secret.
            raise ConfigError(name, HIDDEN, "no such setting")
        return settings

    def to_json(self) -> str:
        """Return JSON that ``from_json`` reads back."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> "Settings":
        parts = json.loads(text)
        values = {"log_level": parts.pop("log_level")}
        for part in parts.values():
            values |= {
                name: tuple(value) if isinstance(value, list) else value
                for name, value in part.items()
            }
        return cls.load(values, environ={})


def _take(config: type, values: dict[str, object]) -> dict[str, Any]:
    """Take out the values of a part: flags unchanged, and text converted to the field's type."""
    taken: dict[str, Any] = {}
    for name, hint in get_type_hints(config).items():
        if name not in values:
            continue
        value = taken[name] = values.pop(name)
        if isinstance(value, str):
            try:
                taken[name] = _CONVERTERS.get(str(hint), str)(value.strip())
            except ValueError as error:
                raise ConfigError(name, value, "cannot be read") from error
    return taken


def _to_bool(text: str) -> bool:
    if text.lower() in ("1", "true", "yes", "on"):
        return True
    if text.lower() in ("0", "false", "no", "off"):
        return False
    raise ValueError(text)


def _to_seconds(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(text)
    return value


def _to_names(text: str) -> tuple[str, ...]:
    return tuple(name.strip() for name in text.split(",") if name.strip())


_CONVERTERS: Mapping[str, Callable[[str], object]] = {
    str(int): int,
    str(float): _to_seconds,
    str(bool): _to_bool,
    str(int | None): int,
    str(str | None): str,
    str(tuple[str, ...]): _to_names,
    str(tuple[float, ...]): lambda text: tuple(map(_to_seconds, _to_names(text))),
}


def _require_positive(config: object, *names: str) -> None:
    for name in names:
        value = getattr(config, name)
        require(value > 0, name, value, "must be above 0")
