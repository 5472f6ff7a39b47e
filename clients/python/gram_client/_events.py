"""Typed events of a job, and the server-sent events that carry them.

Knows no HTTP and no job.
"""

import re
from collections.abc import Iterator
from typing import ClassVar, Final, Literal, NamedTuple, get_args

from gram_client._drawing import Answer
from gram_client._errors import ResponseInvalid
from gram_client._models import Model, Solution, SolveResult


class TrajectoryView(Model):
    """A running trajectory."""

    trajectory: int
    step: int
    """Supervision steps it had taken."""
    answer: Answer
    """What it would answer now; a solution only where it is ``solved``."""
    state: Literal["running", "solved", "halted", "exhausted"]


class Event(Model):
    """An event of a job."""

    id: int
    """Grows with every event of a stream; there may be gaps."""

    kind: ClassVar[str]
    """Its name in the stream."""


class Accepted(Event):
    """The job is in the queue."""

    kind: ClassVar[str] = "accepted"
    job_id: str
    puzzle: str
    model: str
    width: int
    depth: int | None = None
    seed: int
    """Repeats the work, with the same model."""


class Progress(Event):
    """The state of the trajectories of a job with ``show_trajectories``."""

    kind: ClassVar[str] = "progress"
    step: int
    """Most supervision steps that any of them has taken."""
    live: int
    """Trajectories that are being run."""
    solved: int
    """Trajectories that have found a valid answer."""
    solved_at: tuple[int, ...] = ()
    """How many of them found it at each supervision step, from 1, also those that are not shown."""
    trajectories: tuple[TrajectoryView, ...]


class PartEnded(Event):
    """A part of a batch is final."""

    kind: ClassVar[str] = "progress"
    job_id: str
    state: str


class Found(Event):
    """A new distinct solution; its votes are those it has so far."""

    kind: ClassVar[str] = "solution"
    solution: Solution


class Done(Event):
    """The end of a job, with its result; a batch has none, its parts do."""

    kind: ClassVar[str] = "done"
    result: SolveResult | None


AnyEvent = Accepted | Progress | PartEnded | Found | Done
EVENT_KINDS: Final = frozenset(event.kind for event in get_args(AnyEvent))


class RawEvent(NamedTuple):
    """One server-sent event."""

    id: int
    kind: str
    data: str


MAX_EVENT_BYTES: Final = 64 * 2**20
"""Longest event; more is an error."""
_LINE_END: Final = re.compile(rb"\r\n|\r|\n")
_BYTE_ORDER_MARK: Final = b"\xef\xbb\xbf"
_MAX_ID_DIGITS: Final = 18


class EventDecoder:
    """Reads server-sent events from chunks of bytes, in linear time.

    Lines end in LF, CR or CRLF (HTML standard, section 9.2.6). An id that is no number counts as 0,
    one with a NUL as none.
    """

    def __init__(self) -> None:
        self._line: list[bytes] = []
        self._num_bytes = 0
        self._is_first_line = True
        self._ended_in_cr = False
        self._fields: dict[str, str] = {}
        self._data: list[str] = []

    def feed(self, chunk: bytes) -> Iterator[RawEvent]:
        """Yield the events that are complete with these bytes.

        Raises:
            ResponseInvalid: an event has more than ``MAX_EVENT_BYTES``.
        """
        if not chunk:
            return
        ended_in_cr, self._ended_in_cr = self._ended_in_cr, chunk.endswith(b"\r")
        if ended_in_cr:
            chunk = chunk.removeprefix(b"\n")
        rest, *others = _LINE_END.split(chunk)
        self._keep(rest)
        for following in others:
            line = b"".join(self._line)
            self._line = []
            yield from self._read(line)
            self._keep(following)

    def _keep(self, part: bytes) -> None:
        self._num_bytes += len(part)
        if self._num_bytes > MAX_EVENT_BYTES:
            message = f"the stream sent an event of more than {MAX_EVENT_BYTES} bytes"
            raise ResponseInvalid(message, status_code=200, body=b"")
        self._line.append(part)

    def _read(self, line: bytes) -> Iterator[RawEvent]:
        if self._is_first_line:
            self._is_first_line = False
            line = line.removeprefix(_BYTE_ORDER_MARK)
        if not line:
            fields, self._fields = self._fields, {}
            data, self._data = self._data, []
            self._num_bytes = 0
            if data:
                number, kind = _number(fields.get("id", "")), fields.get("event") or "message"
                yield RawEvent(number, kind, "\n".join(data))
            return
        name, _, value = line.decode(errors="replace").partition(":")
        value = value.removeprefix(" ")
        if name == "data":
            self._data.append(value)
        elif name == "event" or (name == "id" and "\0" not in value):
            self._fields[name] = value
        else:
            # A comment, or an ignored field, does not count against the limit.
            self._num_bytes -= len(line)


def _number(text: str) -> int:
    is_number = text.isascii() and text.isdecimal() and len(text) <= _MAX_ID_DIGITS
    return int(text) if is_number else 0
