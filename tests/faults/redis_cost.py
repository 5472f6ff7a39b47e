"""Measures what Redis costs a job, and what a second worker adds, with sleep in place of a model.

``make bench-redis ARGS="--output docs/benchmarks/redis.json"``. Exit status 0 when a second worker
gives 1.9 times the jobs per second, and a job takes under 2 ms on its way through Redis (median).
"""

import argparse
import asyncio
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

from redis.asyncio import Redis

from gram_server import event_loop
from gram_server.job import JobState
from gram_server.jobs.redis_connection import RedisConnection
from gram_server.jobs.redis_store import RedisStore
from gram_server.jobs.redis_worker import RedisWorker
from gram_server.settings import QueueConfig, RedisConfig
from tests.conftest import RedisServer
from tests.faults.conftest import EASY, Park, until_said
from tests.jobs import new_job

DURABLE = ("--appendonly", "yes", "--appendfsync", "everysec")
RATE = 200.0
NUM_RUNS = 3
NUM_WARM_UP = 50
WORK_S = 1.0
ROOM = 4
MIN_GAIN = 1.9
MAX_ROUND_TRIP_MS = 2.0


async def finish(store: RedisStore) -> None:
    job = new_job(uuid.uuid4().hex, grid=EASY, submitted_s=time.time(), owner="bench")
    record = await store.wait(await store.submit(job), timeout_s=60.0)
    if record.state is not JobState.DONE:
        raise RuntimeError(f"a job ended as {record.state}")


async def jobs_per_s(store: RedisStore, count: int) -> float:
    started_s = time.monotonic()
    await asyncio.gather(*(finish(store) for _ in range(count)))
    return count / (time.monotonic() - started_s)


async def measure_scaling(park: Park, store: RedisStore, url: str) -> dict[str, Any]:
    """Compare one worker process with two, each busy for a fixed time with each job."""
    flags = ("--work-s", str(WORK_S), "--room", str(ROOM), "--lease-s", "10")
    alone, both = [], []
    for _ in range(NUM_RUNS):
        await park.worker(url, *flags)
        alone.append(await jobs_per_s(store, 8 * ROOM))
        await park.worker(url, *flags)
        both.append(await jobs_per_s(store, 16 * ROOM))
        park.close()
    return {
        "work_s": WORK_S,
        "jobs_at_once_per_worker": ROOM,
        "jobs_per_s_of_one_worker": rounded(alone),
        "jobs_per_s_of_two_workers": rounded(both),
        "gain": round(statistics.median(both) / statistics.median(alone), 3),
    }


async def measure_round_trips(
    park: Park, store: RedisStore, url: str, seconds: float
) -> dict[str, Any]:
    """Send jobs at a fixed rate to a worker process that answers at once."""
    redis = Redis.from_url(url)
    count = round(seconds * RATE)
    runs, spent_ms = [], []
    await until_said(park.start(__file__, "--answer", url), "started")
    for _ in range(NUM_WARM_UP):
        await finish(store)
    for _ in range(NUM_RUNS):
        await redis.config_resetstat()
        runs.append(await round_trips_ms(store, count))
        stats = await redis.info("commandstats")
        used = sum(facts["usec"] for name, facts in stats.items() if name == "cmdstat_fcall")
        spent_ms.append(used / 1e3 / count)
    park.close()
    await redis.aclose()
    return {
        "jobs_per_s": RATE,
        "jobs_of_each_run": count,
        "round_trip_ms": {
            name: rounded([run[int(share * (len(run) - 1))] for run in runs])
            for name, share in (("p50", 0.5), ("p90", 0.9), ("p99", 0.99))
        },
        "redis_ms_per_job": rounded(spent_ms),
    }


async def round_trips_ms(store: RedisStore, count: int) -> list[float]:
    """Return the times from handing each job in, when it is due, to its result."""
    started_s = time.perf_counter()

    async def send(number: int) -> float:
        await asyncio.sleep(max(0.0, started_s + number / RATE - time.perf_counter()))
        sent_s = time.perf_counter()
        await finish(store)
        return (time.perf_counter() - sent_s) * 1e3

    return sorted(await asyncio.gather(*(send(number) for number in range(count))))


async def answer_all(url: str) -> None:
    """Be a worker that has nothing to think about."""
    connection = RedisConnection(RedisConfig(store=url))
    side = RedisWorker(connection, name="bench", lease_s=15.0, max_attempts=3)
    print("started", flush=True)  # noqa: T201
    while True:
        for job in await side.claim(max_jobs=64):
            await side.complete(job.id, {"status": "solved"})


def rounded(values: Sequence[float]) -> list[float]:
    return [round(value, 3) for value in values]


async def measure(redis: RedisServer, seconds: float) -> dict[str, Any]:
    park, store = (
        Park(redis.folder),
        RedisStore(RedisConnection(RedisConfig(store=redis.url)), QueueConfig()),
    )
    round_trips = await measure_round_trips(park, store, redis.url, seconds)
    scaling = await measure_scaling(park, store, redis.url)
    await store.close()
    return {
        "command": " ".join(["make bench-redis", *sys.argv[1:]]),
        "hardware": f"{os.cpu_count()} processors, {platform.machine()}",
        "versions": {"redis": redis_version(), "redis-py": version("redis")},
        "overhead": round_trips,
        "workers": scaling,
    }


def redis_version() -> str:
    found = subprocess.run(["redis-server", "--version"], capture_output=True, text=True)
    return found.stdout.split()[2]


def is_good(found: dict[str, Any]) -> bool:
    """Whether a second worker is worth its place, and Redis next to nothing."""
    median_ms = statistics.median(found["overhead"]["round_trip_ms"]["p50"])
    return bool(found["workers"]["gain"] >= MIN_GAIN and median_ms < MAX_ROUND_TRIP_MS)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=20.0, help="of each run at the rate")
    parser.add_argument("--output", type=Path)
    parser.add_argument("--answer", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.answer is not None:
        event_loop.run(answer_all(arguments.answer))
    with tempfile.TemporaryDirectory(prefix="redis-cost-") as folder:
        redis = RedisServer(Path(folder), DURABLE).start()
        found = event_loop.run(measure(redis, arguments.seconds))
        redis.stop()
    written = json.dumps(found, indent=2)
    print(written)  # noqa: T201
    if arguments.output is not None:
        arguments.output.write_text(f"{written}\n", "utf-8")
    return 0 if is_good(found) else 1


if __name__ == "__main__":
    sys.exit(main())
