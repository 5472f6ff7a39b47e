"""What the routes share: workers and their models, store, metrics, lifecycle, and who asks.

A model stays known while its worker restarts, so that its jobs can wait; for a minute if other
models are loaded.
"""

import asyncio
import math
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from starlette.types import Scope

from gram_core.puzzles import task
from gram_server.api.keys import Key
from gram_server.errors import ModelUnknown, NotReady, StoreUnavailable
from gram_server.job import EXACT, Job, ModelReport, WorkerReport, WorkerState
from gram_server.jobs.store import JobStore, QueueStats
from gram_server.metrics import ServiceMetrics
from gram_server.settings import Settings
from gram_server.supervisor import Supervisor
from gram_server.tracing import Tracer

MAX_AGE_S = 1.0
MAX_WATCHED_AGE_S = 5.0
"""Age at which watched reports are read again: the watch may not have begun."""

KNOWN_S = 60.0
"""Seconds that a model without a worker stays known while others are loaded."""
MAX_READ = 10_000


class WorkerRegistry:
    """The workers, as their last reports show them."""

    def __init__(
        self,
        store: JobStore,
        *,
        is_remote: bool = False,
        patience_s: float = 10.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._store = store
        self.is_remote = is_remote
        """Whether reading is slow or may fail: ``watch`` then reads in the background."""
        self._patience_s = patience_s
        """How long a request waits while no worker has its model."""
        self._clock = clock
        self._read_at_s = float("-inf")
        self._loaded: dict[str, ModelReport] = {}
        """Loaded models, by name@fingerprint."""
        self._known: dict[str, ModelReport] = {}
        """Models that are or recently were loaded, by name@fingerprint."""
        self._missed_at_s: dict[str, float] = {}
        """When a model lost its last worker, by name@fingerprint."""
        self._models: dict[str, ModelReport] = {}
        """Known models, by name."""
        self.stats: QueueStats | None = None
        """State of the queue at the last read."""
        self.last_error: str | None = None
        """Why the last read failed."""

    @property
    def reports(self) -> Sequence[WorkerReport]:
        return () if self.stats is None else self.stats.workers

    @property
    def models(self) -> Sequence[ModelReport]:
        """Models that are loaded, or expected back after a restart."""
        return tuple(self._models.values())

    @property
    def is_ready(self) -> bool:
        return any(worker.state is WorkerState.READY for worker in self.reports)

    @property
    def has_solver(self) -> bool:
        """Whether a worker has OR-tools; True while none has reported."""
        return not self.reports or any(worker.has_solver for worker in self.reports)

    async def refresh(self, *, max_age_s: float = 0.0) -> None:
        """Read the reports again, unless they are at most ``max_age_s`` old or watched."""
        age_s = self._clock() - self._read_at_s
        if age_s > (MAX_WATCHED_AGE_S if self.is_remote else max_age_s):
            await self._read()

    async def watch(self) -> None:
        """Read remote reports every second until cancelled."""
        while self.is_remote:
            await self._read()
            await asyncio.sleep(MAX_AGE_S)

    async def _read(self) -> None:
        """Read the reports, and drop the models that were missing for too long."""
        try:
            self.stats = await self._store.stats()
        except StoreUnavailable as error:
            self.last_error, self._read_at_s = str(error), self._clock()
            return
        now_s, self.last_error = self._clock(), None
        self._read_at_s = now_s
        self._loaded = loaded = {
            model.id: model for worker in self.reports for model in worker.models
        }
        had = {name: model for name, model in self._known.items() if name not in loaded}
        if any(worker.state is WorkerState.STARTING for worker in self.reports):
            self._missed_at_s.clear()
        self._missed_at_s = {name: self._missed_at_s.get(name, now_s) for name in had}
        if loaded:
            until_s = now_s - max(KNOWN_S, self._patience_s)
            had = {name: had[name] for name in had if self._missed_at_s[name] > until_s}
        self._known = {**had, **loaded}
        self._models = {model.name: model for model in self._known.values()}

    def check_served(self, job: Job) -> None:
        """Raise ``NotReady`` if no worker has had the job's model for ``patience_s``.

        Never raises for a child worker, which is restarted.
        """
        if not self.is_remote or self.last_error is not None:
            return
        missed_at_s = (
            self._missed_at_s.get(name, math.inf)
            for name, model in self._known.items()
            if job.route in (name, model.name, EXACT.name)
        )
        missed_s = self._clock() - max(missed_at_s, default=math.inf)
        if missed_s > self._patience_s:
            raise NotReady(
                f"no worker with {job.route} has been connected for {missed_s:.0f} s",
                retry_after_s=max(1, round(self._patience_s)),
            )

    def find(self, name: str) -> ModelReport | None:
        """Return the model of that name, None if it is unknown."""
        return EXACT if name == EXACT.name else self._models.get(name)

    async def select_model(
        self,
        task: str,
        *,
        num_givens: int,
        fits: Callable[[str], bool],
        wanted: str | None,
        has_fallback: bool,
    ) -> ModelReport:
        """Return the wanted model, or the first that solves the task; raise ``ModelUnknown``.

        ``fits`` says whether a model of another task takes the puzzle all the same. With
        ``has_fallback`` exact search may answer where no model takes it.
        """
        await self._ensure_loaded()
        if wanted is not None and wanted != EXACT.name:
            model = self._named(wanted)
            if model.task != task and not fits(model.task):
                raise ModelUnknown(
                    f"model {model.name} is for {model.task}, the puzzle is {task}", field="model"
                )
            return model
        if wanted is None and (default := self._default(task, num_givens, fits)):
            return default
        if has_fallback:
            return EXACT
        solving = {model.task for model in self._models.values() if model.purpose == "solve"}
        raise ModelUnknown(
            f"no model is loaded for {task}: there are models for {', '.join(sorted(solving))}; "
            "with fallback=exact the puzzle goes to exact search",
            field="puzzle",
        )

    async def select_generating(
        self, *, puzzle: str, size: int | None, wanted: str | None
    ) -> ModelReport:
        """Return the wanted model, or the one that generates the largest boards of the puzzle.

        Raises ``ModelUnknown``.
        """
        await self._ensure_loaded()
        if wanted is not None:
            model = self._named(wanted)
            if not _is_of(model, puzzle, size):
                size_text = "" if size is None else f" of size {size}"
                raise ModelUnknown(
                    f"model {model.name} is for {model.task}, not for {puzzle}{size_text}",
                    field="model",
                )
            return model
        generating = [model for model in self._models.values() if model.purpose == "generate"]
        fitting = [model for model in generating if _is_of(model, puzzle, size)]
        if fitting:
            return max(fitting, key=lambda model: task(model.task).size)
        tasks = ", ".join(sorted({model.task for model in generating})) or "none"
        raise ModelUnknown(
            f"no model that makes up {puzzle} boards of this size is loaded: there are models "
            f"for {tasks}",
            field="puzzle",
        )

    async def _ensure_loaded(self) -> None:
        """Read the reports if they are old; raise if they name no model."""
        await self.refresh(max_age_s=MAX_AGE_S)
        if not self._models:
            await self.refresh()
        if not self._models and self.last_error is not None:
            raise StoreUnavailable(self.last_error)
        if not self._models:
            raise NotReady("no worker is ready yet")

    def _default(
        self, name: str, num_givens: int, fits: Callable[[str], bool]
    ) -> ModelReport | None:
        """Return a model of the task, or else the one of the smallest that takes its puzzles."""
        of_task = [model for model in self._models.values() if model.task == name]
        limits = [(model, model.max_givens) for model in of_task]
        for_few = [model for model, most in limits if most is not None and num_givens <= most]
        solving = [model for model in self._models.values() if model.purpose == "solve"]
        # Of those that are loaded, or else of all, the first.
        fitting = for_few + [model for model in solving if model.task == name]
        if not fitting:
            fitting = [model for model in solving if fits(model.task)]
            fitting.sort(key=lambda model: task(model.task).length)
        return min(fitting, key=lambda model: model.id not in self._loaded, default=None)

    def _named(self, wanted: str) -> ModelReport:
        model = self._known.get(wanted) if "@" in wanted else self._models.get(wanted)
        names_of_loaded = {other.name for other in self._loaded.values()}
        # Workers may have only other weights of this name.
        if model is None or (model.id not in self._loaded and model.name in names_of_loaded):
            names = ", ".join(sorted(self._models))
            raise ModelUnknown(
                f"no model {wanted[:80]!a} is loaded: there are {names}", field="model"
            )
        return model


def _is_of(model: ModelReport, puzzle: str, size: int | None) -> bool:
    known = task(model.task)
    return known.family == puzzle and size in (None, known.size)


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
    """Ids of jobs that ended during the drain or just before, and whose end no client has read."""
    read: deque[str] = field(default_factory=lambda: deque(maxlen=MAX_READ))
    """Ids of the last jobs whose end a client has read."""
    released: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when clients that follow a job must disconnect."""

    def note_read(self, job_id: str) -> None:
        self.unread.discard(job_id)
        self.read.append(job_id)


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
