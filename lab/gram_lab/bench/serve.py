"""``gram-lab bench serve``, ``soak`` and ``start``: a server under load, for an hour, and anew."""

import statistics
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
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
from gram_lab.bench.plain_solver import solvable
from gram_lab.bench.questions import (
    QuestionOptions,
    describe,
    read_questions,
    write_questions,
)
from gram_lab.bench.servers import CONTENDERS, OURS, running

SETTLING_SHARE = 0.1
"""First windows left out, while caches fill and pools grow."""
TIMEOUT_S = 120.0
PHASE = "gram_startup_phase_seconds_sum"


@dataclass(frozen=True, slots=True, kw_only=True)
class ServeOptions(LoadOptions):
    """A server and its load."""

    url: str = "http://127.0.0.1:8000"
    key: str | None = None
    mix: str = "sudoku-9x9:16"
    trace: Path | None = None
    """File of questions to ask instead; a trace has at_s."""
    replay: float | None = None
    """Speed at which to replay the trace."""
    keep_questions: Path | None = None
    """File to write the questions to."""
    overload: tuple[float, ...] = ()
    """Multiples of the highest rate to offer afterwards."""
    output: Path | None = None


def measure_serve(options: ServeOptions) -> Json:
    questions = options.draw() if options.trace is None else read_questions(options.trace)
    if options.keep_questions is not None:
        write_questions(options.keep_questions, questions)
    headers = (("Authorization", f"Bearer {options.key}"),) if options.key else ()
    target = Target(url=options.url, timeout_s=options.timeout_s, headers=headers)
    run = LoadRun(target, questions, options)

    async def measure() -> Json:
        before = await scrape(target.url, headers)
        best: float | None = None
        overloaded: Json | None = None
        if options.replay is None:
            best = await run.run()
            if options.overload and best is not None:
                overloaded = await run.overload(best, options.overload)
        else:
            await run.warm_up()
            await run.replay(options.replay)
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
class SoakOptions(QuestionOptions):
    """Duration and load of a soak."""

    minutes: float = 60.0
    window_s: float = 60.0
    load: float = 0.7
    """Share of the server's capacity."""
    press: float = 300.0
    """Rate that saturates it, in requests per second."""
    models: tuple[str, ...] = ("sudoku-9x9", "nqueens-8")
    num_threads: int = 2
    output: Path | None = None


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


def measure_soak(options: SoakOptions) -> Json:
    """Offer a share of the server's measured capacity, window after window."""
    models, num_threads = options.models, options.num_threads
    questions = solvable(options.draw(), models, num_threads=num_threads)
    plan = LoadOptions(
        duration_s=options.window_s, seed=options.seed, slo_ms=10_000.0, min_requests=1
    )
    # A long backlog: refusals hit mostly hard kinds, which would change the mix.
    ours = replace(CONTENDERS[OURS], environment={"GRAM_SERVER_MAX_BACKLOG_S": "600"})
    with running(ours, models=models, num_threads=num_threads, timeout_s=TIMEOUT_S) as started:
        run, windows = LoadRun(started.target, questions, plan), list[Json]()

        async def soak() -> float:
            await run.warm_up()
            capacity = (await run.probe(options.press, name="pressed")).throughput
            for number in range(max(1, round(options.minutes * 60.0 / options.window_s))):
                rate, name = capacity * options.load, f"window {number}"
                summary = await run.probe(rate, name=name, seed=number)
                windows.append({**asdict(summary), "memory_mb": _memory_mb(started.pid)})
                # Keeps the client's memory constant over an hour.
                run.loads.clear()
            return capacity

        capacity = run_client(soak)
    return {
        "environment": environment(),
        "plan": asdict(options),
        "questions": describe(questions),
        "capacity": capacity,
        "windows": windows,
        "verdict": verdict(windows),
    }


def verdict(windows: Sequence[Json]) -> Json:
    """Compare the last third of a soak with the first after settling."""
    settled = windows[round(len(windows) * SETTLING_SHARE) :]
    third = max(1, len(settled) // 3)
    first, last = settled[:third], settled[-third:]

    def growth(of: str) -> float:
        before, after = (
            statistics.mean(window["memory_mb"][of] for window in part) for part in (first, last)
        )
        return round(float(after / before - 1), 4)

    def p99_ms(part: Sequence[Json]) -> float | None:
        known = [window["first_solution_ms"]["p99"] for window in part]
        return None if None in known else round(statistics.median(known), 1)

    ends = Counter[str]()
    for window in windows:
        ends.update(window["ends"])
    return {
        "api_memory_growth": growth("api"),
        "worker_memory_growth": growth("worker"),
        "num_requests": ends.total(),
        "num_unsolved": ends["unsolved"],
        "num_errors": ends.total() - ends["solved"] - ends["unsolved"],
        "p99_ms_first_third": p99_ms(first),
        "p99_ms_last_third": p99_ms(last),
    }


def _memory_mb(pid: int) -> dict[str, float]:
    api = psutil.Process(pid)
    worker = sum(child.memory_info().rss for child in api.children(recursive=True))
    return {"api": round(api.memory_info().rss / 1e6, 1), "worker": round(worker / 1e6, 1)}
