"""The worker's handle on a process for exact searches: start, ask, stop, kill."""

import asyncio
import json
import logging
import sys
from asyncio.subprocess import PIPE, Process
from contextlib import suppress
from itertools import count

from gram_server.search_process import Data

MAX_REPLY_BYTES = 64 << 20
STOP_S = 1.0
"""How long a search may take to stop before its process is killed."""
OVERRUN_S = 30.0
"""Time beyond its limit after which a search is stopped from here."""
START_S = 60.0

logger = logging.getLogger(__name__)


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
