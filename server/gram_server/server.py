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
from contextvars import copy_context
from types import FrameType

import uvicorn
from starlette.types import ASGIApp

from gram_server.api.health import MetricsPort
from gram_server.api.state import AppState
from gram_server.app import create_app
from gram_server.child import ChildWorker
from gram_server.descriptors import raise_limit, watch_descriptors
from gram_server.drain import Drain
from gram_server.http_protocol import limited_protocol
from gram_server.listening import authority, bind, is_open_to_others
from gram_server.settings import Settings
from gram_server.tracing import open_tracer

CLOSE_MARGIN_S = 1
"""Seconds that open connections may take to close after the drain."""

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
        self._drain_task: asyncio.Task[None] | None = None
        self._watch_task: asyncio.Task[None] | None = None
        self._descriptors_task: asyncio.Task[None] | None = None
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
        self._descriptors_task = asyncio.create_task(watch_descriptors())
        for listener in sockets or []:
            host, port = listener.getsockname()[:2]
            what = "metrics" if port == self._metrics_port else "listening"
            logger.info("%s on http://%s", what, authority(host, port))

    async def _start(self, child: ChildWorker) -> bool:
        """Start the worker; return False if a stop was requested meanwhile."""
        await child.start()
        if self._state.lifecycle.is_draining:
            await child.stop()
            self.should_exit = True
            return False
        self._watch_task = asyncio.create_task(self._watch(child))
        return True

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
            self._loop.call_soon_threadsafe(self._start_drain, sig, context=self._own)

    def _start_drain(self, sig: int) -> None:
        self._drain_task = asyncio.create_task(self._drain(sig))

    async def _drain(self, sig: int) -> None:
        await Drain(self._state).run(signal.Signals(sig).name)
        if self._child is not None:
            self._child.begin_stop()
        self.should_exit = True


def serve(settings: Settings) -> None:
    http = settings.http
    raise_limit()
    sockets = bind(http.host, http.port, setting="port")
    if http.keys is None and is_open_to_others(http.host):
        logger.warning("others can reach the server, and it asks for no key: see --keys")
    beside = []
    if http.metrics_port is not None:
        beside = bind(http.host, http.metrics_port, setting="metrics_port")
    metrics_port = beside[0].getsockname()[1] if beside else None
    tracer = open_tracer("gram-server")
    app = create_app(settings, tracer=tracer)
    state = app.state.app_state
    whole = app if metrics_port is None else MetricsPort(app, state, port=metrics_port)
    server = DrainingServer(
        _config(whole, settings), state, app.state.child, metrics_port=metrics_port
    )
    server.run([*sockets, *beside])
    tracer.close()
    if server.failure is not None:
        raise server.failure
    logger.info("stopped")


def _config(app: ASGIApp, settings: Settings) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        lifespan="on",
        # uvicorn accepts a float despite its annotation.
        timeout_keep_alive=settings.http.keep_alive_s,  # type: ignore[arg-type]
        http=limited_protocol(settings.http.header_timeout_s),
        proxy_headers=bool(settings.http.trusted_proxies),
        forwarded_allow_ips=list(settings.http.trusted_proxies),
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=CLOSE_MARGIN_S,
    )
