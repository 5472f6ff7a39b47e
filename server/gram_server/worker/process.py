"""A worker process: engines in the main thread, the store in a second one, signals between them."""

import asyncio
import gc
import logging
import os
import signal
import sys
import threading
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import contextmanager, suppress
from dataclasses import fields
from functools import partial
from pathlib import Path
from wsgiref.simple_server import WSGIRequestHandler

import torch
from prometheus_client import (
    CollectorRegistry,
    ProcessCollector,
    generate_latest,
    make_wsgi_app,
)
from prometheus_client.exposition import ThreadingWSGIServer

from gram_core.catalog import ModelInfo
from gram_core.puzzles.exact import has_solver
from gram_server import event_loop
from gram_server.engine import Engine
from gram_server.job import ModelReport, WorkerReport, WorkerState
from gram_server.jobs.store import WorkerStore
from gram_server.listening import authority, bind
from gram_server.logs import FOR_PEOPLE
from gram_server.metrics.engine import EngineMetrics
from gram_server.metrics.gpu import watch_gpu
from gram_server.settings import EngineConfig
from gram_server.supervisor import Stage, StartReport
from gram_server.tracing import Tracer
from gram_server.worker.engine_loop import EngineLoop, Heartbeat, Stop, Watchdog
from gram_server.worker.job_runner import JobRunner
from gram_server.worker.loading import (
    ServedModel,
    check_device,
    explained,
    load_served_model,
    resolve_device,
    resolve_slots,
    use_device,
    warm_up,
)
from gram_server.worker.start import wanted_models

logger = logging.getLogger(__name__)

SWITCH_INTERVAL_S = 0.0005
"""How long one thread may keep the interpreter while the other waits; 5 ms by default."""

ENGINE_NICENESS = 10
"""Niceness of a supervised engine: the API process on the same host must answer at once."""

STORE_STOP_S = 5.0
"""How long a worker whose models cannot be loaded waits for its store to close."""

OpenStore = Callable[[], Awaitable[WorkerStore]]


class WorkerProcess:
    """Owns both threads; ``run`` returns when every job is finished or handed back."""

    def __init__(
        self,
        config: EngineConfig,
        *,
        open_store: OpenStore,
        name: str,
        heartbeat: Path | None,
        is_supervised: bool = True,
        tracer: Tracer | None = None,
    ) -> None:
        """``open_store`` is called in the thread of the store.

        ``is_supervised``: an API process that has no other worker reads the ``heartbeat`` file and
        ends a worker that hangs.
        """
        self._config = config
        self._open_store = open_store
        self._name = name
        self._tracer = tracer
        self._device, self._num_slots = config.device, 0
        """As resolved when the work begins."""
        written = None if heartbeat is None else Heartbeat(heartbeat)
        self._heartbeat = written if is_supervised else Watchdog(config.hang_s, written)
        self._is_supervised = is_supervised
        self._registry = CollectorRegistry()
        self._metrics = EngineMetrics(self._registry)
        if not is_supervised:
            # The server exports those of a supervised worker.
            ProcessCollector(registry=self._registry)
        self._phases: dict[str, float] = {}
        self._models: Sequence[ModelInfo] = ()
        self._loop: EngineLoop | None = None
        self._job_runner: JobRunner | None = None
        self._store_loop: asyncio.AbstractEventLoop | None = None
        self._loaded: Future[EngineLoop] = Future()
        self._num_signals = 0
        self._has_solver = has_solver()
        self._failure: BaseException | None = None

    def note_phase(self, phase: str, duration_s: float) -> None:
        self._phases[phase] = round(duration_s, 3)
        self._metrics.startup_phase.labels(phase).observe(duration_s)

    def run(self) -> None:
        """Load, then work until SIGTERM; raise the error that ended the work early."""
        sys.setswitchinterval(SWITCH_INTERVAL_S)
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: self._on_signal())
        check_device(self._config.device)
        self._device, self._num_slots = resolve_device(self._device), resolve_slots(self._config)
        if self._config.worker_metrics_port is not None and not self._is_supervised:
            serve_metrics(
                self._registry,
                host=self._config.worker_metrics_host,
                port=self._config.worker_metrics_port,
            )
        store_thread = threading.Thread(target=self._run_store_thread, name="store", daemon=True)
        store_thread.start()
        if self._is_supervised:
            # Affects this thread, and the threads that it starts later.
            os.nice(ENGINE_NICENESS)
        try:
            loop = self._load()
        except Exception as error:
            self._loaded.set_exception(error)
            # A thread that still runs while the interpreter is taken down can abort the process.
            store_thread.join(STORE_STOP_S)
            raise explained(error, self._config.device) from error
        self._loaded.set_result(loop)
        loop.run(lambda events: self._call_job_runner(lambda jobs: jobs.on_events(events)))
        store_thread.join()
        if self._failure is not None:
            raise self._failure

    def _load(self) -> EngineLoop:
        """Load the models, then freeze their objects for the garbage collector.

        Further sizes of a model share its weights: their engines are made when first needed.
        """
        if self._config.num_threads is not None:
            torch.set_num_threads(self._config.num_threads)
        use_device(self._config.device)
        infos = wanted_models(self._config.models)
        with self._phase("load"):
            served = [load_served_model(info, self._config) for info in infos if not info.is_late]
        self._models = infos
        if self._is_supervised:
            StartReport(Stage.CHECKED).send()
        if self._device.startswith("cuda"):
            watch_gpu(self._registry, str(torch.cuda.get_device_properties(self._device).uuid))
        with self._phase("warm_up"):
            engines = {each.info.name: self._engine(each.info, each) for each in served}
        late = {info.name: partial(self._engine, info) for info in infos if info.is_late}
        gc.collect()
        gc.freeze()
        return EngineLoop(engines, late=late, heartbeat=self._heartbeat)

    def _engine(self, info: ModelInfo, served: ServedModel | None = None) -> Engine:
        served = served or load_served_model(info, self._config)
        warm_up(served, EngineMetrics(CollectorRegistry()).of(served.info.name))
        return served.engine(self._metrics.of(served.info.name))

    @contextmanager
    def _phase(self, name: str) -> Iterator[None]:
        started_s = time.perf_counter()
        yield
        self.note_phase(name, time.perf_counter() - started_s)

    def _run_store_thread(self) -> None:
        try:
            event_loop.run(self._deal_with_store())
        except (Exception, asyncio.CancelledError) as error:
            # Raised again by the main thread, once its loop has stopped.
            self._failure = error
        if self._loaded.exception() is None:
            self._loaded.result().inbox.put(Stop())

    async def _deal_with_store(self) -> None:
        task, task_loop = asyncio.current_task(), asyncio.get_running_loop()
        assert task is not None

        def stop_without_models(loaded: Future[EngineLoop]) -> None:
            if loaded.exception() is not None:
                # The loop may have closed by itself just then.
                with suppress(RuntimeError):
                    task_loop.call_soon_threadsafe(task.cancel)

        self._loaded.add_done_callback(stop_without_models)
        store = await self._open_store()
        try:
            await store.report(self._report(WorkerState.STARTING))
            self._loop = await asyncio.wrap_future(self._loaded)
            self._store_loop = asyncio.get_running_loop()
            self._job_runner = JobRunner(
                store,
                self._models,
                send=self._loop.send,
                report=self._report,
                free_slots=self._free_slots,
                drain_s=self._config.drain_s,
                tracer=self._tracer,
            )
            for _ in range(self._num_signals):
                self._job_runner.drain()
            if self._is_supervised:
                StartReport(Stage.READY).send()
            else:
                logger.info("worker %s is ready", self._name, extra=FOR_PEOPLE)
            await self._job_runner.run()
        finally:
            await store.close()

    def _on_signal(self) -> None:
        """Drain at the first signal, hand back at the second; before loading is done, exit."""
        self._num_signals += 1
        if self._job_runner is None:
            logger.info("stopped before it was ready")
            # An exception could be lost here: an interrupted import may swallow it.
            os._exit(0)
        self._call_job_runner(lambda jobs: jobs.drain())

    def _call_job_runner(self, call: Callable[[JobRunner], None]) -> None:
        """Pass a call from the main thread to the store's thread."""
        jobs, loop = self._job_runner, self._store_loop
        if jobs is None or loop is None:
            return
        try:
            loop.call_soon_threadsafe(call, jobs)
        except RuntimeError:
            logger.debug("the store's loop has closed")

    def _free_slots(self) -> int | None:
        """Return the number of free slots; None where no other worker shares the queue."""
        if self._is_supervised or self._loop is None:
            return None
        return self._num_slots - self._loop.demand

    def _report(self, state: WorkerState) -> WorkerReport:
        return WorkerReport(
            worker=self._name,
            state=state,
            device=self._device,
            models=tuple(
                ModelReport(**{each.name: getattr(info, each.name) for each in fields(ModelReport)})
                for info in self._models
            ),
            phases=dict(self._phases),
            num_slots=self._num_slots * len(self._models),
            has_solver=self._has_solver,
            live_trajectories=self._loop.num_live if self._loop else 0,
            waiting_trajectories=self._loop.num_waiting if self._loop else 0,
            metrics_text=generate_latest(self._registry).decode() if self._is_supervised else "",
        )


class _SilentHandler(WSGIRequestHandler):
    """Does not log requests."""

    def log_message(self, format: str, *args: object) -> None:
        """Log nothing."""


def serve_metrics(registry: CollectorRegistry, *, host: str, port: int) -> None:
    """Answer scrapes in threads of their own, for as long as the process lives."""
    for bound in bind(host, port, setting="worker_metrics_port"):
        address = bound.getsockname()[:2]
        server = ThreadingWSGIServer(address, _SilentHandler, bind_and_activate=False)
        server.socket.close()
        server.socket = bound
        # ``server_bind`` would set these after a look-up in DNS.
        server.server_name, server.server_port = address
        server.setup_environ()
        server.set_app(make_wsgi_app(registry))
        server.server_activate()
        threading.Thread(target=server.serve_forever, name="metrics", daemon=True).start()
        logger.info("metrics on http://%s/metrics", authority(*address))
