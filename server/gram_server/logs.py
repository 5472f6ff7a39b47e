"""Log lines as JSON objects on standard error, for each request and each change of state.

On a terminal, where people read them, only what they wait for and what is wrong, in words.

Every line carries the ids of the request and the job that it is about. Puzzles and answers are
never logged. Lines that repeat can be limited. Knows nothing of the server.
"""

import json
import logging
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from types import TracebackType

IDS = ("request_id", "job_id", "trace_id", "span_id", "client", "key")
"""Ids of a line's subject, and of the caller: address, and name of the API key."""
FACTS = ("method", "route", "status", "duration_ms")
"""Fields of the line about an answered request."""
FOR_PEOPLE = {"is_for_people": True}
"""Marks lines that people at a terminal wait for."""
EVERY_S = 60.0
"""Least seconds between equal lines."""
MAX_TEXTS = 100
"""Lines that are remembered; beyond it the oldest is dropped."""

logger = logging.getLogger(__name__)

_bound: ContextVar[dict[str, str] | None] = ContextVar("bound", default=None)


class JsonFormatter(logging.Formatter):
    """Formats a record as one JSON object, with the hidden texts replaced."""

    def __init__(self, hidden: Iterable[str] = ()) -> None:
        super().__init__()
        # Longest first, as one may contain another.
        self._hidden = sorted(hidden, key=len, reverse=True)

    def format(self, record: logging.LogRecord) -> str:
        seconds = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
        line = {
            "time": f"{seconds}.{int(record.msecs):03d}Z",
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": self._without_hidden(record.getMessage()),
        }
        line |= _bound.get() or {}
        extra = vars(record)
        line |= {name: extra[name] for name in (*IDS, *FACTS) if name in extra}
        if record.exc_info:
            line["exception"] = self._without_hidden(self.formatException(record.exc_info))
        return json.dumps(line)

    def _without_hidden(self, text: str) -> str:
        for secret in self._hidden:
            text = text.replace(secret, "***")
        return text


class PlainFormatter(JsonFormatter):
    """Formats a record for people."""

    def format(self, record: logging.LogRecord) -> str:
        level = "" if record.levelno == logging.INFO else f"{record.levelname.lower()}: "
        cause = f"\n{self.formatException(record.exc_info)}" if record.exc_info else ""
        return self._without_hidden(f"{level}{record.getMessage()}{cause}")


@contextmanager
def logged_with(**ids: str | None) -> Iterator[None]:
    """Add ids to every line logged inside, by this task and those that it starts."""
    token = _bound.set({**(_bound.get() or {}), **_known(ids)})
    try:
        yield
    finally:
        _bound.reset(token)


def also_logged_with(**ids: str | None) -> None:
    """Add ids to further lines of the innermost ``logged_with``."""
    bound = _bound.get()
    if bound is not None:
        bound.update(_known(ids))


def set_up_logging(level: str, *, hidden: Iterable[str] = ()) -> None:
    """Log to standard error; libraries log only warnings and errors.

    Uncaught exceptions and Python warnings are logged too. ``hidden`` texts are replaced.
    """
    handler = logging.StreamHandler(sys.stderr)
    is_read = sys.stderr.isatty()
    handler.setFormatter((PlainFormatter if is_read else JsonFormatter)(hidden))
    if is_read and level != "debug":
        handler.addFilter(
            lambda line: line.levelno >= logging.WARNING or hasattr(line, "is_for_people")
        )
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
    for library in ("uvicorn", "asyncio", "opentelemetry", "urllib3"):
        logging.getLogger(library).setLevel(logging.WARNING)
    # Its warnings quote request headers.
    logging.getLogger("opentelemetry.trace.span").setLevel(logging.ERROR)
    logging.captureWarnings(True)
    sys.excepthook = _log_uncaught
    threading.excepthook = lambda ended: _log_uncaught(
        ended.exc_type, ended.exc_value, ended.exc_traceback
    )


def _log_uncaught(
    kind: type[BaseException], error: BaseException | None, traceback: TracebackType | None
) -> None:
    if error is not None and not issubclass(kind, KeyboardInterrupt | SystemExit):
        logger.critical("%s: %s", kind.__name__, error, exc_info=(kind, error, traceback))


def _known(ids: dict[str, str | None]) -> dict[str, str]:
    return {name: value for name, value in ids.items() if value is not None}


@dataclass(slots=True)
class _Said:
    at_s: float
    num_unsaid: int = 0


class SparseLog:
    """Writes each line at most once a minute, with the number suppressed since then."""

    def __init__(
        self, logger: logging.Logger, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._logger = logger
        self._clock = clock
        self._said: dict[str, _Said] = {}

    def say(
        self, level: int, text: str, *arguments: object, exc_info: BaseException | None = None
    ) -> bool:
        """Write a line, unless it was written recently; return whether it was written."""
        line = text % arguments
        now_s = self._clock()
        said = self._said.pop(line, None)
        if said is not None and now_s < said.at_s + EVERY_S:
            said.num_unsaid += 1
            self._said[line] = said
            return False
        if said is not None and said.num_unsaid:
            passed_s = now_s - said.at_s
            more = f" ({said.num_unsaid} times more in the last {passed_s:.0f} s)"
            self._logger.log(level, "%s%s", line, more, exc_info=exc_info)
        else:
            self._logger.log(level, "%s", line, exc_info=exc_info)
        self._said[line] = _Said(now_s)
        if len(self._said) > MAX_TEXTS:
            del self._said[next(iter(self._said))]
        return True

    def forget(self, text: str, *arguments: object) -> None:
        """Let the next such line through at once: its condition has ended."""
        self._said.pop(text % arguments, None)
