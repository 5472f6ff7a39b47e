"""Several API processes on one Redis under load, scraped all the while."""

import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.samples import Sample

from tests.processes import running, wait_until_ready

GRID = "1.34341221434321"
NUM_PROCESSES, NUM_JOBS = 2, 150
COUNTERS = ("_total", "_bucket", "_count", "_sum")


def scrape(url: str) -> list[Sample]:
    families = text_string_to_metric_families(httpx.get(url, timeout=60.0).text)
    return [sample for family in families for sample in family.samples]


def counters(url: str) -> dict[str, float]:
    """Return the counters of a process by name and labels."""
    named = [(f"{one.name}{one.labels}", one.value) for one in scrape(url)]
    assert len(dict(named)) == len(named), "a series is told twice"
    return {name: value for name, value in named if any(part in name for part in COUNTERS)}


def watch(urls: list[str], is_over: threading.Event) -> list[str]:
    """Scrape every process until it is over; return the counters that went down, or away."""
    last: dict[str, dict[str, float]] = {}
    found = []
    while not is_over.wait(0.1):
        for url in urls:
            now = counters(url)
            before = last.get(url, {}).items()
            found += [name for name, value in before if now.get(name, -1.0) < value - 1e-9]
            last[url] = now
    return found


def load(urls: list[str]) -> "Counter[str]":
    """Ask every process in turn, 16 at a time; return how the answers were."""
    with httpx.Client(timeout=60.0) as client:

        def ask(number: int) -> str:
            url = f"{urls[number % len(urls)]}/solve?width=1&depth=1&seed={number}"
            # Of fifty puzzles one contradicts itself.
            content = GRID if number % 50 else "44" + GRID[2:]
            return str(client.post(url, content=content).json()["status"])

        with ThreadPoolExecutor(16) as pool:
            return Counter(pool.map(ask, range(NUM_JOBS)))


@pytest.mark.redis
@pytest.mark.slow
def test_no_counter_of_several_api_processes_falls_and_their_totals_are_the_clients(
    redis_url: str, tmp_path: Path
) -> None:
    queue = ("--store", redis_url)
    model = ("--model", "sudoku-4x4", "--num-threads", "1", "--metrics-port", "0")
    with ExitStack() as stack, ThreadPoolExecutor(1) as pool:
        worker = stack.enter_context(running(tmp_path / "worker", "worker", *model, *queue))
        servers = [
            stack.enter_context(running(tmp_path / f"api{number}", "serve", "--port", "0", *queue))
            for number in range(NUM_PROCESSES)
        ]
        urls = [server.url() for server in servers]
        metrics = [f"{url}/metrics" for url in urls] + [worker.url("metrics on ")]
        for url in urls:
            wait_until_ready(url)
        is_over = threading.Event()
        falls = pool.submit(watch, metrics, is_over)
        try:
            outcomes = load(urls)
        finally:
            is_over.set()
        assert falls.result() == []
        samples = [sample for url in metrics for sample in scrape(url)]
    counted: Counter[str] = Counter()
    labels: dict[str, set[str]] = {}
    for sample in samples:
        if sample.name == "gram_requests_total":
            counted[sample.labels["outcome"]] += round(sample.value)
        for name, text in sample.labels.items():
            labels.setdefault(name, set()).add(text)
    assert counted["invalid"] == outcomes.pop("422")
    for status in ("solved", "unsolved"):
        assert counted[status] == outcomes[status], status
    assert sum(counted.values()) == NUM_JOBS
    few = {name: values for name, values in labels.items() if name != "le"}
    assert max(len(values) for values in few.values()) <= 12, few
