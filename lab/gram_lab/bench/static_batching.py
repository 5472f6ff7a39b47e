"""Our own server with static batching: a batch starts when the one before it has ended.

Rows that are done are computed on to the batch's end, which comes as soon as each of its requests
has what it asked for. Answers are told as soon as they are found, and all else is the product:
API, link and kernels.
"""

import argparse
import asyncio
import os
import sys
import tempfile
from contextlib import suppress
from pathlib import Path

import uvicorn

from gram_server.app import create_app
from gram_server.engine import Engine
from gram_server.engine.runner import Runner, StepReport
from gram_server.engine.scheduler import Plan, Scheduler
from gram_server.engine.slots import Arrangement
from gram_server.jobs.link import LinkServer, LinkStore
from gram_server.jobs.memory_store import MemoryStore
from gram_server.jobs.store import WorkerStore
from gram_server.metrics.engine import ModelMetrics
from gram_server.settings import EngineConfig, HttpConfig, Settings
from gram_server.worker.engine_loop import EngineLoop
from gram_server.worker.process import WorkerProcess


class StaticScheduler(Scheduler):
    """Admits into an empty batch only."""

    def plan(self, now_s: float) -> Plan:
        """Change nothing while a batch runs."""
        return Plan({}, []) if self.num_live else super().plan(now_s)


class WholeBatchRunner:
    """A runner that computes the rows a batch began with for as long as one of them is live.

    Trajectories begin ahead of their turn: in such a batch none can join later. It serves half as
    many requests again as when only those begin that are due.
    """

    runs_ahead = True

    def __init__(self, runner: Runner) -> None:
        self.num_slots, self.num_spares, self.lag = runner.num_slots, runner.num_spares, runner.lag
        self._runner = runner
        self._num_rows = 0

    def arrange(self, arrangement: Arrangement) -> None:
        """Take note of how many rows a batch begins with."""
        self._num_rows = len(arrangement.starts) or self._num_rows
        self._runner.arrange(arrangement)

    def step(self, num_live: int) -> None:
        """Compute the rows of the whole batch, live or not."""
        self._runner.step(max(num_live, self._num_rows))

    def read(self) -> StepReport:
        """Return the report, whose first rows are the live ones."""
        return self._runner.read()


class StaticEngine(Engine):
    """The engine with that scheduler."""

    def __init__(self, runner: Runner, *, metrics: ModelMetrics) -> None:
        super().__init__(runner, metrics=metrics)
        self._scheduler = StaticScheduler(num_slots=runner.num_slots)


class StaticWorker(WorkerProcess):
    """A worker whose engines batch statically."""

    def _load(self) -> EngineLoop:
        super()._load()
        engines = {
            lane.info.name: StaticEngine(
                WholeBatchRunner(lane.runner), metrics=self._metrics.of(lane.info.name)
            )
            for lane in self._lanes
        }
        return EngineLoop(engines, heartbeat=self._heartbeat)


def work(config: EngineConfig, link: Path) -> None:
    """Run the worker."""

    async def open_store() -> WorkerStore:
        return await LinkStore.connect(link, worker=f"static-{os.getpid()}")

    worker = StaticWorker(config, open_store=open_store, name="static", heartbeat=None)
    worker.run()


async def serve(settings: Settings) -> None:
    """Run the API with such a worker beside it."""
    store = MemoryStore(settings.queue)
    with tempfile.TemporaryDirectory(prefix="gram-") as folder:
        link = Path(folder) / "link.sock"
        server = LinkServer(store, link)
        await server.start()
        command = [sys.executable, "-m", "gram_lab.bench.static_batching"]
        command += ["--num-threads", str(settings.engine.num_threads), "--link", str(link)]
        command += [part for model in settings.engine.models for part in ("--model", model)]
        if settings.engine.num_slots is not None:
            command += ["--num-slots", str(settings.engine.num_slots)]
        worker = await asyncio.create_subprocess_exec(*command)
        app = create_app(settings, store=store)
        api = uvicorn.Server(uvicorn.Config(app, port=settings.http.port, log_level="warning"))
        serving = asyncio.create_task(api.serve())
        try:
            # A server without its worker would answer nothing for ever.
            ended = asyncio.create_task(worker.wait())
            await asyncio.wait([serving, ended], return_when=asyncio.FIRST_COMPLETED)
            api.should_exit = True
            await serving
        finally:
            with suppress(ProcessLookupError):
                worker.kill()
            await worker.wait()
            await server.close()


def main() -> None:
    """Serve, or work for the server that names its link."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int)
    parser.add_argument("--link", type=Path)
    parser.add_argument("--num-threads", type=int, required=True)
    parser.add_argument("--model", dest="models", action="append", required=True)
    parser.add_argument("--num-slots", type=int)
    options = parser.parse_args()
    engine = EngineConfig(
        models=tuple(options.models),
        num_threads=options.num_threads,
        num_slots=options.num_slots,
    )
    if options.link is not None:
        work(engine, options.link)
    else:
        settings = Settings(http=HttpConfig(port=options.port), engine=engine)
        asyncio.run(serve(settings))


if __name__ == "__main__":
    main()
