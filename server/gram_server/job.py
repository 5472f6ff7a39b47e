"""Jobs, events and reports that the API process and workers exchange, also as JSON; never pickle.

Knows no HTTP, store, engine or puzzle rules.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from enum import StrEnum
from typing import Any, Literal, TypeVar, get_args

from gram_server.errors import ConfigError, JobUnreadable

Halt = Literal["verified", "act", "settled", "never"]
Fallback = Literal["none", "exact"]
Count = Literal["none", "exact"]
Purpose = Literal["solve", "generate"]
Priority = Literal["high", "normal", "low"]

HALTS: tuple[Halt, ...] = get_args(Halt)
PRIORITY_CLASSES: tuple[Priority, ...] = ("high", "normal", "low")
"""Names of the priority classes: ``Job.priority`` is a position here, 0 first served."""
Data = dict[str, Any]
DEFAULT_WIDTH = 16
MAX_SEED = 2**63 - 1
_T = TypeVar("_T")


class JobState(StrEnum):
    """Where a job stands; the last four are final and every job reaches exactly one of them."""

    QUEUED = "queued"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"
    EXPIRED = "expired"

    @property
    def is_final(self) -> bool:
        return self not in (JobState.QUEUED, JobState.RUNNING)


class EventKind(StrEnum):
    """Kinds of job events; ``done`` and ``error`` are the last of a job."""

    ACCEPTED = "accepted"
    PROGRESS = "progress"
    SOLUTION = "solution"
    DONE = "done"
    ERROR = "error"

    @property
    def is_final(self) -> bool:
        return self in (EventKind.DONE, EventKind.ERROR)


@dataclass(frozen=True, slots=True, kw_only=True)
class SolveOptions:
    """How trajectories are run, with all defaults resolved."""

    model: str
    """Name of the model, as in ``WorkerReport.models``."""
    seed: int
    """0 .. 2**63 - 1; with the model it fixes the result."""
    width: int = DEFAULT_WIDTH
    """Trajectories."""
    depth: int | None = None
    """Supervision steps a trajectory may take; None is the model's default."""
    max_solutions: int | None = None
    """Stop the job at this many distinct solutions; None explores the whole width."""
    deadline_ms: int | None = None
    """As requested; ``Job.deadline_s`` is the resulting time."""
    augment: bool = True
    """Whether each trajectory sees the puzzle through its own symmetry."""
    halt: Halt = "verified"
    """When a trajectory stops before ``depth``."""
    fallback: Fallback = "none"
    """Solver for a puzzle that no trajectory solved."""
    count: Count = "none"
    """How ``completeness.total`` is found."""
    best_attempt: bool = True
    """Whether to return the nearest answer if none is valid."""
    decodes: int = 0
    """Trajectories shown while they run; changes no answer."""

    def __post_init__(self) -> None:
        """Check values again; the API checks first, with better messages."""
        bounds = {"width": 1, "seed": 0, "decodes": 0}
        optional = ("depth", "max_solutions", "deadline_ms")
        bounds |= {name: 1 for name in optional if getattr(self, name) is not None}
        for name, least in bounds.items():
            if getattr(self, name) < least:
                raise ConfigError(name, getattr(self, name), f"must be at least {least}")
        if self.seed > MAX_SEED:
            raise ConfigError("seed", self.seed, "must be at most 2**63 - 1")
        words = {"halt": HALTS, "fallback": get_args(Fallback), "count": get_args(Count)}
        for name, known in words.items():
            if getattr(self, name) not in known:
                raise ConfigError(name, getattr(self, name), f"must be one of {known}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Sampling:
    """Options of a ``POST /generate`` job: boards are generated from an empty instance.

    ``SolveOptions.max_solutions`` boards are taken, lowest trajectories first.
    """

    is_distinct: bool = True
    """Whether duplicate boards are dropped."""
    is_thinned: bool = False
    """Whether each board is reduced to a puzzle whose only solution it is."""
    num_clues: int | None = None
    """Givens at which the reduction stops; None removes as many as possible."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One request for a puzzle to be solved, or for boards to be generated."""

    id: str
    puzzle: str
    """Name of the family."""
    task: str
    """Name of the task, such as ``sudoku-9x9``."""
    model: str
    """Name of the model (without fingerprint)."""
    fingerprint: str | None = None
    """Fingerprint of the required weights; None if the model's name is enough."""
    body: Mapping[str, object]
    """Canonical JSON body: ``family.parse(body)`` is the instance."""
    options: SolveOptions
    submitted_s: float
    """``time.time()`` at acceptance."""
    deadline_s: float | None = None
    """``time.time()`` at which the job expires."""
    priority: int = 1
    """Position in PRIORITY_CLASSES."""
    attempt: int = 0
    """Workers lost while they held the job."""
    client: str = ""
    """Name of an API key, or an address. Exact searches alternate between clients."""
    owner: str | None = None
    """Who may read the job later; None when its request waits for the answer."""
    batch: str | None = None
    """Id of the batch that the job is a part of."""
    num_parts: int = 0
    """Jobs of a batch, which no worker claims itself; 0 for any other job."""
    sampling: Sampling | None = None
    """Set when boards are to be generated; ``body`` is then an empty instance."""
    request_id: str | None = None
    """Id of the request that submitted the job."""
    traceparent: str | None = None
    """W3C Trace Context of the parent of the worker's span."""
    tracestate: str | None = None

    @property
    def route(self) -> str:
        """What a worker must have loaded: a model, by name or by name@fingerprint."""
        return self.model if self.fingerprint is None else f"{self.model}@{self.fingerprint}"

    @property
    def log_ids(self) -> dict[str, str]:
        """Ids for log lines about the job."""
        trace_id = None if self.traceparent is None else self.traceparent[3:35]
        ids = {"job_id": self.id, "request_id": self.request_id, "trace_id": trace_id}
        return {name: value for name, value in ids.items() if value is not None}


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """One thing that happened to a job."""

    kind: EventKind
    data: Mapping[str, object]
    id: int = 0
    """Position in the job's events, from 1; 0 until the store numbers it."""

    @property
    def is_passing(self) -> bool:
        """Whether the next event of its kind supersedes it: trajectory progress."""
        return self.kind is EventKind.PROGRESS and "trajectories" in self.data

    @property
    def identity(self) -> Mapping[str, object]:
        """Fields that identify one solution among repeated events."""
        return {name: self.data[name] for name in ("answer", "trajectory") if name in self.data}


@dataclass(frozen=True, slots=True, kw_only=True)
class JobError:
    """Why a job failed."""

    code: str
    detail: str


@dataclass(frozen=True, slots=True, kw_only=True)
class JobRecord:
    """A job with its state and results so far."""

    job: Job
    state: JobState
    result: Mapping[str, object] | None = None
    """The response of ``POST /solve`` or ``POST /generate``; set when ``state`` is done (or expired
    with a result)."""
    error: JobError | None = None
    """Set when ``state`` is failed."""
    solutions: tuple[Mapping[str, object], ...] = ()
    """Data of the solution events so far."""
    started_s: float | None = None
    """``time.time()`` when a worker last claimed the job."""
    finished_s: float | None = None
    """``time.time()`` when ``state`` became final."""
    parts: tuple["JobRecord", ...] = ()
    """The jobs of a batch, in their order."""


class WorkerState(StrEnum):
    """State of a worker."""

    STARTING = "starting"
    READY = "ready"
    DRAINING = "draining"


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelReport:
    """A model that a worker has loaded."""

    name: str
    task: str
    fingerprint: str
    depth: int
    """Default supervision steps."""
    num_parameters: int
    purpose: Purpose = "solve"
    max_givens: int | None = None
    """Boards with at most so many givens go to this model before any other."""

    @property
    def id(self) -> str:
        """Name and fingerprint, as answers carry it."""
        return f"{self.name}@{self.fingerprint}" if self.fingerprint else self.name


EXACT = ModelReport(name="exact", task="", fingerprint="", depth=0, num_parameters=0)
"""Stands for a model in jobs that exact search alone answers; every worker takes them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerReport:
    """A worker's report, sent on change and every few seconds."""

    worker: str
    """Name of the worker, such as ``host-pid``."""
    state: WorkerState
    device: str = "cpu"
    models: tuple[ModelReport, ...] = ()
    phases: Mapping[str, float] = field(default_factory=dict)
    """Seconds each phase of the start took: ``import``, ``load``, ``warm_up``."""
    num_slots: int = 0
    has_solver: bool = True
    """Whether it has OR-tools, which some families need for exact search."""
    live_trajectories: int = 0
    waiting_trajectories: int = 0
    metrics_text: str = ""
    """Prometheus exposition of the worker's own registry."""


JobOutcome = Literal["solved", "answered", "unsolved", "partial", "deadline", "cancelled", "failed"]
"""How a job ended; ``answered`` is with candidates that nothing verifies; ``partial`` and
``deadline`` were cut short, with and without solutions."""

_OUTCOMES: Mapping[str, JobOutcome] = {
    "solved": "solved",
    "complete": "solved",
    "answered": "answered",
    "partial": "partial",
}


def outcome_of(
    state: JobState, result: Mapping[str, object] | None, *, has_solutions: bool = False
) -> JobOutcome:
    """Return how a job ended; ``has_solutions`` matters where there is no result."""
    if state is JobState.FAILED:
        return "failed"
    if state is JobState.CANCELLED:
        return "cancelled"
    if result:
        has_solutions = any(result.get(name) for name in ("solutions", "candidates", "boards"))
    outcome = _OUTCOMES.get(str((result or {}).get("status", "partial")), "unsolved")
    return outcome if outcome != "partial" or has_solutions else "deadline"


_KINDS: tuple[Any, ...] = (Job, SolveOptions, Sampling, Event, JobError, WorkerReport, ModelReport)
_FIELDS = {kind: dict.fromkeys(each.name for each in fields(kind)) for kind in _KINDS}
_encode = json.JSONEncoder(separators=(",", ":"), allow_nan=False).encode


def to_bytes(data: Mapping[str, object]) -> bytes:
    """Return compact JSON; refuses NaN, which is not JSON."""
    return _encode(data).encode()


def from_bytes(text: bytes) -> Data:
    """Raise ``ValueError`` for anything but a JSON object."""
    data = json.loads(text.decode())
    if not isinstance(data, dict):
        raise ValueError("not a JSON object")
    return data


def dump(value: Any) -> Data:
    """Return a job, an event, an error or a report as a JSON object."""
    return {name: _plain(getattr(value, name)) for name in _FIELDS[type(value)]}


def _plain(value: Any) -> Any:
    if isinstance(value, tuple):
        return [dump(each) for each in value]
    return dump(value) if type(value) in _FIELDS else value


def load_job(data: Data) -> Job:
    """Raise ``JobUnreadable`` for anything that ``dump`` did not write."""
    try:
        options = _load(SolveOptions, data["options"])
        sampling = data.get("sampling")
        sampling = None if sampling is None else _load(Sampling, sampling)
        return _load(Job, {**data, "options": options, "sampling": sampling})
    except (ConfigError, AttributeError, KeyError, TypeError) as error:
        raise JobUnreadable(f"a job of another version cannot be read: {error}") from error


def load_event(data: Data) -> Event:
    return _load(Event, {**data, "kind": EventKind(data["kind"])})


def load_report(data: Data) -> WorkerReport:
    models = tuple(_load(ModelReport, model) for model in data["models"])
    return _load(WorkerReport, {**data, "state": WorkerState(data["state"]), "models": models})


def _load(kind: type[_T], data: Data) -> _T:
    """Build a dataclass; ignore fields that a newer writer added."""
    names = _FIELDS[kind]
    return kind(**{name: value for name, value in data.items() if name in names})
