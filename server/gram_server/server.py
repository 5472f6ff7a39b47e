"""Runs the API process under uvicorn, and stops it without losing a request.

The first SIGTERM or SIGINT drains: the server is not ready at once, then takes no new work, and
exits with status 0 when accepted work is done or cancelled. The second exits at once.
"""

import asyncio
import gc
import logging
import os
import signal
import socket
import time
from collections.abc import Callable, Coroutine
from contextlib import suppress
from contextvars import copy_context
from types import FrameType
from typing import Any

import uvicorn

from gram_server.api.info import MetricsPort
from gram_server.api.state import AppState
from gram_server.app import create_app
from gram_server.child import ChildWorker
from gram_server.connections import limited_protocol, raise_limit, watch_descriptors
from gram_server.errors import ServerError
from gram_server.job import Job
from gram_server.listening import authority, bind, is_open_to_others
from gram_server.logs import FOR_PEOPLE
from gram_server.settings import Settings
from gram_server.tracing import open_tracer

CLOSE_MARGIN_S = 1
"""Seconds that open connections may take to close after the drain."""
POLL_S = 0.02
"""Seconds between checks for remaining work."""

READ_S = 5.0
"""Seconds that results of jobs that ended during the drain, or just before, stay readable."""

CANCEL_S = 0.5
"""Seconds that the store may take to cancel the jobs of abandoned requests."""

logger = logging.getLogger(__name__)


class DrainingServer(uvicorn.Server):
    """A uvicorn server that drains before it stops."""

    def __init__(
        self,
        config: uvicorn.Config,
        state: AppState,
        child: ChildWorker | None,
        *,
        metrics_port: int | None,
    ) -> None:
        super().__init__(config)
        self._metrics_port = metrics_port
        self._state = state
        self._child = child
        self._loop: asyncio.AbstractEventLoop | None = None
        self._own = copy_context()
        self._tasks: list[asyncio.Task[None]] = []
        self.failure: Exception | None = None
        """Why the server stopped by itself."""

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        self._loop = asyncio.get_running_loop()
        # These objects stay: later collections skip them, so that requests wait less.
        gc.collect()
        gc.freeze()
        if self._child is not None and not await self._start(self._child):
            return
        await super().startup(sockets)
        self._begin(watch_descriptors())
        for listener in sockets or []:
            host, port = listener.getsockname()[:2]
            what = "metrics" if port == self._metrics_port else "listening"
            # People wait for the worker, where there is one.
            extra = FOR_PEOPLE if self._child is None else None
            logger.info("%s on http://%s", what, authority(host, port), extra=extra)
        if self._child is not None and sockets:
            self._begin(_tell_ready(self._child, authority(*sockets[0].getsockname()[:2])))

    async def _start(self, child: ChildWorker) -> bool:
        """Start the worker; return False if a stop was requested meanwhile."""
        await child.start()
        if self._state.lifecycle.is_draining:
            await child.stop()
            self.should_exit = True
            return False
        self._begin(self._watch(child))
        return True

    def _begin(self, work: Coroutine[Any, Any, None]) -> None:
        self._tasks.append(asyncio.create_task(work))

    async def _watch(self, child: ChildWorker) -> None:
        await child.supervisor.has_failed.wait()
        self.failure = child.supervisor.failure
        self.should_exit = True

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        if self._state.lifecycle.is_draining:
            if self._child is not None:
                self._child.kill()
            os._exit(128 + sig)
        self._state.lifecycle.is_draining = True
        if self._loop is None:
            self.should_exit = True
        else:
            # Not in the context of the interrupted request, whose ids would be logged.
            self._loop.call_soon_threadsafe(self._begin, self._drain(sig), context=self._own)

    async def _drain(self, sig: int) -> None:
        await Drain(self._state).run(signal.Signals(sig).name)
        if self._child is not None:
            self._child.stop()
        self.should_exit = True


async def _tell_ready(child: ChildWorker, address: str) -> None:
    await child.supervisor.was_ready.wait()
    logger.info("ready at http://%s", address, extra=FOR_PEOPLE)


class Drain:
    """Waits for accepted work up to the time limit, and logs the jobs that are lost.

    Accepted work is every request without its full answer, and every job that is lost with the
    process because only its own store keeps it.
    """

    def __init__(self, state: AppState) -> None:
        self._state = state
        self._lifecycle = state.lifecycle
        self._limit_s = state.settings.engine.drain_s

    async def run(self, cause: str) -> None:
        """Return once all work is done and read, or the rest is cancelled."""
        inflight = self._lifecycle.inflight
        line = "%s: draining %d requests and %d jobs"
        logger.info(line, cause, len(inflight), len(self._lone_jobs()), extra=FOR_PEOPLE)
        await asyncio.sleep(self._state.settings.http.drain_delay_s)
        end_s = time.monotonic() + self._limit_s
        self._lifecycle.is_closed = True
        just_ended = self._state.store.ended_within(READ_S)
        self._lifecycle.unread.update(set(just_ended).difference(self._lifecycle.read))
        if not self._state.store.open_jobs() and not self._lifecycle.unread:
            # The jobs end in other processes, where clients can follow them.
            self._lifecycle.released.set()
        await self._wait_while(self._has_work, end_s)
        if self._has_work():
            await self._give_up()
            return
        unread = self._lifecycle.unread
        await self._wait_while(lambda: bool(unread), min(end_s, time.monotonic() + READ_S))
        if unread:
            logger.warning("the results of %d jobs were not read", len(unread))

    def _has_work(self) -> bool:
        open_jobs = self._state.store.open_jobs()
        self._lifecycle.unread.update(
            job.id for job in open_jobs if job.owner is not None and job.batch is None
        )
        return bool(self._lifecycle.inflight or open_jobs)

    async def _wait_while(self, condition: Callable[[], bool], end_s: float) -> None:
        # Work ends in many places: polling is simpler than a notification from each.
        while condition() and time.monotonic() < end_s:  # noqa: ASYNC110
            await asyncio.sleep(POLL_S)

    async def _give_up(self) -> None:
        """Cancel unfinished jobs and answer the requests that wait for them."""
        inflight, lost = list(self._lifecycle.inflight), len(self._lone_jobs())
        if inflight:
            logger.warning("%d requests are given up after %g s", len(inflight), self._limit_s)
        if lost:
            logger.error("%d jobs are lost: not done after %g s", lost, self._limit_s)
        self._lifecycle.has_given_up = True
        with suppress(TimeoutError):
            async with asyncio.timeout(CANCEL_S):
                await asyncio.gather(*(self._cancel(job_id) for job_id in inflight))
        self._lifecycle.released.set()
        await self._state.store.close()

    async def _cancel(self, job_id: str) -> None:
        try:
            await self._state.store.cancel(job_id)
        except ServerError as error:
            logger.warning("job=%s goes on without a waiting caller: %s", job_id, error)

    def _lone_jobs(self) -> list[Job]:
        """Return the jobs in this process's store that no request waits for."""
        waited_for = self._lifecycle.inflight
        open_jobs = self._state.store.open_jobs()
        return [job for job in open_jobs if not job.num_parts and job.id not in waited_for]


def serve(settings: Settings) -> None:
    http = settings.http
    raise_limit()
    sockets = bind(http.host, http.port, setting="port")
    if http.keys is None and is_open_to_others(http.host):
        logger.warning("others can reach the server, and it asks for no key: see --keys")
    metrics_sockets = []
    if http.metrics_port is not None:
        metrics_sockets = bind(http.host, http.metrics_port, setting="metrics_port")
    metrics_port = metrics_sockets[0].getsockname()[1] if metrics_sockets else None
    tracer = open_tracer("gram-server")
    app = create_app(settings, tracer=tracer)
    state = app.state.app_state
    whole = app if metrics_port is None else MetricsPort(app, state, port=metrics_port)
    config = uvicorn.Config(
        whole,
        lifespan="on",
        # uvicorn accepts a float despite its annotation.
        timeout_keep_alive=http.keep_alive_s,  # type: ignore[arg-type]
        http=limited_protocol(http.header_timeout_s),
        proxy_headers=bool(http.trusted_proxies),
        forwarded_allow_ips=list(http.trusted_proxies),
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=CLOSE_MARGIN_S,
    )
    server = DrainingServer(config, state, app.state.child, metrics_port=metrics_port)
    server.run([*sockets, *metrics_sockets])
    tracer.close()
    if server.failure is not None:
        raise server.failure
    logger.info("stopped")
