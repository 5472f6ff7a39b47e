"""Finds the highest rate that still meets an objective: doubling, then bisection of its logarithm.

Knows neither servers nor clocks.
"""

import math
from collections.abc import Iterator, Mapping

PRECISION = 1.15
"""Ratio of the lowest failing to the highest passing rate at which a search stops."""
MAX_RATE = 2000.0


def best_rate(tried: Mapping[float, bool]) -> float | None:
    """Return the highest rate that met the objective below any that failed; None when none did."""
    ceiling = _ceiling(tried)
    return max((rate for rate, meets in tried.items() if meets and rate < ceiling), default=None)


def rates_to_try(tried: Mapping[float, bool], *, start: float, lowest: float) -> Iterator[float]:
    """Yield rates from ``start`` until the best one is known or is below ``lowest``.

    ``tried`` must hold each rate, whether it met the objective, before the next is asked for.
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
