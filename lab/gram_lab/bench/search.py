"""Finds the highest rate that still meets an objective: doubling, then bisection of its logarithm.

Knows neither servers nor clocks: a probe is a callable.
"""

import math
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field

from gram_lab.bench.summary import Summary

Probe = Callable[[float], Awaitable[Summary]]


@dataclass(slots=True)
class RateSearch:
    """Which rates were tried and which one to try next."""

    start: float
    precision: float = 1.15
    """Ratio of the lowest failing to the highest passing rate at which to stop."""
    min_rate: float = 0.1
    max_rate: float = 2000.0
    tried: dict[float, bool] = field(default_factory=dict)

    @property
    def best(self) -> float | None:
        """Highest rate that passed below any that failed; None when none did."""
        passed = [rate for rate, meets in self.tried.items() if meets and rate < self._ceiling]
        return max(passed, default=None)

    @property
    def _ceiling(self) -> float:
        return min((rate for rate, meets in self.tried.items() if not meets), default=math.inf)

    def rates(self) -> Iterator[float]:
        """Yield rates to try; each must be in ``tried`` before the next is asked for."""
        rate = self.start
        while self.min_rate <= rate <= self.max_rate:
            yield rate
            best, ceiling = self.best, self._ceiling
            if best is not None and ceiling / best <= self.precision:
                return
            if best is None:
                rate = ceiling / 2
            elif math.isinf(ceiling):
                rate = best * 2
            else:
                rate = math.sqrt(best * ceiling)


async def find_goodput(probe: Probe, search: RateSearch) -> list[Summary]:
    """Probe rates until the best one is known; return every probe in the order of its rate."""
    found = []
    for rate in search.rates():
        summary = await probe(rate)
        search.tried[rate] = summary.meets
        found.append(summary)
    return sorted(found, key=lambda summary: summary.rate)
