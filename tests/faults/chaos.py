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
import statistics
import subprocess
import sys
import tempfile
import time
import uuid
from collections import Counter
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import psutil
from redis.asyncio import Redis
from redis.exceptions import RedisError

from gram_server.jobs.redis_library import Keys
from tests.conftest import RedisServer
from tests.faults.conftest import DURABLE, Park, until_said
from tests.processes import Running, wait_until_ready

NUM_API, NUM_WORKERS, LEASE_S = 4, 3, 2.0
FLAGS = ("--lease-s", str(LEASE_S), "--work-s", "0.1", "--room", "8", "--max-attempts", "1000")
# Short times, so that memory can be seen to be flat within minutes.
KEEPING = {"GRAM_SERVER_KEEP_JOBS_S": "120", "GRAM_SERVER_KEEP_KEYS_S": "240"}
SOLVED = "1234341221434321"
NUM_OPEN_CELLS = 5
SETTLE_S, WARM_UP_S = 60.0, 5.0
MAX_GROWTH = 1.2
BATCH_SHARE, BATCH_SIZE = 0.1, 6
FAULTS = (
    *("kill worker",) * 3,
    *("stop worker",) * 2,
    *("stop all workers", "stop redis"),
    *("kill redis",) * 2,
)


@dataclass(slots=True)
class Chaos:
    """The processes that serve and are hurt, who asks them, and what happened."""

    park: Park
    redis: RedisServer
    client: httpx.AsyncClient
    urls: list[str] = field(default_factory=list)
    workers: list[Running] = field(default_factory=list)
    num: Counter[str] = field(default_factory=Counter)
    faults: Counter[str] = field(default_factory=Counter)
    refused: Counter[int] = field(default_factory=Counter)
    latencies_s: list[float] = field(default_factory=list)
    memory: list[dict[str, float]] = field(default_factory=list)

    async def open(self) -> None:
        """Start all, and wait until every API process has a worker to speak of."""
        self.workers = [self._start_worker() for _ in range(NUM_WORKERS)]
        apis = [self.park.start_api(self.redis.url) for _ in range(NUM_API)]
        for api in apis:
            self.urls.append((await until_said(api, "listening on ")).url())
            await asyncio.to_thread(wait_until_ready, self.urls[-1])

    async def load(self, rate: float) -> None:
        """Hand in jobs at a rate until cancelled; those on their way are seen to their end."""
        tasks: set[asyncio.Task[None]] = set()
        chance = random.Random(1)
        try:
            while True:
                num_parts = BATCH_SIZE if chance.random() < BATCH_SHARE else 1
                grids = [puzzle(chance) for _ in range(num_parts)]
                tasks.add(task := asyncio.create_task(self._follow(grids)))
                task.add_done_callback(tasks.discard)
                await asyncio.sleep(chance.expovariate(rate))
        finally:
            if tasks:
                await asyncio.wait(tasks, timeout=SETTLE_S)
            for task in tasks:
                task.cancel()

    async def hurt(self, every_s: float) -> None:
        """Do something bad now and then until cancelled."""
        chance = random.Random(2)
        while True:
            await asyncio.sleep(chance.uniform(0.5, 1.5) * every_s)
            for place, worker in enumerate(self.workers):
                if worker.process.poll() is not None:
                    self.num["died"] += 1
                    self.workers[place] = self._start_worker()
            fault = chance.choice(FAULTS)
            self.faults[fault] += 1
            if fault == "kill worker":
                place = chance.randrange(NUM_WORKERS)
                self.workers[place].kill()
                self.workers[place] = self._start_worker()
            elif fault == "kill redis":
                self.redis.kill()
                self.redis.start()
            elif fault == "stop redis":
                await stop([Running(self.redis.process, self.redis.folder)], chance)
            else:
                is_all = fault == "stop all workers"
                await stop(self.workers if is_all else [chance.choice(self.workers)], chance)

    async def weigh(self) -> None:
        """Note what Redis and the API processes take, until cancelled."""
        redis = Redis.from_url(self.redis.url)
        started = self.park.processes
        apis = [one.process for one in started if "serve" in str(one.process.args)]
        while True:
            await asyncio.sleep(2.0)
            try:
                used = (await redis.info("memory"))["used_memory"]
            except (RedisError, OSError):
                continue
            api = max(psutil.Process(process.pid).memory_info().rss for process in apis)
            self.memory.append({"redis": used / 1e6, "api": api / 1e6})

    def _start_worker(self) -> Running:
        return self.park.start_worker(self.redis.url, *FLAGS)

    async def _follow(self, grids: list[str]) -> None:
        """Hand in a job, or a batch, patiently, and wait for its end at any of the processes."""
        started_s = time.monotonic()
        key = {"Idempotency-Key": uuid.uuid4().hex}
        body = grids[0] if len(grids) == 1 else json.dumps({"instances": grids})
        job_id = (await self._insist("POST", "/jobs?width=4", body, key)).json()["id"]
        self.num["accepted"] += len(grids)
        self.num["batches"] += len(grids) > 1
        document: dict[str, Any] = {"state": "queued"}
        while document["state"] in ("queued", "running"):
            answer = await self._insist("GET", f"/jobs/{job_id}?wait=5")
            if answer.status_code == 404:
                self.num["lost"] += 1
                return
            document = answer.json()
        self.latencies_s.append(time.monotonic() - started_s)
        self.num["wrong"] += document["state"] != "done"
        for part, grid in zip(document["parts"] or [document], grids, strict=True):
            await self._check_end(part, grid)

    async def _check_end(self, document: dict[str, Any], grid: str) -> None:
        """See whether a job ended once, and with a right answer."""
        job_id = document["id"]
        path = f"/jobs/{job_id}/events"
        events = (await self._insist("GET", path)).text
        while "event: done" not in events and "event: error" in events:
            # The stream lost the queue before its end: a client asks again.
            self.num["broken_streams"] += 1
            await asyncio.sleep(0.5)
            events = (await self._insist("GET", path)).text
        if events.count("event: done") != 1 or events.count("event: solution") > 2:
            self.num["duplicated"] += 1
            sys.stderr.write(f"{job_id} ended more or less than once:\n{events}\n")
        self.num["wrong"] += document["state"] != "done" or not is_right(grid, document["result"])
        self.num["finished"] += 1

    async def _insist(
        self, method: str, path: str, content: str = "", headers: dict[str, str] | None = None
    ) -> httpx.Response:
        """Ask one API process after the other until one says something final."""
        while True:
            url = f"{random.choice(self.urls)}{path}"
            try:
                answer = await self.client.request(method, url, content=content, headers=headers)
            except httpx.TransportError:
                self.refused[0] += 1
            else:
                if answer.status_code in (200, 202, 404):
                    return answer
                self.refused[answer.status_code] += 1
            await asyncio.sleep(random.uniform(0.1, 0.5))


async def stop(processes: Sequence[Running], chance: random.Random) -> None:
    """Let processes stand still, for around the time of a lease or for long."""
    processes = [*processes]
    for process in processes:
        process.pause()
    try:
        await asyncio.sleep(chance.choice((0.9, 1.0, 1.1, 1.3, 2.5)) * LEASE_S)
    finally:
        for process in processes:
            if process.process.poll() is None:
                process.resume()


async def leftovers(url: str) -> dict[str, int]:
    """Return what is left in the queue, which should be nothing."""
    async with Redis.from_url(url, decode_responses=True) as redis:
        totals = await redis.hgetall("{gram}:1:totals")
        counts = await redis.hgetall("{gram}:1:counts")
        accepted = sum(int(value) for name, value in counts.items() if "accepted:" in name)
        return {
            "entries": sum([await redis.xlen(stream) for stream in Keys("gram").streams]),
            "reserved": int(totals.get("reserved", 0)),
            "running": await redis.zcard("{gram}:1:leases"),
            "redelivered": int(totals.get("redelivered", 0)),
            # By the queue's own count.
            "ended_in_several_ways_or_none": abs(sum(map(int, counts.values())) - 2 * accepted),
        }


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


async def run(
    minutes: float, rate: float, every_s: float, logs: Path | None = None
) -> dict[str, Any]:
    folder = Path(tempfile.mkdtemp(prefix="chaos-"))
    async with AsyncExitStack() as stack:
        stack.callback(shutil.rmtree, folder)
        if logs is not None:
            aside = shutil.ignore_patterns("appendonlydir")
            stack.callback(shutil.copytree, folder, logs, ignore=aside, dirs_exist_ok=True)
        limits = httpx.Limits(max_connections=400)
        client = await stack.enter_async_context(httpx.AsyncClient(timeout=15.0, limits=limits))
        redis = RedisServer(folder, DURABLE).start()
        stack.callback(redis.stop)
        park = Park(folder, environ={**os.environ, **KEEPING})
        stack.callback(park.close)
        chaos = Chaos(park, redis, client)
        await chaos.open()
        started_s = time.monotonic()
        tasks = [asyncio.create_task(chaos.load(rate))]
        await asyncio.sleep(WARM_UP_S)
        tasks += [asyncio.create_task(work) for work in (chaos.hurt(every_s), chaos.weigh())]
        await asyncio.sleep(minutes * 60.0)
        for task in tasks:
            task.cancel()
        # Not for ever: a client library may lose a cancellation.
        await asyncio.wait(tasks, timeout=SETTLE_S + 10.0)
        return report(chaos, await leftovers(redis.url), time.monotonic() - started_s)


def report(chaos: Chaos, left: dict[str, int], duration_s: float) -> dict[str, Any]:
    latencies = sorted(chaos.latencies_s) or [0.0]
    return {
        "command": " ".join(["make chaos", *sys.argv[1:]]),
        "commit": commit(),
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "hardware": f"{os.cpu_count()} processors, {platform.machine()}",
        "duration_s": round(duration_s, 1),
        "processes": {"api": NUM_API, "worker": NUM_WORKERS, "redis": 1},
        "faults": dict(chaos.faults),
        "workers_that_ended_by_themselves": chaos.num["died"],
        **{name: chaos.num[name] for name in ("accepted", "batches", "finished", "lost")},
        **{name: chaos.num[name] for name in ("broken_streams", "duplicated", "wrong")},
        "refused_and_sent_again": {str(status): n for status, n in sorted(chaos.refused.items())},
        "left_in_the_queue": left,
        "latency_s": {
            name: round(latencies[int(share * (len(latencies) - 1))], 3)
            for name, share in (("p50", 0.5), ("p99", 0.99))
        },
        "memory_growth": {name: growth(chaos, name) for name in ("redis", "api")},
    }


def growth(chaos: Chaos, name: str) -> float:
    """Return the last fifth of a run over its second fifth."""
    values = [sample[name] for sample in chaos.memory]
    fifth = max(len(values) // 5, 1)
    early, late = values[fifth : 2 * fifth] or values, values[-fifth:]
    return round(statistics.median(late) / statistics.median(early), 3)


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
