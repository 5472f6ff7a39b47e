"""The course of a stream without I/O: what was told so far, and how to go on where it broke.

A job's events are asked for from the last one known. A solve is asked for again: its seed makes
that the same work with the same answers, of which those already told are left out.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Any

import httpx
from pydantic import TypeAdapter, ValidationError

from gram_client._errors import ConnectionFailed, NoAnswer, ResponseInvalid, StatusError
from gram_client._events import (
    Accepted,
    AnyEvent,
    Done,
    EventDecoder,
    Found,
    PartEnded,
    Progress,
    RawEvent,
)
from gram_client._protocol import EVENT_STREAM, Request, problem_error

_OBJECT: TypeAdapter[dict[str, Any]] = TypeAdapter(dict[str, Any])


class Course:
    """One stream, over as many connections as it takes."""

    def __init__(self, request: Request, *, is_replayed: bool) -> None:
        """Begin.

        Args:
            request: Asks for the stream.
            is_replayed: Whether the server remembers events, and goes on after the last one known.
        """
        self._request = request
        self._is_replayed = is_replayed
        self._decoder = EventDecoder()
        self._posted = request.posted
        self._told: set[str] = set()
        self._last = 0
        self._has_ended = False
        self.failure: StatusError | None = None
        """What the stream itself said went wrong."""

    def has_ended(self) -> bool:
        """Say whether nothing more will come."""
        return self._has_ended

    def request(self) -> Request:
        """Return the request of the next connection."""
        self._decoder, self.failure = EventDecoder(), None
        if not (self._is_replayed and self._last):
            return self._request
        headers = {**self._request.headers, "Last-Event-ID": str(self._last)}
        return replace(self._request, headers=headers)

    def open(self, response: httpx.Response) -> None:
        """Look at how a connection answered; raise where it is no stream."""
        if response.status_code == httpx.codes.NO_CONTENT:
            self._has_ended = True
        elif not response.headers.get("Content-Type", "").startswith(EVENT_STREAM):
            raise ResponseInvalid(
                f"{self._request.path} gave no stream of events",
                status_code=response.status_code,
                body=b"",
            )

    def feed(self, chunk: bytes) -> Iterator[AnyEvent]:
        """Yield the events that are complete and new with these bytes."""
        for raw in self._decoder.feed(chunk):
            if raw.kind == "error":
                self.failure = problem_error(raw.data.encode())
                return
            event = self._read(raw)
            self._last = max(self._last, raw.id)
            if event is not None and self._is_new(event):
                yield event

    def broke(self) -> NoAnswer | StatusError:
        """Return why the stream ended before its end."""
        return self.failure or ConnectionFailed(
            f"the stream of {self._request.path} broke before its end"
        )

    def _read(self, raw: RawEvent) -> AnyEvent | None:
        read = READERS.get(raw.kind)
        if read is None:
            # Of a newer server.
            return None
        try:
            event = read(raw.id, _OBJECT.validate_json(raw.data))
        except (ValidationError, KeyError) as error:
            message = f"{self._request.path} sent an event {raw.kind} that cannot be read"
            body = raw.data.encode()
            raise ResponseInvalid(message, status_code=200, body=body) from error
        return self._drawable(event)

    def _drawable(self, event: AnyEvent) -> AnyEvent:
        if isinstance(event, Accepted):
            self._posted = self._posted.of(event.puzzle)
        elif isinstance(event, Found):
            event.solution._posted = self._posted
        elif isinstance(event, Done):
            self._has_ended = True
            if event.result is not None:
                event.result._post(self._posted)
        return event

    def _is_new(self, event: AnyEvent) -> bool:
        """Say whether an event was not told before; take note of it."""
        if self._is_replayed or isinstance(event, Progress | PartEnded | Done):
            return True
        identity = "accepted"
        if isinstance(event, Found):
            identity = event.solution.model_dump_json(include={"answer"})
        is_new = identity not in self._told
        self._told.add(identity)
        return is_new


def _accepted(number: int, data: Mapping[str, Any]) -> Accepted:
    return Accepted.model_validate({**data, "id": number, "job_id": data["id"]})


def _progress(number: int, data: Mapping[str, Any]) -> AnyEvent:
    if "trajectories" in data:
        return Progress.model_validate({**data, "id": number})
    return PartEnded.model_validate({**data, "id": number, "job_id": data["id"]})


def _found(number: int, data: Mapping[str, Any]) -> Found:
    return Found.model_validate({"id": number, "solution": data})


def _done(number: int, data: Mapping[str, Any]) -> Done:
    # A batch has no result of its own.
    return Done.model_validate({"id": number, "result": data if "solutions" in data else None})


READERS: Mapping[str, Callable[[int, Mapping[str, Any]], AnyEvent]] = {
    "accepted": _accepted,
    "progress": _progress,
    "solution": _found,
    "done": _done,
}
"""How each kind of event is read; ``error`` is raised."""
