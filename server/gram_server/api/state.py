"""What the routes share: store, metrics and lifecycle of the process, and who sent a request."""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from starlette.types import Scope

from gram_server.api.keys import Key
from gram_server.api.workers import WorkerRegistry
from gram_server.jobs.store import JobStore
from gram_server.metrics import ServiceMetrics
from gram_server.settings import Settings
from gram_server.supervisor import Supervisor
from gram_server.tracing import Tracer


@dataclass(slots=True)
class Lifecycle:
    """State of the process, and the accepted requests without an answer."""

    is_draining: bool = False
    """A stop was requested: not ready any more."""
    is_closed: bool = False
    """Takes no new work; follows ``is_draining``."""
    was_ready: bool = False
    has_given_up: bool = False
    """The drain's time is over: unfinished jobs are cancelled."""
    inflight: set[str] = field(default_factory=set)
    """Ids of accepted jobs whose request has no answer yet."""
    unread: set[str] = field(default_factory=set)
    """Ids of jobs that were open during the drain, and whose end no client has read."""
    released: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when clients that follow a job must disconnect."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AppState:
    """Everything a route may need; one per application."""

    settings: Settings
    store: JobStore
    metrics: ServiceMetrics
    workers: WorkerRegistry
    lifecycle: Lifecycle = field(default_factory=Lifecycle)
    supervisor: Supervisor | None = None
    """Keeps the child worker; None where workers run elsewhere."""
    clock: Callable[[], float] = time.time
    tracer: Tracer = field(default_factory=Tracer)


def request_id_of(scope: Scope) -> str:
    return str(scope.get("state", {}).get("request_id", ""))


def key_of(scope: Scope) -> Key | None:
    """Return the key of a request; None where the server has no keys."""
    key: Key | None = scope.get("state", {}).get("key")
    return key


def owner_of(scope: Scope) -> str:
    """Return the owner of the jobs of a request; '' for all without keys."""
    key = key_of(scope)
    return "" if key is None else key.name


def client_of(scope: Scope) -> str:
    """Return the client for fair sharing: the name of a key, else an address."""
    host, _ = scope.get("client") or ("", 0)
    return owner_of(scope) or str(host)


def is_admin(scope: Scope) -> bool:
    key = key_of(scope)
    return key is not None and "admin" in key.scopes
