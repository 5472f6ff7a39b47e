"""Several API processes on one Redis under load, scraped all the while."""

import asyncio
from collections import Counter
from contextlib import ExitStack
from pathlib import Path

import aiohttp
import pytest

from tests.processes import running, wait_until_ready

GRID = "1.34341221434321"
NUM_PROCESSES, NUM_JOBS = 2, 150
Sample = dict[str, float]


async def scrape(session: aiohttp.ClientSession, url: str) -> Sample:
    async with session.get(url) as response:
        text = await response.text()
    samples = [line.rsplit(" ", 1) for line in text.splitlines() if not line.startswith("#")]
    assert len({name for name, _ in samples}) == len(samples), "a series is told twice"
    return {name: float(value) for name, value in samples}


def is_counter(name: str) -> bool:
    return any(part in name for part in ("_total", "_bucket", "_count", "_sum"))


def falls(before: Sample, after: Sample) -> list[str]:
    """Return the counters that went down, or away."""
    return [
        name
        for name, value in before.items()
        if is_counter(name) and after.get(name, -1.0) < value - 1e-9
    ]


async def watch(session: aiohttp.ClientSession, urls: list[str], found: list[str]) -> None:
    """Scrape every process until cancelled; note what fell."""
    last: dict[str, Sample] = {}
    while True:
        for url in urls:
            sample = await scrape(session, url)
            found += falls(last.get(url, {}), sample)
            last[url] = sample
        await asyncio.sleep(0.1)


async def load(
    urls: list[str], num_jobs: int, metrics: list[str]
) -> "tuple[Counter[str], list[str]]":
    """Ask every process in turn, 16 at a time; return how the answers were and what fell."""
    outcomes: Counter[str] = Counter()
    found: list[str] = []
    # Shorter than the server's, which would otherwise hang up just as it is asked.
    connector = aiohttp.TCPConnector(keepalive_timeout=2.0)
    async with aiohttp.ClientSession(connector=connector) as session:
        watching = asyncio.create_task(watch(session, metrics, found))
        numbers = iter(range(num_jobs))

        async def ask() -> None:
            for number in numbers:
                url = f"{urls[number % len(urls)]}/solve?width=1&depth=1&seed={number}"
                body = GRID if number % 50 else "44" + GRID[2:]
                async with session.post(url, data=body) as response:
                    answer = await response.json()
                    outcomes[str(answer["status"])] += 1

        await asyncio.gather(*(ask() for _ in range(16)))
        # Where a scrape failed, it says so here.
        assert not watching.done() or watching.result()
        watching.cancel()
        await asyncio.wait((watching,))
    return outcomes, found


async def totals(metrics: list[str]) -> "tuple[Counter[str], dict[str, set[str]]]":
    """Return the requests by outcome, summed over processes, and the values of every label."""
    counted: Counter[str] = Counter()
    labels: dict[str, set[str]] = {}
    async with aiohttp.ClientSession() as session:
        for url in metrics:
            for name, value in (await scrape(session, url)).items():
                if name.startswith("gram_requests_total{"):
                    outcome = name.partition('outcome="')[2].partition('"')[0]
                    counted[outcome] += round(value)
                for part in name.partition("{")[2].rstrip("}").split('",'):
                    key, _, text = part.partition('="')
                    labels.setdefault(key, set()).add(text.rstrip('"'))
    return counted, labels


@pytest.mark.redis
@pytest.mark.slow
def test_no_counter_of_several_api_processes_falls_and_their_totals_are_the_clients(
    redis_url: str, tmp_path: Path
) -> None:
    queue = ("--store", redis_url)
    model = ("--model", "sudoku-4x4", "--num-threads", "1", "--metrics-port", "0")
    with ExitStack() as stack:
        worker = stack.enter_context(running(tmp_path / "worker", "worker", *model, *queue))
        servers = [
            stack.enter_context(running(tmp_path / f"api{number}", "serve", "--port", "0", *queue))
            for number in range(NUM_PROCESSES)
        ]
        urls = [server.url() for server in servers]
        metrics = [f"{url}/metrics" for url in urls] + [worker.url("metrics on ")]
        for url in urls:
            wait_until_ready(url)
        outcomes, found = asyncio.run(load(urls, NUM_JOBS, metrics))
        assert found == []
        counted, labels = asyncio.run(totals(metrics))
    assert counted["invalid"] == outcomes.pop("422")
    for status in ("solved", "unsolved"):
        assert counted[status] == outcomes[status], status
    assert sum(counted.values()) == NUM_JOBS
    few = {name: values for name, values in labels.items() if name != "le"}
    assert max(len(values) for values in few.values()) <= 12, few
