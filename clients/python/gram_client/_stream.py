"""State of one event stream, without I/O, and how to resume it.

A job's events are asked for from the last one known. A solve is asked for again: its seed makes
that the same work with the same answers, of which those already yielded are left out.
"""

import logging
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import httpx
from pydantic import TypeAdapter, ValidationError

from gram_client._drawing import PuzzleShape
from gram_client._errors import ConnectionFailed, NoAnswer, ResponseInvalid, StatusError
from gram_client._events import (
    EVENT_KINDS,
    Accepted,
    AnyEvent,
    Done,
    EventDecoder,
    Found,
    PartEnded,
    Progress,
    RawEvent,
)
from gram_client._problems import no_answer, status_error, stream_error
from gram_client._requests import EVENT_STREAM, Request, request_id_of, shown
from gram_client._retry import Retry
from gram_client._settings import Settings

logger = logging.getLogger(__name__)

_OBJECT: TypeAdapter[dict[str, Any]] = TypeAdapter(dict[str, Any])


class EventStreamState:
    """The state of one stream, over several connections."""

    def __init__(
        self, request: Request, settings: Settings, retry: Retry, *, is_replayed: bool
    ) -> None:
        """``is_replayed``: the server remembers events, and resumes after the last known one."""
        self._request = request
        self._settings = settings
        self._retry = retry
        self._is_replayed = is_replayed
        self._decoder = EventDecoder()
        self._shape = request.shape
        self._seen: set[str] = set()
        """What was yielded of a solve: its answers, and "" once it was accepted."""
        self._last_id = 0
        self._attempt = 0
        self._failure: StatusError | None = None
        """The problem of the response, or of the stream."""
        self._request_id: str | None = None
        self.has_ended = False
        """Whether no event will follow."""

    def request(self) -> Request:
        self._decoder, self._failure = EventDecoder(), None
        if not (self._is_replayed and self._last_id):
            return self._request
        headers = {**self._request.headers, "Last-Event-ID": str(self._last_id)}
        return replace(self._request, headers=headers)

    def open(self, response: httpx.Response) -> None:
        """Check how a connection answered; raise where it is no stream."""
        self._request_id = request_id_of(response)
        logger.info("%s %s: %s", self._request.method, self._request.path, shown(response))
        if not response.is_success:
            self._failure = status_error(response)
        elif response.status_code == httpx.codes.NO_CONTENT:
            self.has_ended = True
        elif not response.headers.get("Content-Type", "").startswith(EVENT_STREAM):
            raise ResponseInvalid(
                f"{self._request.path} gave no stream of events",
                status_code=response.status_code,
                body=b"",
                request_id=self._request_id,
            )

    def feed(self, chunk: bytes) -> Iterator[AnyEvent]:
        """Yield the events that these bytes complete and that are new."""
        if self._failure is not None:
            return
        for raw in self._decoder.feed(chunk):
            if raw.kind == "error":
                self._failure = stream_error(raw.data.encode())
                return
            event = self._read(raw)
            self._last_id = max(self._last_id, raw.id)
            if event is None:
                continue
            if not self._is_replayed and isinstance(event, Accepted | Found):
                identity = ""
                if isinstance(event, Found):
                    identity = event.solution.model_dump_json(include={"answer"})
                if identity in self._seen:
                    continue
                self._seen.add(identity)
            self._attempt = 0
            yield event

    def closed_early(self, error: httpx.RequestError | None) -> float:
        """Return the seconds to wait before reconnecting; raise where that cannot help."""
        reason: NoAnswer | StatusError
        if self._failure is not None:
            reason = self._failure
        elif error is not None:
            reason = no_answer(error, self._settings)
        else:
            reason = ConnectionFailed(f"the stream of {self._request.path} broke before its end")
        delay_s = self._retry.delay_s(reason, attempt=self._attempt)
        if delay_s is None:
            raise reason
        self._attempt += 1
        where = self._request.method, self._request.path
        logger.info("%s %s again in %.2f s: %s", *where, delay_s, reason)
        return delay_s

    def _read(self, raw: RawEvent) -> AnyEvent | None:
        try:
            event = _parse(raw, self._shape)
        except (ValidationError, KeyError) as error:
            message = f"{self._request.path} sent an event {raw.kind} that cannot be read"
            body, request_id = raw.data.encode(), self._request_id
            raise ResponseInvalid(
                message, status_code=200, body=body, request_id=request_id
            ) from error
        if isinstance(event, Accepted):
            self._shape = replace(self._shape, puzzle=event.puzzle)
        elif isinstance(event, Done):
            self.has_ended = True
            if event.result is not None:
                event.result._of_request(self._request_id)
        return event


def _parse(raw: RawEvent, shape: PuzzleShape) -> AnyEvent | None:
    """Return the typed event; None for an event type of a newer server."""
    if raw.kind not in EVENT_KINDS:
        return None
    data = _OBJECT.validate_json(raw.data)
    if raw.kind == "accepted":
        return Accepted.model_validate({**data, "id": raw.id, "job_id": data["id"]})
    if raw.kind == "progress" and "trajectories" in data:
        return Progress.model_validate({**data, "id": raw.id})
    if raw.kind == "progress":
        return PartEnded.model_validate({**data, "id": raw.id, "job_id": data["id"]})
    if raw.kind == "solution":
        return Found.model_validate({"id": raw.id, "solution": data}, context=shape)
    # A batch has no result of its own.
    result = data if "solutions" in data else None
    return Done.model_validate({"id": raw.id, "result": result}, context=shape)
