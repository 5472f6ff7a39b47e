"""The process that runs exact searches, one at a time, until its worker ends.

Reads requests and writes replies as lines of JSON. It is separate so that no search holds the
engine's GIL, and any search can be killed. Imports no model code.
"""

import json
import os
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from queue import SimpleQueue
from typing import Any, BinaryIO

import numpy as np

from gram_core.errors import ExactTimeout, ExactUnavailable
from gram_core.puzzles import AnyFamily, Countable, Generative, Tokens, family

MAX_COUNTED = 10_000
"""Most solutions that are counted by enumeration."""
NICENESS = 12
"""Higher than the engine's, so that searches yield to it."""

POLL_S = 0.02
"""Seconds between checks for a stop while a search waits for the solver."""

Data = dict[str, Any]
"""A decoded JSON object."""


@dataclass(frozen=True, slots=True)
class _Work:
    request: Data
    stop: threading.Event = field(default_factory=threading.Event)


def main() -> None:
    """Answer requests until the worker closes the pipe."""
    for number in (signal.SIGINT, signal.SIGTERM):
        # The worker handles them and ends its searches itself.
        signal.signal(number, signal.SIG_IGN)
    replies = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    # A solver's own output must not mix with the replies.
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    inbox: SimpleQueue[_Work] = SimpleQueue()
    is_warm = threading.Event()
    threading.Thread(target=_receive, args=(sys.stdin.buffer, inbox), daemon=True).start()
    threading.Thread(target=_warm_up, args=(is_warm,), daemon=True).start()
    # Affects this thread and threads that it starts later.
    os.nice(NICENESS)
    _reply(replies, {"is_ready": True})
    while True:
        work = inbox.get()
        reply = answer(work.request, work.stop.is_set, is_warm=is_warm)
        _reply(replies, {"number": work.request["number"], **reply})


def answer(
    request: Data, is_cancelled: Callable[[], bool], *, is_warm: threading.Event | None = None
) -> Data:
    """Return the reply to a request, also when the search fails.

    Args:
        request: what to search for, with its limits.
        is_cancelled: polled during the search.
        is_warm: set once the solver is imported; searches that need the solver wait for it.
    """
    try:
        if is_warm is not None and not _can_begin(request, is_cancelled, is_warm):
            return without_search("time")
        if request["kind"] == "reduce":
            return reduce_clues(request)
        return search(request, is_cancelled)
    except Exception:
        # Families of other packages may raise anything, and it must end this search alone.
        return {**without_search("failed"), "why": traceback.format_exc()}


def without_search(ended: str) -> Data:
    """Return the reply where nothing was searched."""
    return {"ended": ended, "answers": [], "num_found": 0, "total": None}


def search(request: Data, is_cancelled: Callable[[], bool]) -> Data:
    """Return verified solutions, their total if requested, and how the search ended."""
    rules, wants_total = family(request["puzzle"]), request["wants_total"]
    instance = rules.parse(request["body"])
    total: int | None = None
    num_answers = limit = request["num_answers"]
    if wants_total and isinstance(rules, Countable):
        total, wants_total = rules.count(instance), False
    if wants_total:
        limit = max(MAX_COUNTED + 1, num_answers)
    found: list[Tokens] = []
    ended = "complete"
    try:
        for tokens in _solutions(rules, instance, request, limit=limit, is_cancelled=is_cancelled):
            if not rules.check(instance, tokens):
                raise ArithmeticError("the exact solver gave a wrong answer")
            found.append(tokens)
    except ExactTimeout:
        ended = "time"
    except ExactUnavailable:
        ended = "unavailable"
    if wants_total and ended == "complete":
        ended, total = ("limit", None) if len(found) > MAX_COUNTED else ("complete", len(found))
    answers = [tokens.tobytes().hex() for tokens in found[:num_answers]]
    return {"ended": ended, "answers": answers, "num_found": len(found), "total": total}


def _solutions(
    rules: AnyFamily,
    instance: object,
    request: Data,
    *,
    limit: int,
    is_cancelled: Callable[[], bool],
) -> Iterator[Tokens]:
    """Yield solutions; after the time limit, only the first ``num_answers``."""
    max_time_s, num_answers = request["max_time_s"], request["num_answers"]
    until_s = time.monotonic() + max_time_s
    until_cpu_s = time.process_time() + request["max_cpu_s"]

    def should_stop() -> bool:
        return is_cancelled() or time.monotonic() >= until_s or time.process_time() >= until_cpu_s

    found = rules.enumerate(instance, limit=limit, max_time_s=max_time_s, should_stop=should_stop)
    for number, tokens in enumerate(found):
        if number >= num_answers and should_stop():
            raise ExactTimeout(f"stopped with {number} solutions")
        yield tokens


def reduce_clues(request: Data) -> Data:
    """Return a puzzle whose only solution is the board; the same key gives the same puzzle."""
    rules = family(request["puzzle"])
    if not isinstance(rules, Generative):
        raise TypeError(f"boards of {request['puzzle']} cannot be reduced")
    board = np.frombuffer(bytes.fromhex(request["board"]), np.uint8)
    rng = np.random.Generator(np.random.Philox(key=np.array(request["key"], np.uint64)))
    instance = rules.reduce(rules.task(request["task"]), board, rng, num_clues=request["num_clues"])
    answers = [rules.encode(instance).tokens.tobytes().hex()]
    return {**without_search("complete"), "answers": answers}


def _can_begin(request: Data, is_cancelled: Callable[[], bool], is_warm: threading.Event) -> bool:
    """Wait for the solver if needed; return False when cancelled or out of time."""
    if request["kind"] == "reduce" or isinstance(family(request["puzzle"]), Countable):
        return True
    until_s = time.monotonic() + request["max_time_s"]
    while not is_warm.wait(POLL_S):
        if is_cancelled() or time.monotonic() >= until_s:
            return False
    return True


def _warm_up(is_warm: threading.Event) -> None:
    """Import the solver, if installed; takes about a second."""
    try:
        with suppress(ImportError):
            import ortools.sat.python.cp_model  # noqa: F401
    finally:
        is_warm.set()


def _receive(requests: BinaryIO, inbox: "SimpleQueue[_Work]") -> None:
    work: _Work | None = None
    for line in requests:
        request = json.loads(line)
        if request["kind"] != "stop":
            work = _Work(request)
            inbox.put(work)
        elif work is not None and work.request["number"] == request["number"]:
            work.stop.set()
    # The worker is gone: no one waits for replies.
    os._exit(0)


def _reply(replies: BinaryIO, reply: Data) -> None:
    replies.write(json.dumps(reply).encode() + b"\n")
    replies.flush()


if __name__ == "__main__":
    main()
