"""Kills and stops workers and Redis at random under load from four API processes; counts losses.

What is stopped comes back, within its lease or after it.

``make chaos ARGS="--minutes 10 --output docs/benchmarks/chaos.json"``. Exit status 0 when every
accepted job ended once with a right answer and memory stayed flat.
"""

import argparse
import asyncio
import json
import os
import platform
import random
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
import uuid
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import psutil
from redis.asyncio import Redis
from redis.exceptions import RedisError

from gram_server.jobs.redis_library import Keys
from tests.faults.chaos_site import LEASE_S, NUM_API, NUM_WORKERS, Site

SOLVED = "1234341221434321"
NUM_OPEN_CELLS = 5
COUNTS = "{gram}:1:counts"
SETTLE_S = 60.0
WARM_UP_S = 5.0
MAX_GROWTH = 1.2
BATCH_SHARE = 0.1
"""Of what is handed in."""
BATCH_SIZE = 6
FAULTS = (
    *("kill worker",) * 3,
    *("stop worker",) * 2,
    *("stop all workers", "stop redis"),
    *("kill redis",) * 2,
)


@dataclass(slots=True)
class Tally:
    """What happened."""

    accepted: int = 0
    batches: int = 0
    died: int = 0
    """Workers that ended by themselves."""
    done: int = 0
    lost: list[str] = field(default_factory=list)
    broken_streams: int = 0
    duplicated: list[str] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    refused: Counter[int] = field(default_factory=Counter)
    faults: Counter[str] = field(default_factory=Counter)
    latencies_s: list[float] = field(default_factory=list)
    memory: list[dict[str, float]] = field(default_factory=list)


async def wait_until_up(site: Site, client: httpx.AsyncClient) -> None:
    """Wait until every API process has a worker to speak of."""
    for port in site.ports:
        async with asyncio.timeout(120.0):
            # What is waited for happens in another process.
            while not await is_ready(client, port):  # noqa: ASYNC110
                await asyncio.sleep(0.2)


async def is_ready(client: httpx.AsyncClient, port: int) -> bool:
    try:
        return (await client.get(f"http://127.0.0.1:{port}/readyz")).status_code == 200
    except httpx.TransportError:
        return False


async def load(site: Site, tally: Tally, client: httpx.AsyncClient, *, rate: float) -> None:
    """Hand in jobs at a rate until cancelled; those that are on their way are seen to their end."""
    tasks: set[asyncio.Task[None]] = set()
    chance = random.Random(1)
    try:
        while True:
            num_parts = BATCH_SIZE if chance.random() < BATCH_SHARE else 1
            grids = [puzzle(chance) for _ in range(num_parts)]
            task = asyncio.create_task(follow(site, tally, client, grids))
            tasks.add(task)
            task.add_done_callback(tasks.discard)
            await asyncio.sleep(chance.expovariate(rate))
    finally:
        if tasks:
            await asyncio.wait(tasks, timeout=SETTLE_S)
        for task in tasks:
            task.cancel()


async def follow(site: Site, tally: Tally, client: httpx.AsyncClient, grids: list[str]) -> None:
    """Hand in a job, or a batch, patiently, and wait for its end at any of the API processes."""
    started_s = time.monotonic()
    key = {"Idempotency-Key": uuid.uuid4().hex}
    body = grids[0] if len(grids) == 1 else json.dumps({"instances": grids})
    job_id = (await insist(site, tally, client, "POST", "/jobs?width=4", body, key)).json()["id"]
    tally.accepted += len(grids)
    tally.batches += len(grids) > 1
    while True:
        path = f"/jobs/{job_id}?wait=5"
        answer = await insist(site, tally, client, "GET", path, None, {})
        if answer.status_code == 404:
            tally.lost.append(job_id)
            return
        document = answer.json()
        if document["state"] not in ("queued", "running"):
            break
    tally.latencies_s.append(time.monotonic() - started_s)
    if document["state"] != "done":
        tally.wrong.append(job_id)
    for part, grid in zip(document["parts"] or [document], grids, strict=True):
        await check_end(site, tally, client, part, grid)


async def check_end(
    site: Site, tally: Tally, client: httpx.AsyncClient, document: dict[str, Any], grid: str
) -> None:
    """See whether a job ended once, and with a right answer."""
    job_id = document["id"]
    path = f"/jobs/{job_id}/events"
    events = (await insist(site, tally, client, "GET", path, None, {})).text
    while "event: done" not in events and "event: error" in events:
        # The stream lost the queue before its end: a client asks again.
        tally.broken_streams += 1
        await asyncio.sleep(0.5)
        events = (await insist(site, tally, client, "GET", path, None, {})).text
    if events.count("event: done") != 1 or events.count("event: solution") > 2:
        tally.duplicated.append(job_id)
        sys.stderr.write(f"{job_id} ended more or less than once:\n{events}\n")
    if document["state"] != "done" or not is_right(grid, document["result"]):
        tally.wrong.append(job_id)
    tally.done += 1


async def insist(
    site: Site,
    tally: Tally,
    client: httpx.AsyncClient,
    method: str,
    path: str,
    content: str | None,
    headers: dict[str, str],
) -> httpx.Response:
    """Ask one API process after the other until one says something final."""
    while True:
        url = f"http://127.0.0.1:{random.choice(site.ports)}{path}"
        try:
            answer = await client.request(method, url, content=content, headers=headers)
        except httpx.TransportError:
            tally.refused[0] += 1
        else:
            if answer.status_code in (200, 202, 404):
                return answer
            tally.refused[answer.status_code] += 1
        await asyncio.sleep(random.uniform(0.1, 0.5))


async def hurt(site: Site, tally: Tally, *, every_s: float) -> None:
    """Do something bad now and then until cancelled."""
    chance = random.Random(2)
    while True:
        await asyncio.sleep(chance.uniform(0.5, 1.5) * every_s)
        tally.died += site.replace_dead()
        fault = chance.choice(FAULTS)
        tally.faults[fault] += 1
        if fault == "kill worker":
            site.kill_worker(chance)
        elif fault == "kill redis":
            site.kill_redis()
        elif fault == "stop redis":
            await stop([site.redis], chance)
        elif fault == "stop all workers":
            await stop(list(site.workers), chance)
        else:
            await stop([chance.choice(site.workers)], chance)


async def stop(processes: "Sequence[subprocess.Popen[bytes]]", chance: random.Random) -> None:
    """Let processes stand still, for around the time of a lease or for long."""
    for process in processes:
        os.kill(process.pid, signal.SIGSTOP)
    try:
        await asyncio.sleep(chance.choice((0.9, 1.0, 1.1, 1.3, 2.5)) * LEASE_S)
    finally:
        for process in processes:
            if process.poll() is None:
                os.kill(process.pid, signal.SIGCONT)


async def weigh(site: Site, tally: Tally) -> None:
    """Note what Redis and the API processes take, until cancelled."""
    redis = Redis.from_url(site.store)
    while True:
        await asyncio.sleep(2.0)
        try:
            used = (await redis.info("memory"))["used_memory"]
        except (RedisError, OSError):
            continue
        api = max(psutil.Process(process.pid).memory_info().rss for process in site.apis)
        at_s = time.monotonic()
        tally.memory.append({"at_s": at_s, "redis_mb": used / 1e6, "api_mb": api / 1e6})


async def leftovers(site: Site) -> dict[str, Any]:
    """Return what is left in the queue, which should be nothing."""
    async with Redis.from_url(site.store) as redis:
        totals = await redis.hgetall("{gram}:1:totals")
        streams = Keys("gram").streams
        counters = {text(name): int(value) for name, value in totals.items()}
        return {
            "entries": sum([await redis.xlen(stream) for stream in streams]),
            "reserved": counters.get("reserved", 0),
            "running": await redis.zcard("{gram}:1:leases"),
            "redelivered": counters.get("redelivered", 0),
            "ended_in_several_ways_or_none": abs(await count_odd_ends(redis)),
        }


async def count_odd_ends(redis: "Redis") -> int:
    """Return how many more jobs ended than were accepted, by the queue's own count."""
    counts = {text(name): int(value) for name, value in (await redis.hgetall(COUNTS)).items()}
    accepted = sum(value for name, value in counts.items() if name.startswith("accepted:"))
    return sum(counts.values()) - 2 * accepted


def text(value: bytes | str) -> str:
    return value.decode() if isinstance(value, bytes) else value


def puzzle(chance: random.Random) -> str:
    cells = chance.sample(range(16), NUM_OPEN_CELLS)
    return "".join("." if cell in cells else digit for cell, digit in enumerate(SOLVED))


def is_right(grid: str, result: dict[str, Any]) -> bool:
    """Check the solutions by the rules of the puzzle, and against its givens."""
    answers = [solution["answer"] for solution in result["solutions"]]
    return bool(answers) and all(is_solution(grid, answer) for answer in answers)


def is_solution(grid: str, answer: str) -> bool:
    rows = [answer[start : start + 4] for start in range(0, 16, 4)]
    columns = [answer[start::4] for start in range(4)]
    boxes = [answer[at : at + 2] + answer[at + 4 : at + 6] for at in (0, 2, 8, 10)]
    keeps = all(given in (".", digit) for given, digit in zip(grid, answer, strict=True))
    return keeps and all(sorted(unit) == list("1234") for unit in (*rows, *columns, *boxes))


def growth(tally: Tally, name: str) -> float:
    """Return the last fifth of a run over its second fifth."""
    values = [sample[name] for sample in tally.memory]
    fifth = max(len(values) // 5, 1)
    early, late = values[fifth : 2 * fifth] or values, values[-fifth:]
    return round(statistics.median(late) / statistics.median(early), 3)


def slope_mb_per_minute(tally: Tally, name: str) -> float:
    """Return the slope of a line through the samples, once the warm-up is over."""
    start = len(tally.memory) // 5
    moments = [sample["at_s"] / 60.0 for sample in tally.memory[start:]]
    values = [sample[name] for sample in tally.memory[start:]]
    return round(statistics.linear_regression(moments, values).slope, 3)


@contextmanager
def kept(folder: Path, logs: Path | None) -> Iterator[None]:
    """Copy what the processes logged, however the run ends."""
    try:
        yield
    finally:
        if logs is not None:
            logs.mkdir(parents=True, exist_ok=True)
            for path in folder.glob("*.log"):
                shutil.copy(path, logs)


async def run(
    minutes: float, rate: float, every_s: float, logs: Path | None = None
) -> dict[str, Any]:
    tally = Tally()
    with tempfile.TemporaryDirectory(prefix="chaos-") as folder, kept(Path(folder), logs):
        site = Site(Path(folder))
        limits = httpx.Limits(max_connections=400)
        async with httpx.AsyncClient(timeout=15.0, limits=limits) as client:
            try:
                await wait_until_up(site, client)
                started_s = time.monotonic()
                loading = asyncio.create_task(load(site, tally, client, rate=rate))
                await asyncio.sleep(WARM_UP_S)
                beside = [
                    asyncio.create_task(hurt(site, tally, every_s=every_s)),
                    asyncio.create_task(weigh(site, tally)),
                ]
                await asyncio.sleep(minutes * 60.0)
                for task in (loading, *beside):
                    task.cancel()
                # Not for ever: a client library may lose a cancellation.
                await asyncio.wait([loading, *beside], timeout=SETTLE_S + 10.0)
                duration_s = time.monotonic() - started_s
                return report(tally, await leftovers(site), duration_s)
            finally:
                site.close()


def report(tally: Tally, left: dict[str, Any], duration_s: float) -> dict[str, Any]:
    latencies = sorted(tally.latencies_s) or [0.0]
    return {
        "command": " ".join(["make chaos", *sys.argv[1:]]),
        "commit": commit(),
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "hardware": f"{os.cpu_count()} processors, {platform.machine()}",
        "duration_s": round(duration_s, 1),
        "processes": {"api": NUM_API, "worker": NUM_WORKERS, "redis": 1},
        "faults": dict(tally.faults),
        "workers_that_ended_by_themselves": tally.died,
        "accepted": tally.accepted,
        "batches": tally.batches,
        "finished": tally.done,
        "lost": len(tally.lost),
        "broken_streams": tally.broken_streams,
        "duplicated": len(tally.duplicated),
        "wrong": len(tally.wrong),
        "refused_and_sent_again": {str(status): n for status, n in sorted(tally.refused.items())},
        "left_in_the_queue": left,
        "latency_s": {
            "p50": round(latencies[len(latencies) // 2], 3),
            "p99": round(latencies[int(0.99 * (len(latencies) - 1))], 3),
        },
        "memory_growth": {
            "redis": growth(tally, "redis_mb"),
            "api": growth(tally, "api_mb"),
        },
        "memory_slope_mb_per_minute": {
            "redis": slope_mb_per_minute(tally, "redis_mb"),
            "api": slope_mb_per_minute(tally, "api_mb"),
        },
    }


def commit() -> str:
    """Return the commit that runs, marked where the tree has changes."""
    command = ("git", "-C", str(Path(__file__).parent), "describe", "--always", "--dirty")
    return subprocess.run(command, capture_output=True, text=True).stdout.strip() or "unknown"


def lost_nothing(found: dict[str, Any]) -> bool:
    """Whether every accepted job ended once, with a right answer, and left nothing behind."""
    left = found["left_in_the_queue"]
    return (
        found["accepted"] == found["finished"] > 0
        and not (found["lost"] or found["duplicated"] or found["wrong"])
        and not found["workers_that_ended_by_themselves"]
        and not (left["entries"] or left["reserved"] or left["running"])
        and not left["ended_in_several_ways_or_none"]
    )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--rate", type=float, default=20.0, help="jobs per second")
    parser.add_argument("--every-s", type=float, default=5.0, help="seconds between faults")
    parser.add_argument("--output", type=Path)
    parser.add_argument("--logs", type=Path, help="folder that keeps what the processes logged")
    arguments = parser.parse_args()
    found = asyncio.run(run(arguments.minutes, arguments.rate, arguments.every_s, arguments.logs))
    written = json.dumps(found, indent=2)
    print(written)  # noqa: T201
    if arguments.output is not None:
        arguments.output.write_text(f"{written}\n", "utf-8")
    is_flat = max(found["memory_growth"].values()) < MAX_GROWTH
    return 0 if lost_nothing(found) and is_flat else 1


if __name__ == "__main__":
    sys.exit(main())
