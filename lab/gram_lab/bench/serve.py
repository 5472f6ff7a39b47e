"""``gram-lab bench serve``: one server under load, at given rates, at the highest it can bear,
and beyond.
"""

import json
import platform
import signal
import sys
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TypeVar

import psutil
from rich.console import Console

from gram_lab.bench.arrivals import Arrivals
from gram_lab.bench.client import Load, Target, offer, scrape
from gram_lab.bench.questions import (
    Question,
    draw_questions,
    read_mix,
    read_questions,
    write_questions,
)
from gram_lab.bench.search import RateSearch, find_goodput
from gram_lab.bench.summary import Objective, Summary, summarise
from gram_server import event_loop
from gram_server.version import __version__

Json = dict[str, object]
WARM_UP_REQUESTS = 8

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Offer:
    """Which server is asked, and what."""

    url: str = "http://127.0.0.1:8000"
    key: str | None = None
    mix: str = "sudoku-9x9:16"
    """As sudoku-9x9:1-64=2,nqueens-8:16=1."""
    num_questions: int = 200
    data: Path | None = None
    """Puzzles of the first task of the mix."""
    trace: Path | None = None
    """Questions to ask instead, with at_s where they are a trace."""
    replay: float | None = None
    """Ask them when they say, so many times as fast."""
    keep_questions: Path | None = None
    """File to write the questions to."""
    timeout_s: float = 60.0
    output: Path | None = None

    @property
    def target(self) -> Target:
        """The server."""
        headers = (("Authorization", f"Bearer {self.key}"),) if self.key else ()
        return Target(url=self.url, timeout_s=self.timeout_s, headers=headers)

    def questions(self, *, seed: int) -> list[Question]:
        """Draw or read what is asked, and keep it where that is wanted."""
        if self.trace is not None:
            return read_questions(self.trace)
        found = draw_questions(read_mix(self.mix), self.num_questions, seed=seed, data=self.data)
        if self.keep_questions is not None:
            write_questions(self.keep_questions, found)
        return found


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadPlan:
    """What to offer, and for how long."""

    arrivals: Arrivals
    """Their rate is where a search starts."""
    objective: Objective
    min_requests: int = 100
    """A low rate is offered for longer, until it is so many."""
    lowest_rate: float = 0.1
    """A search gives up below it."""
    rates: tuple[float, ...] = ()
    """Rates to offer; none searches for the highest that meets the objective."""
    overload: tuple[float, ...] = ()
    """Multiples of the highest rate, to offer after that."""
    repeats: int = 1
    """Runs of every rate, with other arrivals each."""


class LoadRun:
    """Offers loads to one target and keeps what came of them."""

    def __init__(self, target: Target, questions: Sequence[Question], plan: LoadPlan) -> None:
        self._target = target
        self._questions = questions
        self._plan = plan
        self._talk = Console(stderr=True)
        self.loads: dict[str, Load] = {}
        self.summaries: dict[str, Summary] = {}

    async def warm_up(self) -> None:
        """Ask a few questions that do not count."""
        await offer(self._target, self._questions[:WARM_UP_REQUESTS], [0.0] * WARM_UP_REQUESTS)

    async def probe(self, rate: float, *, name: str | None = None, seed: int = 0) -> Summary:
        """Offer one rate and keep the result under a name."""
        duration_s = max(self._plan.arrivals.duration_s, self._plan.min_requests / rate)
        arrivals = replace(
            self._plan.arrivals,
            rate=rate,
            duration_s=duration_s,
            seed=self._plan.arrivals.seed + seed,
        )
        return await self._keep(arrivals.moments(), rate, duration_s, name or f"{rate:.4g}/s")

    async def replay(self, speed: float) -> Summary:
        """Ask the questions at the moments that their trace names, ``speed`` times as fast."""
        moments = [(question.at_s or 0.0) / speed for question in self._questions]
        duration_s = max(moments[-1], 1e-3)
        return await self._keep(moments, len(moments) / duration_s, duration_s, "trace")

    async def _keep(
        self, moments: Sequence[float], rate: float, duration_s: float, name: str
    ) -> Summary:
        load = await offer(self._target, self._questions, moments)
        self.loads[name] = load
        summary = summarise(load, rate=rate, duration_s=duration_s, objective=self._plan.objective)
        self.summaries[name] = summary
        self._talk.print(
            f"{self._target.url} {name}: {len(moments)} requests, {summary.ends}, "
            f"{summary.share_within:.1%} within {self._plan.objective.first_solution_s:g} s"
        )
        return summary

    async def run(self) -> float | None:
        """Offer what the plan says; return the highest rate that met the objective."""
        plan = self._plan
        await self.warm_up()
        for number in range(plan.repeats):
            for rate in plan.rates:
                name = f"{rate:.4g}/s" + (f" run {number + 1}" if plan.repeats > 1 else "")
                await self.probe(rate, name=name, seed=number)
        if not plan.rates:
            await find_goodput(self.probe, self._search())
        met = [run.rate for run in self.summaries.values() if run.meets]
        failed = [run.rate for run in self.summaries.values() if not run.meets]
        ceiling = min(failed, default=float("inf"))
        return max((rate for rate in met if rate < ceiling), default=None)

    def _search(self) -> RateSearch:
        return RateSearch(start=self._plan.arrivals.rate, min_rate=self._plan.lowest_rate)

    async def overload(self, best: float) -> Json:
        """Offer saturation, the highest rate that met the objective, then multiples of it.

        What a pressed server solves per second would be no measure of it: refused are mostly the
        hard kinds, and what is left is another load.
        """
        runs: dict[str, Summary] = {"1": await self.probe(best, name="saturation", seed=1)}
        for number, multiple in enumerate(self._plan.overload, start=2):
            name = f"{multiple:g}x saturation"
            runs[f"{multiple:g}"] = await self.probe(best * multiple, name=name, seed=number)
        return {
            "saturation": best,
            "runs": {multiple: asdict(summary) for multiple, summary in runs.items()},
            "first_solution_p99_ratio": {
                multiple: _ratio(run.first_solution_ms["p99"], runs["1"].first_solution_ms["p99"])
                for multiple, run in runs.items()
            },
        }

    def write(self, folder: Path, stem: str) -> None:
        """Write every request as a JSON line."""
        folder.mkdir(parents=True, exist_ok=True)
        with (folder / f"{stem}.jsonl").open("w", encoding="utf-8") as file:
            for name, load in self.loads.items():
                for record in load.records:
                    file.write(json.dumps({"run": name, **asdict(record)}) + "\n")


async def measure_serve(offered: Offer, questions: Sequence[Question], plan: LoadPlan) -> Json:
    """Run the plan, or replay the questions' trace; return every summary."""
    target = offered.target
    run = LoadRun(target, questions, plan)
    before = await scrape(target.url, target.headers)
    best: float | None = None
    overloaded: Json | None = None
    if offered.replay is None:
        best = await run.run()
        if plan.overload and best is not None:
            overloaded = await run.overload(best)
    else:
        await run.warm_up()
        await run.replay(offered.replay)
    after = await scrape(target.url, target.headers)
    if offered.output is not None:
        run.write(offered.output, "serve")
    return {
        "environment": environment(),
        "url": target.url,
        "questions": describe(questions),
        "plan": asdict(plan),
        "best_rate": best,
        "runs": {name: asdict(summary) for name, summary in run.summaries.items()},
        "overload": overloaded,
        "agreement": agreement(run, before, after),
    }


def agreement(run: LoadRun, before: Mapping[str, float], after: Mapping[str, float]) -> Json:
    """Return what the client and the server's own counters say of the same load."""
    counted: dict[str, float] = {}
    for name, value in after.items():
        if name.startswith("gram_requests_total{"):
            outcome = name.partition('outcome="')[2].partition('"')[0]
            counted[outcome] = counted.get(outcome, 0.0) + value - before.get(name, 0.0)
    asked: dict[str, int] = {"solved": WARM_UP_REQUESTS}
    for summary in run.summaries.values():
        for end, count in summary.ends.items():
            asked[end] = asked.get(end, 0) + count
    return {"client_with_warm_up": asked, "server": counted}


def describe(questions: Sequence[Question]) -> Json:
    """Return what a load consists of."""
    counts: dict[str, int] = {}
    for question in questions:
        name = f"{question.task}, width {question.width}"
        counts[name] = counts.get(name, 0) + 1
    return {"count": len(questions), "kinds": dict(sorted(counts.items()))}


def environment() -> Json:
    """Return what a reader must know about the machine."""
    return {
        "processor": _processor(),
        "num_cores": psutil.cpu_count(),
        "memory_gib": round(psutil.virtual_memory().total / 2**30, 1),
        "python": platform.python_version(),
        "gram_server": __version__,
        "load_average_at_end": psutil.getloadavg(),
    }


def _processor() -> str:
    lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.machine())


def _ratio(value: float | None, base: float | None) -> float | None:
    return None if value is None or not base else round(value / base, 3)


def run_client(main: Callable[[], Awaitable[_T]]) -> _T:
    """Run a client; servers that were started for it end with it."""

    async def wrapped() -> _T:
        return await main()

    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    return event_loop.run(wrapped())
