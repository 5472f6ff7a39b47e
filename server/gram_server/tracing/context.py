"""Where a piece of work stands in a trace, in the form of W3C Trace Context.

Needs no OpenTelemetry: what a caller sends is passed on, and logged, without it too.
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass

from gram_server.logs import logged_with

SAMPLED = 0x01
MAX_STATE_CHARS = 512
"""What a vendor's own part may take; a longer one is left out, as the standard allows."""

MAX_PARENT_CHARS = 128
"""Of which this version of the standard takes 55; versions to come may say more."""

_PARENT = re.compile(
    r"(?P<version>[0-9a-f]{2})-(?P<trace>[0-9a-f]{32})-(?P<span>[0-9a-f]{16})-(?P<flags>[0-9a-f]{2})"
    r"(?P<more>-.*)?"
)


@dataclass(frozen=True, slots=True)
class TraceContext:
    """A span of a trace, for others to go on from."""

    trace_id: str
    """32 hexadecimal digits."""
    span_id: str
    """16 hexadecimal digits."""
    flags: int = 0
    state: str = ""
    """``tracestate``: what vendors of tracing systems carry along."""
    is_remote: bool = False
    """Whether the span is another process's."""

    @classmethod
    def read(cls, parent: str | None, state: str | None = None) -> "TraceContext | None":
        """Return what a caller's ``traceparent`` says; None where it says nothing valid."""
        if parent is None or len(parent) > MAX_PARENT_CHARS:
            return None
        match = _PARENT.fullmatch(parent.strip(" \t"))
        if match is None or match["version"] == "ff":
            return None
        if match["version"] == "00" and match["more"]:
            return None
        if not int(match["trace"], 16) or not int(match["span"], 16):
            return None
        flags = int(match["flags"], 16)
        return cls(match["trace"], match["span"], flags, _read_state(state or ""), is_remote=True)

    @property
    def parent(self) -> str:
        """The value of ``traceparent`` that passes it on."""
        return f"00-{self.trace_id}-{self.span_id}-{self.flags:02x}"

    @property
    def is_sampled(self) -> bool:
        """Whether whoever began the trace records it."""
        return bool(self.flags & SAMPLED)


def current_trace() -> TraceContext | None:
    """Return the span inside which this task runs."""
    return _current.get()


@contextmanager
def inside(context: TraceContext | None, *, is_ours: bool) -> Iterator[None]:
    """Run what follows inside a span, and put its ids on what is logged.

    Args:
        context: of the span; None where there is none.
        is_ours: whether the span is one that this process made, and not its caller's.
    """
    if context is None:
        yield
        return
    token = _current.set(context)
    try:
        with logged_with(trace_id=context.trace_id, span_id=context.span_id if is_ours else None):
            yield
    finally:
        _current.reset(token)


_current: ContextVar[TraceContext | None] = ContextVar("current", default=None)


def _read_state(text: str) -> str:
    # Its length first: a stranger wrote it, and every process would carry it along.
    if len(text) > MAX_STATE_CHARS:
        return ""
    members = [member.strip(" \t") for member in text.split(",")]
    filled = [member for member in members if member]
    return ",".join(filled) if all(_is_member(member) for member in filled) else ""


def _is_member(text: str) -> bool:
    """Whether a text is a name and a value of printable ASCII, in time linear in its length."""
    name, _, value = text.partition("=")
    return bool(name and value) and text.isascii() and text.isprintable()
