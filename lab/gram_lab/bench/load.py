"""Loads on one server: at given rates, at the highest that meets the objective, and beyond it.

When requests arrive is drawn before a load starts and waits for no answer: a slow server does not
slow the load down. A request without a solution counts as infinitely late.
"""

import json
import math
import signal
import sys
from collections import Counter
from collections.abc import Callable, Coroutine, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import psutil

from gram_lab.bench.client import Load, Record, Target, offer
from gram_lab.bench.questions import Question, QuestionOptions
from gram_lab.machine import processor
from gram_server import __version__, event_loop
from gram_server.errors import ConfigError

Json = dict[str, Any]
WARM_UP_REQUESTS = 8
PRECISION = 1.15
"""Ratio of the lowest failing to the highest passing rate at which a search stops."""
MAX_RATE = 2000.0
QUANTILES = {"p50": 0.5, "p90": 0.9, "p99": 0.99, "p999": 0.999}

Milliseconds = dict[str, float | None]
"""Quantiles; None where too many requests have no such time."""

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadOptions(QuestionOptions):
    """What to offer, and for how long."""

    rate: float = 2.0
    """Requests per second: where a search starts."""
    duration_s: float = 60.0
    min_requests: int = 100
    """Low rates are offered for longer, to reach this many."""
    lowest_rate: float = 0.1
    """Rate below which a search gives up."""
    rates: tuple[float, ...] = ()
    """Rates to offer; none searches for the highest that meets the objective."""
    repeats: int = 1
    """Runs of every rate, each with other arrivals."""
    slo_ms: float = 2000.0
    """Promised time to the first solution."""
    slo_share: float = 0.99
    """Share of requests that must meet it."""
    timeout_s: float = 60.0
    """Time after which the client gives up."""

    def __post_init__(self) -> None:
        for name in ("rate", "duration_s", "slo_ms"):
            if getattr(self, name) <= 0:
                raise ConfigError(name, getattr(self, name), "must be above 0")
        if not 0 < self.slo_share <= 1:
            raise ConfigError("slo_share", self.slo_share, "must be above 0 and at most 1")


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """One load at one rate."""

    rate: float
    """Offered, in requests per second."""
    num_requests: int
    ends: dict[str, int]
    throughput: float
    """Solved requests per second, until the last answer."""
    goodput: float
    """Requests per second of the offered load that met the objective."""
    share_within: float
    """Of all requests."""
    meets: bool
    first_solution_ms: Milliseconds
    """Of accepted requests."""
    whole_ms: Milliseconds
    """Of accepted requests, to their end."""
    refusal_ms: Milliseconds
    send_lag_ms: Milliseconds
    """How late the client itself was."""
    client_cpu_share: float
    """Of one core."""


class LoadRun:
    """Offers loads to one server and keeps the results."""

    def __init__(self, target: Target, questions: Sequence[Question], plan: LoadOptions) -> None:
        self._target, self._questions, self._plan = target, questions, plan
        self.loads: dict[str, Load] = {}
        self.summaries: dict[str, Summary] = {}

    async def warm_up(self) -> None:
        await offer(self._target, self._questions[:WARM_UP_REQUESTS], [0.0] * WARM_UP_REQUESTS)

    async def probe(self, rate: float, *, name: str | None = None, seed: int = 0) -> Summary:
        plan = self._plan
        duration_s = max(plan.duration_s, plan.min_requests / rate)
        moments = arrival_moments(rate=rate, duration_s=duration_s, seed=plan.seed + seed)
        name = name or f"{rate:.4g}/s"
        slo_s, slo_share = plan.slo_ms / 1e3, plan.slo_share
        load = await offer(self._target, self._questions, moments)
        summary = summarise(
            load, rate=rate, duration_s=duration_s, slo_s=slo_s, slo_share=slo_share
        )
        self.loads[name], self.summaries[name] = load, summary
        sys.stderr.write(
            f"{self._target.url} {name}: {len(moments)} requests, {summary.ends}, "
            f"{summary.share_within:.1%} within {slo_s:g} s\n"
        )
        return summary

    async def run(self) -> float | None:
        """Offer the planned rates, or search; return the highest that met the objective."""
        plan = self._plan
        await self.warm_up()
        tried: dict[float, bool] = {}
        for number in range(plan.repeats):
            for rate in plan.rates:
                name = f"{rate:.4g}/s" + (f" run {number + 1}" if plan.repeats > 1 else "")
                summary = await self.probe(rate, name=name, seed=number)
                tried[rate] = summary.meets and tried.get(rate, True)
        if not plan.rates:
            for rate in rates_to_try(tried, start=plan.rate, lowest=plan.lowest_rate):
                tried[rate] = (await self.probe(rate)).meets
        return best_rate(tried)

    async def overload(self, best: float, multiples: Sequence[float]) -> Json:
        """Offer ``best``, the saturation rate, then multiples of it.

        Throughput beyond saturation is no measure: refusals hit mostly hard kinds, which changes
        the mix.
        """
        runs: dict[str, Summary] = {"1": await self.probe(best, name="saturation", seed=1)}
        for number, multiple in enumerate(multiples, start=2):
            name = f"{multiple:g}x saturation"
            runs[f"{multiple:g}"] = await self.probe(best * multiple, name=name, seed=number)
        base = runs["1"].first_solution_ms["p99"]
        p99 = {multiple: run.first_solution_ms["p99"] for multiple, run in runs.items()}
        return {
            "saturation": best,
            "runs": {multiple: asdict(summary) for multiple, summary in runs.items()},
            "first_solution_p99_ratio": {
                multiple: None if value is None or not base else round(value / base, 3)
                for multiple, value in p99.items()
            },
        }

    def write(self, folder: Path, stem: str) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        with (folder / f"{stem}.jsonl").open("w", encoding="utf-8") as file:
            for name, load in self.loads.items():
                for record in load.records:
                    file.write(json.dumps({"run": name, **asdict(record)}) + "\n")


def summarise(
    load: Load, *, rate: float, duration_s: float, slo_s: float, slo_share: float
) -> Summary:
    """Sum a load up; ``slo_share`` of all requests, also refused ones, must be solved in time."""
    records = load.records
    accepted = [record for record in records if record.end != "refused"]
    refused = [record for record in records if record.end == "refused"]
    num_within = sum(_waited_s(record) <= slo_s for record in records)
    share = num_within / len(records) if records else 0.0
    ends = Counter(record.end for record in records)
    return Summary(
        rate=rate,
        num_requests=len(records),
        ends=dict(sorted(ends.items())),
        throughput=ends["solved"] / load.wall_s,
        goodput=num_within / duration_s,
        share_within=share,
        meets=share >= slo_share,
        first_solution_ms=quantiles(_waited_s(record) for record in accepted),
        whole_ms=quantiles(
            record.end_s - record.scheduled_s if record.status == 200 else math.inf
            for record in accepted
        ),
        refusal_ms=quantiles(record.end_s - record.sent_s for record in refused),
        send_lag_ms=quantiles(record.sent_s - record.scheduled_s for record in records),
        client_cpu_share=load.client_cpu_s / load.wall_s,
    )


def quantiles(durations_s: Iterable[float]) -> Milliseconds:
    """Return the quantiles and the maximum, by the nearest rank, in milliseconds."""
    ordered = sorted(durations_s)
    if not ordered:
        return dict.fromkeys([*QUANTILES, "max"], None)
    ranks = {name: math.ceil(share * len(ordered)) - 1 for name, share in QUANTILES.items()}
    found = {name: ordered[max(rank, 0)] for name, rank in ranks.items()} | {"max": ordered[-1]}
    return {
        name: None if math.isinf(value_s) else round(value_s * 1e3, 3)
        for name, value_s in found.items()
    }


def _waited_s(record: Record) -> float:
    return math.inf if record.first_s is None else record.first_s - record.scheduled_s


def arrival_moments(*, rate: float, duration_s: float, seed: int = 0) -> list[float]:
    """Return the moments at which requests arrive, in seconds since the start: a Poisson process.

    The same seed has the same gaps, in expected arrivals, at every rate.
    """
    rng, moments, moment_s = np.random.default_rng(seed), list[float](), 0.0
    while (moment_s := moment_s + rng.exponential(1.0 / rate)) < duration_s:
        moments.append(moment_s)
    return moments


def best_rate(tried: Mapping[float, bool]) -> float | None:
    """Return the highest rate that met the objective below any that failed; None when none did."""
    ceiling = _ceiling(tried)
    return max((rate for rate, meets in tried.items() if meets and rate < ceiling), default=None)


def rates_to_try(tried: Mapping[float, bool], *, start: float, lowest: float) -> Iterator[float]:
    """Yield rates from ``start``, doubling, then bisecting, until the best one is known.

    ``tried`` must hold each rate, whether it met the objective, before the next is asked for. The
    search ends without one below ``lowest``.
    """
    rate = start
    while lowest <= rate <= MAX_RATE:
        yield rate
        best, ceiling = best_rate(tried), _ceiling(tried)
        if best is None:
            rate = ceiling / 2
        elif math.isinf(ceiling):
            rate = best * 2
        elif ceiling / best <= PRECISION:
            return
        else:
            rate = math.sqrt(best * ceiling)


def _ceiling(tried: Mapping[float, bool]) -> float:
    return min((rate for rate, meets in tried.items() if not meets), default=math.inf)


def environment() -> Json:
    return {
        "processor": processor(),
        "num_cores": psutil.cpu_count(),
        "memory_gib": round(psutil.virtual_memory().total / 2**30, 1),
        "python": sys.version.split()[0],
        "gram_server": __version__,
        "load_average_at_end": psutil.getloadavg(),
    }


def run_client(main: Callable[[], Coroutine[Any, Any, _T]]) -> _T:
    """Run a client; SIGTERM ends it, and with it the servers started for it."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    return event_loop.run(main())
