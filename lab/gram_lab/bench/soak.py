"""``gram-lab bench start`` and ``bench soak``: start-up time, and stability under load."""

import statistics
import tempfile
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path

import psutil

from gram_lab.bench.client import scrape
from gram_lab.bench.compare import MIX
from gram_lab.bench.load import Json, LoadOptions, LoadRun, environment, run_client
from gram_lab.bench.plain_solver import solvable
from gram_lab.bench.questions import Question, describe, draw_questions, read_mix
from gram_lab.bench.servers import CONTENDERS, OURS, Started, running

SETTLING_SHARE = 0.1
"""First windows left out, while caches fill and pools grow."""
TIMEOUT_S = 120.0


@dataclass(frozen=True, slots=True, kw_only=True)
class SoakOptions:
    """Duration and load of a soak."""

    minutes: float = 60.0
    window_s: float = 60.0
    load: float = 0.7
    """Share of the server's capacity."""
    press: float = 300.0
    """Rate that saturates it, in requests per second."""
    mix: str = MIX
    models: tuple[str, ...] = ("sudoku-9x9", "nqueens-8")
    num_questions: int = 200
    data: Path | None = None
    """Puzzles of the first task of the mix."""
    num_threads: int = 2
    seed: int = 0
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
    for _ in range(options.num_runs):
        with _ours(options) as started:
            samples = run_client(partial(scrape, started.target.url))
            runs.append(
                {
                    "ready_s": round(started.ready_s, 2),
                    "phases_s": _phases(samples),
                    "memory_mb": _memory_mb(started.pid),
                }
            )
    models = list(options.models) or "every one shipped"
    return {"environment": environment(), "models": models, "runs": runs}


def measure_soak(options: SoakOptions) -> Json:
    """Offer a share of the server's measured capacity, window after window."""
    drawn = draw_questions(
        read_mix(options.mix), options.num_questions, seed=options.seed, data=options.data
    )
    questions = solvable(drawn, options.models, num_threads=options.num_threads)
    # A long backlog: refusals hit mostly hard kinds, which would change the mix.
    with _ours(options, environment={"GRAM_SERVER_MAX_BACKLOG_S": "600"}) as started:
        return run_client(partial(_soak, started, options, questions))


async def _soak(started: Started, options: SoakOptions, questions: Sequence[Question]) -> Json:
    plan = LoadOptions(
        duration_s=options.window_s, seed=options.seed, slo_ms=10_000.0, min_requests=1
    )
    run = LoadRun(started.target, questions, plan)
    await run.warm_up()
    capacity = (await run.probe(options.press, name="pressed")).throughput
    windows = []
    for number in range(max(1, round(options.minutes * 60.0 / options.window_s))):
        summary = await run.probe(capacity * options.load, name=f"window {number}", seed=number)
        windows.append({**asdict(summary), "memory_mb": _memory_mb(started.pid)})
        # Keeps the client's memory constant over an hour.
        run.loads.clear()
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


@contextmanager
def _ours(
    options: SoakOptions | StartOptions, *, environment: Mapping[str, str] | None = None
) -> Iterator[Started]:
    with (
        tempfile.TemporaryDirectory() as folder,
        running(
            replace(CONTENDERS[OURS], environment=environment or {}),
            models=options.models,
            num_threads=options.num_threads,
            log=Path(folder) / "log",
            timeout_s=TIMEOUT_S,
        ) as started,
    ):
        yield started


def _phases(samples: Mapping[str, float]) -> dict[str, float]:
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
