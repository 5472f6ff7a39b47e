"""``gram-lab bench serve`` and ``start``: a server under load, and how it comes up."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

import psutil
from prometheus_client.samples import Sample

from gram_lab.bench.client import Target, scrape
from gram_lab.bench.load import (
    WARM_UP_REQUESTS,
    Json,
    LoadOptions,
    LoadRun,
    environment,
    run_client,
)
from gram_lab.bench.questions import describe
from gram_lab.bench.servers import CONTENDERS, OURS, running

PHASE = "gram_startup_phase_seconds_sum"


@dataclass(frozen=True, slots=True, kw_only=True)
class ServeOptions(LoadOptions):
    """A server and its load."""

    url: str = "http://127.0.0.1:8000"
    key: str | None = None
    mix: str = "sudoku-9x9:16"
    overload: tuple[float, ...] = ()
    """Multiples of the highest rate to offer afterwards."""
    output: Path | None = None


def measure_serve(options: ServeOptions) -> Json:
    questions = options.draw()
    headers = (("Authorization", f"Bearer {options.key}"),) if options.key else ()
    target = Target(url=options.url, timeout_s=options.timeout_s, headers=headers)
    run = LoadRun(target, questions, options)

    async def measure() -> Json:
        before = await scrape(target.url, headers)
        best = await run.run()
        overloaded: Json | None = None
        if options.overload and best is not None:
            overloaded = await run.overload(best, options.overload)
        counted = _requests(await scrape(target.url, headers)) - _requests(before)
        asked = Counter({"solved": WARM_UP_REQUESTS})
        for summary in run.summaries.values():
            asked.update(summary.ends)
        return {
            "best_rate": best,
            "runs": {name: asdict(summary) for name, summary in run.summaries.items()},
            "overload": overloaded,
            "agreement": {"client_with_warm_up": asked, "server": dict(counted)},
        }

    result = run_client(measure)
    if options.output is not None:
        run.write(options.output, "serve")
    plan = {**asdict(options), "key": None}
    about = {"environment": environment(), "url": target.url, "questions": describe(questions)}
    return {**about, "plan": plan, **result}


def _requests(samples: Sequence[Sample]) -> Counter[str]:
    """Return the server's own counts by outcome."""
    counted = Counter[str]()
    for each in samples:
        if each.name == "gram_requests_total":
            counted[each.labels["outcome"]] += int(each.value)
    return counted


@dataclass(frozen=True, slots=True, kw_only=True)
class StartOptions:
    """Number of starts, and models."""

    num_runs: int = 3
    num_threads: int = 2
    models: tuple[str, ...] = ()
    """All shipped ones if empty."""
    output: Path | None = None


def measure_start(options: StartOptions) -> Json:
    runs = []
    models, num_threads = options.models, options.num_threads
    for _ in range(options.num_runs):
        with running(CONTENDERS[OURS], models=models, num_threads=num_threads) as started:
            found = run_client(partial(scrape, started.target.url))
            phases = {
                each.labels["phase"]: round(each.value, 2) for each in found if each.name == PHASE
            }
            memory_mb = _memory_mb(started.pid)
        ready_s = round(started.ready_s, 2)
        runs.append({"ready_s": ready_s, "phases_s": phases, "memory_mb": memory_mb})
    shown = list(models) or "every one shipped"
    return {"environment": environment(), "models": shown, "runs": runs}


def _memory_mb(pid: int) -> dict[str, float]:
    api = psutil.Process(pid)
    worker = sum(child.memory_info().rss for child in api.children(recursive=True))
    return {"api": round(api.memory_info().rss / 1e6, 1), "worker": round(worker / 1e6, 1)}
