"""When requests arrive: gamma-distributed gaps, of which Poisson arrivals are one kind.

The moments are drawn before the load starts and wait for no answer: a slow server does not slow
the load down. Knows no requests.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from gram_server.errors import ConfigError


@dataclass(frozen=True, slots=True, kw_only=True)
class Arrivals:
    """How the load is spread over time."""

    rate: float = 2.0
    """Requests per second at the end of the ramp, on average."""
    duration_s: float = 60.0
    burstiness: float = 1.0
    """Squared coefficient of variation of the gaps: 1 is Poisson, 4 comes in bursts, 0 is even."""
    ramp_s: float = 0.0
    """Seconds over which the rate rises from nothing."""
    seed: int = 0

    def __post_init__(self) -> None:
        """Refuse a load that cannot be offered."""
        for name in ("rate", "duration_s"):
            if getattr(self, name) <= 0:
                raise ConfigError(name, getattr(self, name), "must be above 0")
        if self.burstiness < 0:
            raise ConfigError("burstiness", self.burstiness, "must not be negative")
        if not 0 <= self.ramp_s <= self.duration_s:
            raise ConfigError("ramp_s", self.ramp_s, "must be 0 .. duration_s")

    def moments(self) -> list[float]:
        """Return the moments, in seconds since the start."""
        return list(self._moments())

    def _moments(self) -> Iterator[float]:
        """Yield even steps of expected arrivals, warped by the ramp."""
        rng = np.random.default_rng(self.seed)
        position = 0.0
        while (moment_s := self._when(position := position + self._gap(rng))) < self.duration_s:
            yield moment_s

    def _gap(self, rng: np.random.Generator) -> float:
        """Return the gap to the next arrival, in units of the mean gap."""
        if self.burstiness == 0:
            return 1.0
        return float(rng.gamma(1.0 / self.burstiness, self.burstiness))

    def _when(self, num_expected: float) -> float:
        """Return the moment by which so many arrivals are expected."""
        num_in_ramp = self.rate * self.ramp_s / 2
        if num_expected < num_in_ramp:
            return float(np.sqrt(2 * self.ramp_s * num_expected / self.rate))
        return self.ramp_s + (num_expected - num_in_ramp) / self.rate
