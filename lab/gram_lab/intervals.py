"""Figures with 95 % intervals over the puzzles they were measured on."""

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Z_95 = 1.959963984540054
NUM_RESAMPLES = 2000

Kind = Literal["share", "mean", "total"]


@dataclass(frozen=True, slots=True)
class Figure:
    """A value and its 95 % interval."""

    value: float
    low: float
    high: float


def figure(per_puzzle: NDArray[np.float64], kind: Kind) -> Figure:
    """Return the figure of one number per puzzle, (puzzles,), averaged over seeds before.

    Intervals are Wilson's for a ``share``, else by a bootstrap over puzzles.
    """
    if kind == "share":
        return wilson(float(per_puzzle.mean()), len(per_puzzle))
    scale = len(per_puzzle) if kind == "total" else 1
    return bootstrap(per_puzzle * scale)


def paired(first: NDArray[np.float64], second: NDArray[np.float64], kind: Kind) -> Figure:
    """Return the first figure minus the second, both of the same puzzles.

    The interval of shares is that of Agresti and Min (2005): Wald's with half a puzzle more in each
    of the four cells, so that equal answers leave some doubt.
    """
    gains = first - second
    if kind != "share":
        return figure(gains, kind)
    number, value = len(gains) + 2, float(gains.mean())
    centre = gains.sum() / number
    half = Z_95 * math.sqrt((((gains**2).sum() + 1) / number - centre**2) / number)
    low, high = max(-1.0, centre - half), min(1.0, centre + half)
    return Figure(value, min(value, float(low)), max(value, float(high)))


def wilson(share: float, number: int) -> Figure:
    """Return the share with Wilson's interval for ``number`` puzzles."""
    spread = Z_95**2 / number
    centre = (share + spread / 2) / (1 + spread)
    half = math.sqrt(share * (1 - share) * spread + spread**2 / 4) / (1 + spread)
    return Figure(share, min(share, max(0.0, centre - half)), max(share, min(1.0, centre + half)))


def bootstrap(values: NDArray[np.float64]) -> Figure:
    """Return the mean of values with the percentile interval of resampled means."""
    rng = np.random.default_rng(0)
    means = [
        values[rng.integers(len(values), size=len(values))].mean() for _ in range(NUM_RESAMPLES)
    ]
    low, high = np.quantile(means, (0.025, 0.975))
    return Figure(float(values.mean()), float(low), float(high))
