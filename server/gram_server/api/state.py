"""What the routes share: the store, the metrics, and where the process stands in its life."""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from gram_server.api.workers import WorkerRegistry
from gram_server.jobs.store import JobStore
from gram_server.metrics import ServiceMetrics
from gram_server.settings import Settings
from gram_server.tracing import Tracer


@dataclass(slots=True)
class Lifecycle:
    """Where the process stands, and the accepted requests it still owes an answer."""

    is_draining: bool = False
    """Told to stop: not ready any more."""
    is_closed: bool = False
    """Takes no new work; follows ``is_draining``."""
    was_ready: bool = False
    """Was ready at least once."""
    has_given_up: bool = False
    """The time of the drain is over: what is not done is cancelled."""
    inflight: set[str] = field(default_factory=set)
    """Ids of accepted jobs whose request has no answer yet."""
    unread: set[str] = field(default_factory=set)
    """Ids of jobs that ended during the drain, or will, and whose end nobody has seen."""
    released: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when whoever looks on at a job is to go: it ends elsewhere, or not at all."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AppState:
    """Everything a route may need; one per application."""

    settings: Settings
    store: JobStore
    metrics: ServiceMetrics
    workers: WorkerRegistry
    lifecycle: Lifecycle = field(default_factory=Lifecycle)
    why_dead: Callable[[], str | None] = lambda: None
    """Says why the engine is dead: it has work and makes no progress. None while it is not."""
    why_not_started: Callable[[], str | None] = lambda: None
    """Says why the last start of the worker failed. None where it did not."""
    num_restarts: Callable[[], int] = lambda: 0
    """How often the worker was started again."""
    clock: Callable[[], float] = time.time
    tracer: Tracer = field(default_factory=Tracer)
