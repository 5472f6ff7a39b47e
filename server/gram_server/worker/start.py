"""Starts a worker. Imports neither torch nor model code until it runs."""

import logging
import os
import secrets
import socket
import sys
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from gram_core.catalog import ModelInfo, find_models, shipped_models
from gram_core.errors import CoreError
from gram_server.errors import ConfigError, StartRefused
from gram_server.job import EXACT
from gram_server.jobs.store import WorkerStore
from gram_server.jobs.worker_rpc import WorkerRpcClient
from gram_server.settings import Settings
from gram_server.supervisor import Stage, StartReport
from gram_server.tracing import open_tracer

REFUSED_STATUS = 2

logger = logging.getLogger(__name__)


def run_worker(settings: Settings, *, link: Path | None, heartbeat: Path | None) -> None:
    """Work for a store until SIGTERM; raise if the work ends early.

    Args:
        settings: the engine, queue and Redis parts are read.
        link: Unix socket of the API process, which then reports errors; None uses the store of the
            settings.
        heartbeat: file to write heartbeats to.
    """
    try:
        _work(settings, link=link, heartbeat=heartbeat)
    except (ConfigError, StartRefused) as error:
        if link is None:
            raise
        # The server prints the error; a second line would repeat it.
        StartReport(Stage.REFUSED, str(error)).send()
        sys.exit(REFUSED_STATUS)
    except Exception as error:
        if link is not None:
            StartReport(Stage.FAILED, str(error) or type(error).__name__).send()
        raise


def _work(settings: Settings, *, link: Path | None, heartbeat: Path | None) -> None:
    started_s = time.perf_counter()
    try:
        wanted_models(settings.engine.models)
    except CoreError as error:
        raise StartRefused(str(error)) from error
    # Torch takes most of this phase; the API process never pays for it.
    from gram_server.worker.process import WorkerProcess

    # The name must be unique for ever: a process id may be reused on the same host.
    name = f"{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(3)}"
    tracer = open_tracer("gram-worker", instance=name)
    process = WorkerProcess(
        settings.engine,
        open_store=partial(_open_store, settings, link=link, name=name),
        name=name,
        heartbeat=heartbeat,
        is_supervised=link is not None,
        tracer=tracer,
    )
    process.note_phase("import", time.perf_counter() - started_s)
    try:
        process.run()
    finally:
        tracer.close()
    logger.info("worker %s stopped", name)


def wanted_models(names: Sequence[str]) -> tuple[ModelInfo, ...]:
    """Return the named models, or every shipped one; raise when there is nothing to serve."""
    named = tuple(info for name in names for info in find_models(name))
    infos = named if names else shipped_models()
    if not infos:
        raise ConfigError("models", names, "no model is shipped here: name a checkpoint")
    for info in infos:
        if info.name == EXACT.name:
            raise ConfigError("models", names, f"{EXACT.name} is no name for a model")
        if sum(other.name == info.name for other in infos) > 1:
            raise ConfigError("models", names, f"two models are named {info.name}")
    return infos


async def _open_store(settings: Settings, *, link: Path | None, name: str) -> WorkerStore:
    if link is not None:
        return await WorkerRpcClient.connect(link, worker=name)
    from gram_server.jobs.redis_connection import RedisConnection
    from gram_server.jobs.redis_worker import RedisWorker

    connection = RedisConnection(settings.redis)
    await connection.warn_about_settings()
    return RedisWorker(
        connection,
        name=name,
        lease_s=settings.redis.lease_s,
        max_attempts=settings.queue.max_attempts,
    )
