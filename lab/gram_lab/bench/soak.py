"""``gram-lab bench start`` and ``bench soak``: how a server comes up, and how it holds out."""

import statistics
import tempfile
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import psutil

from gram_lab.bench.arrivals import Arrivals
from gram_lab.bench.client import scrape
from gram_lab.bench.compare import CONTENDERS, OURS, Comparison
from gram_lab.bench.plain_solver import solvable
from gram_lab.bench.process import Started, running
from gram_lab.bench.questions import Question, draw_questions, read_mix
from gram_lab.bench.serve import LoadPlan, LoadRun, describe, environment, run_client
from gram_lab.bench.summary import Objective

Json = dict[str, Any]
SETTLING_SHARE = 0.1
"""Of the windows, at the start: caches fill and pools grow in them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SoakPlan:
    """How long, and how hard."""

    minutes: float = 60.0
    window_s: float = 60.0
    load: float = 0.7
    """Of what the server can do at most."""
    press: float = 300.0
    """Rate that saturates it, in requests per second."""
    mix: str = Comparison().mix
    models: tuple[str, ...] = ("sudoku-9x9", "nqueens-8")
    num_questions: int = 200
    num_threads: int = 2
    seed: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class StartPlan:
    """How often, and what."""

    num_runs: int = 3
    num_threads: int = 2
    models: tuple[str, ...] = ()
    """None for every one shipped."""


def measure_start(plan: StartPlan) -> Json:
    """Start a server several times; return how long it took, by phase, and its memory."""
    runs = []
    for _ in range(plan.num_runs):
        with tempfile.TemporaryDirectory() as folder:
            log = Path(folder) / "log"
            with running(
                CONTENDERS[OURS],
                models=plan.models,
                num_threads=plan.num_threads,
                log=log,
                timeout_s=60.0,
            ) as started:
                samples = run_client(partial(scrape, started.target.url))
                runs.append(
                    {
                        "ready_s": round(started.ready_s, 2),
                        "phases_s": _phases(samples),
                        "memory_mb": _memory_mb(started.pid),
                    }
                )
    return {
        "environment": environment(),
        "models": list(plan.models) or "every one shipped",
        "runs": runs,
    }


def measure_soak(plan: SoakPlan) -> Json:
    """Offer a share of what a server can do, window after window."""
    arrivals = Arrivals(rate=plan.press, duration_s=plan.window_s, seed=plan.seed)
    load_plan = LoadPlan(arrivals=arrivals, objective=Objective(first_solution_s=10.0))
    drawn = draw_questions(read_mix(plan.mix), plan.num_questions, seed=plan.seed)
    questions = solvable(drawn, plan.models, num_threads=plan.num_threads)
    # What a pressed server refuses are mostly the hard kinds: what it does then is another load.
    patient = replace(CONTENDERS[OURS], environment={"GRAM_SERVER_MAX_BACKLOG_S": "600"})
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder) / "log"
        with running(
            patient,
            models=plan.models,
            num_threads=plan.num_threads,
            log=log,
            timeout_s=120.0,
        ) as started:
            return run_client(lambda: _soak(started, plan, load_plan, questions))


async def _soak(
    started: Started, plan: SoakPlan, load_plan: LoadPlan, questions: Sequence[Question]
) -> Json:
    run = LoadRun(started.target, questions, replace(load_plan, min_requests=1))
    await run.warm_up()
    capacity = (await run.probe(load_plan.arrivals.rate, name="pressed")).throughput
    windows = []
    for number in range(max(1, round(plan.minutes * 60.0 / plan.window_s))):
        summary = await run.probe(capacity * plan.load, name=f"window {number}", seed=number)
        windows.append({**asdict(summary), "memory_mb": _memory_mb(started.pid)})
        # What an hour of requests takes in the client is no concern of the server's.
        run.loads.clear()
    return {
        "environment": environment(),
        "plan": asdict(plan),
        "questions": describe(questions),
        "capacity": capacity,
        "windows": windows,
        "verdict": verdict(windows),
    }


def verdict(windows: Sequence[Json]) -> Json:
    """Compare the end of a soak with its beginning, the settling left out."""
    settled = windows[round(len(windows) * SETTLING_SHARE) :]
    third = max(1, len(settled) // 3)
    first, last = settled[:third], settled[-third:]

    def growth(of: str) -> float:
        before, after = (
            statistics.mean(window["memory_mb"][of] for window in part) for part in (first, last)
        )
        return round(float(after / before - 1), 4)

    ends = Counter[str]()
    for window in windows:
        ends.update(window["ends"])
    return {
        "api_memory_growth": growth("api"),
        "worker_memory_growth": growth("worker"),
        "num_requests": ends.total(),
        "num_unsolved": ends["unsolved"],
        "num_errors": ends.total() - ends["solved"] - ends["unsolved"],
        "p99_ms_first_third": _median_p99(first),
        "p99_ms_last_third": _median_p99(last),
    }


def _median_p99(windows: Sequence[Json]) -> float | None:
    known = [window["first_solution_ms"]["p99"] for window in windows]
    return None if None in known else round(statistics.median(known), 1)


def _phases(samples: dict[str, float]) -> dict[str, float]:
    head = 'gram_startup_phase_seconds_sum{phase="'
    return {
        name.removeprefix(head).rstrip('"}'): round(value, 2)
        for name, value in samples.items()
        if name.startswith(head)
    }


def _memory_mb(pid: int) -> dict[str, float]:
    api = psutil.Process(pid)
    worker = sum(child.memory_info().rss for child in api.children(recursive=True))
    return {"api": round(api.memory_info().rss / 1e6, 1), "worker": round(worker / 1e6, 1)}
