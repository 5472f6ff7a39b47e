"""Jobs, events and reports as JSON values and back; never pickle.

Shared by every store that crosses a process boundary. Knows the types of job.py and nothing else.
"""

import json
from collections.abc import Mapping
from dataclasses import fields
from typing import Any, TypeVar

from gram_server.errors import ConfigError, JobUnreadable
from gram_server.job import (
    Event,
    EventKind,
    Job,
    ModelReport,
    Sampling,
    SolveOptions,
    WorkerReport,
    WorkerState,
)

Data = dict[str, Any]

_T = TypeVar("_T")

_KINDS: tuple[Any, ...] = (Job, SolveOptions, Sampling, Event, WorkerReport, ModelReport)
_FIELDS = {kind: dict.fromkeys(field.name for field in fields(kind)) for kind in _KINDS}
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


def dump_job(job: Job) -> Data:
    sampling = None if job.sampling is None else _dump(job.sampling)
    return {**_dump(job), "options": _dump(job.options), "sampling": sampling}


def load_job(data: Data) -> Job:
    """Raise ``JobUnreadable`` for anything that ``dump_job`` did not write."""
    try:
        options = _load(SolveOptions, data["options"])
        sampling = data.get("sampling")
        if sampling is not None:
            sampling = _load(Sampling, sampling)
        return _load(Job, {**data, "options": options, "sampling": sampling})
    except (ConfigError, AttributeError, KeyError, TypeError) as error:
        raise JobUnreadable(f"a job of another version cannot be read: {error}") from error


def dump_event(event: Event) -> Data:
    return _dump(event)


def load_event(data: Data) -> Event:
    return _load(Event, {**data, "kind": EventKind(data["kind"])})


def dump_report(report: WorkerReport) -> Data:
    return {**_dump(report), "models": [_dump(model) for model in report.models]}


def load_report(data: Data) -> WorkerReport:
    models = tuple(_load(ModelReport, model) for model in data["models"])
    return _load(WorkerReport, {**data, "state": WorkerState(data["state"]), "models": models})


def _dump(value: Any) -> Data:
    return {name: getattr(value, name) for name in _FIELDS[type(value)]}


def _load(kind: type[_T], data: Data) -> _T:
    """Build a dataclass; ignore fields that a newer writer added."""
    names = _FIELDS[kind]
    return kind(**{name: value for name, value in data.items() if name in names})
