"""What happens to a job, as typed events, and the bytes of server-sent events they come in.

Knows no HTTP and no job.
"""

from collections.abc import Iterator
from typing import Literal, NamedTuple

from gram_client._drawing import Answer
from gram_client._models import Model, Solution, SolveResult


class Sight(Model):
    """A trajectory on its way."""

    trajectory: int
    step: int
    """Supervision steps it had taken."""
    answer: Answer
    """What it would answer now; a solution only where it is ``solved``."""
    state: Literal["running", "solved", "halted", "exhausted"]


class Event(Model):
    """Something that happened to a job."""

    id: int
    """Grows with every event of a stream; there may be gaps."""


class Accepted(Event):
    """The job is in the queue."""

    job_id: str
    puzzle: str
    model: str
    width: int
    depth: int | None = None
    seed: int
    """Repeats the work, with the same model."""


class Progress(Event):
    """How the trajectories of a job with ``decodes`` stand."""

    step: int
    """Most supervision steps that any of them has taken."""
    live: int
    """Trajectories that are being run."""
    solved: int
    """Trajectories that have found a valid answer."""
    trajectories: tuple[Sight, ...]


class PartEnded(Event):
    """A part of a batch is final."""

    job_id: str
    state: str


class Found(Event):
    """A new distinct solution; its votes are those it has so far."""

    solution: Solution


class Done(Event):
    """The end of a job, with its result; a batch has none, its parts do."""

    result: SolveResult | None


AnyEvent = Accepted | Progress | PartEnded | Found | Done


class RawEvent(NamedTuple):
    """One server-sent event."""

    id: int
    kind: str
    data: str


class EventDecoder:
    """Reads server-sent events from bytes, wherever those are cut."""

    def __init__(self) -> None:
        self._rest = b""
        self._fields: dict[str, list[str]] = {}

    def feed(self, chunk: bytes) -> Iterator[RawEvent]:
        """Yield the events that are complete with these bytes."""
        *lines, self._rest = (self._rest + chunk).split(b"\n")
        for line in lines:
            text = line.rstrip(b"\r").decode(errors="replace")
            if not text:
                yield from self._close()
            elif not text.startswith(":"):
                name, _, value = text.partition(":")
                self._fields.setdefault(name, []).append(value.removeprefix(" "))

    def _close(self) -> Iterator[RawEvent]:
        fields, self._fields = self._fields, {}
        if "data" in fields:
            number = fields.get("id", ["0"])[-1]
            yield RawEvent(
                id=int(number) if number.isdecimal() else 0,
                kind=fields.get("event", ["message"])[-1],
                data="\n".join(fields["data"]),
            )
