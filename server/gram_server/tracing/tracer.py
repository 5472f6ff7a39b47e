"""Spans: pieces of work with a beginning, an end and a place in a trace.

What is here records nothing and only carries the caller's trace on; recording.py, which needs
OpenTelemetry, records. Attributes never hold a puzzle or an answer, nor the text of an error.
"""

import asyncio
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from enum import StrEnum

from gram_server.tracing.context import TraceContext, current_trace, inside

Value = str | int | float | bool
Attributes = Mapping[str, Value]


class Kind(StrEnum):
    """What a span is to the span above it."""

    INTERNAL = "internal"
    SERVER = "server"
    CLIENT = "client"
    PRODUCER = "producer"
    CONSUMER = "consumer"


class Span:
    """A piece of work that nobody records."""

    is_recording = False

    def __init__(self, context: TraceContext | None) -> None:
        self.context = context
        """What work that is handed on goes on from."""

    @property
    def is_ours(self) -> bool:
        """Whether ``context`` is that of this span, and not of the one above it."""
        return False

    def rename(self, name: str) -> None:
        """Give the span the name that became known."""

    def set(self, attributes: Attributes) -> None:
        """Add what became known of the work."""

    def add_event(
        self, name: str, *, at_s: float | None = None, attributes: Attributes | None = None
    ) -> None:
        """Note a moment, on the clock of ``time.time()``; now without one."""

    def fail(self, reason: str) -> None:
        """Mark the work as failed, by a code or the name of an error."""

    def end(self, at_s: float | None = None) -> None:
        """End the work."""


class Tracer:
    """Begins spans; this one records none."""

    def start(
        self,
        name: str,
        *,
        parent: TraceContext | None,
        kind: Kind = Kind.INTERNAL,
        start_s: float | None = None,
        attributes: Attributes | None = None,
    ) -> Span:
        """Begin a span, now or at a moment of ``time.time()``; the caller ends it."""
        return Span(parent)

    @contextmanager
    def span(
        self,
        name: str,
        *,
        parent: TraceContext | None = None,
        kind: Kind = Kind.INTERNAL,
        attributes: Attributes | None = None,
    ) -> Iterator[Span]:
        """Do work inside a span, by default below the one that this task is in."""
        span = self.start(name, parent=parent or current_trace(), kind=kind, attributes=attributes)
        with inside(span.context, is_ours=span.is_ours):
            try:
                yield span
            except (asyncio.CancelledError, GeneratorExit):
                span.add_event("cancelled")
                raise
            except BaseException as error:
                span.fail(reason_of(error))
                raise
            finally:
                span.end()

    def close(self) -> None:
        """Send what was recorded and not yet sent."""


def reason_of(error: BaseException) -> str:
    """Return the code or the name of an error; its text may quote a puzzle."""
    return str(getattr(error, "code", None) or type(error).__name__)
