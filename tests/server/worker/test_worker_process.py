"""A real worker process behind a real socket."""

import asyncio
import os
import signal
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import pytest

from gram_server.heartbeat import read_heartbeat
from gram_server.job import JobState, WorkerReport, WorkerState
from gram_server.jobs.memory_store import MemoryStore
from gram_server.jobs.worker_rpc import WorkerRpcServer
from gram_server.settings import QueueConfig
from gram_server.supervisor import Stage, read_start_report
from tests.server.worker.harness import MakeJob, MakeModel

pytestmark = [pytest.mark.slow, pytest.mark.anyio]

SOLVED = "1234341221434321"


@dataclass(slots=True)
class Site:
    store: MemoryStore
    link: WorkerRpcServer
    process: asyncio.subprocess.Process
    heartbeat: Path

    async def reports(self) -> tuple[WorkerReport, ...]:
        return (await self.store.stats()).workers

    async def until_ready(self) -> WorkerReport:
        async with asyncio.timeout(60.0):
            while True:
                reports = await self.reports()
                if reports and reports[0].state is WorkerState.READY:
                    return reports[0]
                assert self.process.returncode is None
                await asyncio.sleep(0.02)

    async def until_live(self, is_wanted: Callable[[int], bool]) -> None:
        async with asyncio.timeout(60.0):
            while True:
                beat = read_heartbeat(self.heartbeat)
                if beat is not None and is_wanted(beat.num_live):
                    return
                await asyncio.sleep(0.005)

    async def ended(self) -> int:
        return await asyncio.wait_for(self.process.wait(), 60.0)


@asynccontextmanager
async def _site(path: Path, model: Path, *flags: str) -> AsyncIterator[Site]:
    store = MemoryStore(QueueConfig())
    link = WorkerRpcServer(store, path / "s")
    await link.start()
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "gram_server.cli", "worker", "--link", str(path / "s")),
        *("--heartbeat", str(path / "beat"), "--model", str(model), "--device", "cpu"),
        *("--num-slots", "16", "--num-threads", "1", *flags),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        yield Site(store, link, process, path / "beat")
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
        await link.close()
        await store.close()


async def test_a_worker_gets_ready_solves_repeats_itself_and_drains(
    tmp_path: Path, make_job: MakeJob, guessing_model: MakeModel
) -> None:
    info = guessing_model("sudoku-4x4").info

    async with _site(tmp_path, info.path) as site:
        report = await site.until_ready()
        assert set(report.phases) == {"import", "load", "warm_up"}
        assert [model.id for model in report.models] == [info.id]
        assert 'gram_slots_capacity{model="sudoku-4x4"} 16.0' in report.metrics_text

        results: list[dict[str, Any]] = []
        for name in ("a", "b"):
            now_s = time.time()
            await site.store.submit(make_job(name, width=24, submitted_s=now_s))
            record = await site.store.wait(name, timeout_s=60.0)
            assert record.state is JobState.DONE
            assert record.result is not None
            results.append(dict(record.result))
        first, second = results
        assert first["status"] == "solved"
        assert [s["answer"] for s in first["solutions"]] == [SOLVED]
        for result in results:
            del result["id"], result["usage"]
            for solution in result["solutions"]:
                del solution["first"]["ms"]
        assert first == second

        await _assert_idle(site)
        await site.store.submit(make_job("long", width=64, depth=40, halt="never"))
        await site.until_live(lambda live: live > 0)
        os.kill(site.process.pid, signal.SIGTERM)
        record = await site.store.wait("long", timeout_s=60.0)
        assert record.state is JobState.DONE
        assert await site.ended() == 0


async def _assert_idle(site: Site) -> None:
    """An idle worker uses under two per cent of a core."""
    process = psutil.Process(site.process.pid)
    before = process.cpu_times()
    await asyncio.sleep(1.0)
    after = process.cpu_times()
    assert after.user + after.system - before.user - before.system <= 0.02


async def test_a_cancelled_job_frees_the_worker_and_a_short_drain_hands_the_rest_back(
    tmp_path: Path, make_job: MakeJob, guessing_model: MakeModel
) -> None:
    info = guessing_model("sudoku-4x4").info

    async with _site(tmp_path, info.path, "--drain-s", "0.1") as site:
        await site.until_ready()
        endless = {"width": 1000, "depth": 1000, "halt": "never"}
        await site.store.submit(make_job("gone", **endless))
        await site.until_live(lambda live: live > 0)
        await site.store.cancel("gone")
        await site.until_live(lambda live: live == 0)

        await site.store.submit(make_job("endless", **endless))
        await site.until_live(lambda live: live > 0)
        site.process.send_signal(signal.SIGTERM)
        assert await site.ended() == 0
        record = await site.store.get("endless")
        assert (record.state, record.job.attempt) == (JobState.QUEUED, 0)


async def test_a_worker_ends_with_a_failure_when_its_store_is_gone(
    tmp_path: Path, guessing_model: MakeModel
) -> None:
    info = guessing_model("sudoku-4x4").info

    async with _site(tmp_path, info.path) as site:
        await site.until_ready()
        await site.link.close()
        assert await site.ended() == 1


async def test_a_damaged_checkpoint_stops_the_start_with_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "config.json").write_text("{")

    async with _site(tmp_path, tmp_path / "model") as site:
        assert await site.ended() == 2
        assert site.process.stdout is not None
        assert site.process.stderr is not None
        report = read_start_report(await site.process.stdout.read())
        assert report is not None
        assert report.stage is Stage.REFUSED
        assert "copy the model directory again" in report.reason
        assert await site.process.stderr.read() == b""
