"""Schedules the exact searches of a worker on a few processes, and talks to them.

Every client gets its turn, and a short search never waits for the long ones. Knows no jobs.
"""

import asyncio
import json
import logging
import sys
import time
from asyncio.subprocess import PIPE, Process
from collections import deque
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import count
from typing import Generic, Literal, TypeVar

from gram_server.search_process import Data, without_search

_T = TypeVar("_T")
Lane = Literal["short", "long"]
LANES: tuple[tuple[Lane, ...], ...] = (("short",), ("long", "short"))
"""Lanes that each process serves, in order; one process never takes long searches."""
SHORT_CPU_S = 0.15
"""CPU time of a first try; a search that needs more starts again as a long one."""
MAX_SEARCH_S = 10.0
"""Wall-clock limit of one run of a search."""
MIN_SEARCH_S = 0.01
"""No search starts with less time before its deadline."""
MAX_WAITING = 1024
"""Searches waiting in a lane; beyond, the last one of the client with the most is refused."""
MAX_WAIT_S = 300.0
"""Limit for a search without a deadline, including its wait."""
MAX_LOST = 3
"""Processes lost during a search after which it fails; one per lane may be chance."""
DEADLINE_GRACE_S = 0.1
"""Time past its deadline for a search to hand over what it found."""
MAX_REPLY_BYTES = 64 << 20
STOP_S = 1.0
"""How long a search may take to stop before its process is killed."""
OVERRUN_S = 30.0
"""Time beyond its limit after which a search is stopped from here."""
START_S = 60.0

logger = logging.getLogger(__name__)


class SearchDropped(Exception):
    """The search was cancelled."""


class SearcherLost(Exception):
    """The process ended during a search, or could not be started."""


class Searcher:
    """Runs one search at a time."""

    def __init__(self) -> None:
        self._process: Process | None = None
        self._numbers = count(1)

    @property
    def is_started(self) -> bool:
        return self._process is not None and self._process.returncode is None

    async def start(self) -> None:
        """Ensure a process that is ready; raise ``SearcherLost``."""
        if self.is_started:
            return
        try:
            self._process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                "gram_server.search_process",
                stdin=PIPE,
                stdout=PIPE,
                limit=MAX_REPLY_BYTES,
            )
            async with asyncio.timeout(START_S):
                await self._read()
        except OSError as error:
            await self.kill()
            raise SearcherLost(f"no search process: {error!r}") from error
        logger.info("search process pid=%d started", self._process.pid)

    async def ask(self, request: Data, left: "asyncio.Future[Data]") -> Data | None:
        """Return the reply, or None once ``left`` is done; raise ``SearcherLost``."""
        number = next(self._numbers)
        self._write({**request, "number": number})
        reply = asyncio.create_task(self._read())
        try:
            waited_s = request["max_time_s"] + OVERRUN_S
            await asyncio.wait([reply, left], timeout=waited_s, return_when="FIRST_COMPLETED")
            if not reply.done():
                self._write({"kind": "stop", "number": number})
                await asyncio.wait([reply], timeout=STOP_S)
            if not reply.done():
                logger.warning("a search does not stop: its process is killed")
                await self.kill()
            answer = await reply
        finally:
            reply.cancel()
        return None if left.done() else answer

    async def kill(self) -> None:
        if self._process is not None and self._process.returncode is None:
            self._process.kill()
            await self._process.wait()

    def _write(self, data: Data) -> None:
        assert self._process is not None
        assert self._process.stdin is not None
        # A dead process is noticed by its missing reply. Event loops raise different errors here.
        with suppress(OSError, RuntimeError):
            self._process.stdin.write(json.dumps(data).encode() + b"\n")

    async def _read(self) -> Data:
        assert self._process is not None
        assert self._process.stdout is not None
        line = await self._process.stdout.readline()
        if not line.endswith(b"\n"):
            await self.kill()
            status = await self._process.wait()
            raise SearcherLost(f"the search process ended with status {status}")
        reply: Data = json.loads(line)
        return reply


@dataclass(slots=True, eq=False, kw_only=True)
class _Search:
    request: Data
    client: str
    deadline_s: float | None
    reply: "asyncio.Future[Data]" = field(default_factory=asyncio.Future)
    lane: Lane = "short"
    found: Data = field(default_factory=lambda: without_search("time"))
    num_lost: int = 0

    def budget_s(self) -> float:
        if self.deadline_s is None:
            return MAX_SEARCH_S
        return min(MAX_SEARCH_S, self.deadline_s - time.time())

    def ended(self, how: str) -> Data:
        return {**self.found, "ended": how}


class SearchPool:
    """Takes searches and runs them on processes of its own, which start when first needed."""

    def __init__(self) -> None:
        self._idle = [(Searcher(), lanes) for lanes in LANES]
        self._searchers = [searcher for searcher, _ in self._idle]
        self._waiting: dict[Lane, FairQueue[_Search]] = {
            "short": FairQueue(max_items=MAX_WAITING),
            "long": FairQueue(max_items=MAX_WAITING),
        }
        self._open: dict[object, _Search] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._is_closed = False

    async def run(
        self, request: Data, *, owner: object, client: str, deadline_s: float | None
    ) -> Data:
        """Return the reply of the search process, however the search ended.

        ``ended`` is one of those of ``search_process``, ``deadline``, or ``busy`` where too many
        searches wait. Raises ``SearchDropped``. ``owner`` has one search at a time; ``deadline_s``
        is on the clock of ``time.time()``.
        """
        patience_s = MAX_WAIT_S
        if deadline_s is not None:
            left_s = max(deadline_s - time.time(), 0.0)
            patience_s = min(left_s + DEADLINE_GRACE_S, MAX_WAIT_S)
        search = _Search(request=request, client=client, deadline_s=deadline_s)
        self._open[owner] = search
        self._push(search)
        try:
            async with asyncio.timeout(patience_s):
                return await search.reply
        except TimeoutError:
            return search.ended("deadline" if search.budget_s() < MIN_SEARCH_S else "busy")
        finally:
            search.reply.cancel()
            self._waiting[search.lane].remove(client, search)
            del self._open[owner]

    def drop(self, owner: object) -> None:
        """Cancel the owner's search, waiting or running."""
        search = self._open.get(owner)
        if search is not None and not search.reply.done():
            search.reply.set_exception(SearchDropped())

    async def close(self) -> None:
        self._is_closed = True
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await asyncio.gather(*(searcher.kill() for searcher in self._searchers))

    def _push(self, search: _Search) -> None:
        refused = self._waiting[search.lane].push(search.client, search)
        if refused is not None and not refused.reply.done():
            refused.reply.set_result(refused.ended("busy"))
        self._dispatch()

    def _dispatch(self) -> None:
        """Give waiting searches to idle processes, started ones first."""
        for entry in sorted(self._idle, key=lambda entry: not entry[0].is_started):
            searcher, lanes = entry
            search = None
            for lane in lanes:
                while search is None and (first := self._waiting[lane].pop()) is not None:
                    search = None if first.reply.done() else first
            if search is not None and not self._is_closed:
                self._idle.remove(entry)
                task = asyncio.create_task(self._serve(searcher, lanes, search))
                self._tasks.add(task)
                task.add_done_callback(self._tasks.discard)

    async def _serve(self, searcher: Searcher, lanes: tuple[Lane, ...], search: _Search) -> None:
        try:
            await searcher.start()
            budget_s = search.budget_s()
            if search.reply.done():
                return
            if budget_s < MIN_SEARCH_S:
                search.reply.set_result(search.ended("deadline"))
                return
            max_cpu_s = SHORT_CPU_S if search.lane == "short" else MAX_SEARCH_S
            limits = {"max_time_s": budget_s, "max_cpu_s": max_cpu_s}
            reply = await searcher.ask({**search.request, **limits}, search.reply)
            if reply is not None:
                self._take(search, reply)
        except SearcherLost as error:
            search.num_lost += 1
            if search.reply.done():
                return
            if search.num_lost < MAX_LOST:
                self._waiting[search.lane].push_first(search.client, search)
            else:
                # The search may be at fault.
                search.reply.set_result({**search.ended("failed"), "why": str(error)})
        finally:
            self._idle.append((searcher, lanes))
            self._dispatch()

    def _take(self, search: _Search, reply: Data) -> None:
        """Deliver a reply, or requeue a search that needs longer."""
        search.found = reply
        if reply["ended"] != "time":
            search.reply.set_result(reply)
        elif search.budget_s() < MIN_SEARCH_S:
            search.reply.set_result(search.ended("deadline"))
        elif search.lane == "short":
            search.lane = "long"
            self._push(search)
        else:
            search.reply.set_result(reply)


class FairQueue(Generic[_T]):
    """Items by client; clients are served one item each, in rotation."""

    def __init__(self, *, max_items: int) -> None:
        self._max_items = max_items
        # Clients in the order of service; none without items.
        self._items: dict[str, deque[_T]] = {}

    def __len__(self) -> int:
        return sum(map(len, self._items.values()))

    def push(self, client: str, item: _T) -> _T | None:
        """Add an item; if full, drop and return the last item of the client with the most."""
        self._items.setdefault(client, deque()).append(item)
        if len(self) <= self._max_items:
            return None
        # On a tie, the client that pushed.
        most = max(self._items, key=lambda name: (len(self._items[name]), name == client))
        last = self._items[most][-1]
        self.remove(most, last)
        return last

    def push_first(self, client: str, item: _T) -> None:
        self._items = {client: self._items.pop(client, deque()), **self._items}
        self._items[client].appendleft(item)

    def pop(self) -> _T | None:
        if not self._items:
            return None
        client = next(iter(self._items))
        items = self._items.pop(client)
        item = items.popleft()
        if items:
            self._items[client] = items
        return item

    def remove(self, client: str, item: _T) -> None:
        items = self._items.get(client)
        if items is None or item not in items:
            return
        items.remove(item)
        if not items:
            del self._items[client]
