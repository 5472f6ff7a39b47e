"""How much training there is: a number of minutes, or of updates."""

import time
from dataclasses import dataclass

from gram_core.errors import ConfigError


@dataclass(frozen=True, slots=True, kw_only=True)
class Budget:
    """Exactly one of the two is set."""

    minutes: float | None = None
    updates: int | None = None

    def __post_init__(self) -> None:
        """Refuse none and both."""
        if (self.minutes is None) == (self.updates is None):
            raise ConfigError("minutes", self.minutes, "set exactly one of minutes and updates")


class Clock:
    """Measures the used share of a budget, over interruptions too."""

    def __init__(self, budget: Budget) -> None:
        self._budget = budget
        self.resume(0.0)

    def resume(self, used_s: float) -> None:
        """Count from here, with that many seconds already used."""
        self._start_s = time.monotonic() - used_s

    @property
    def used_s(self) -> float:
        """Seconds of training so far."""
        return time.monotonic() - self._start_s

    def progress(self, num_updates: int) -> float:
        """Return the used share in 0..1."""
        if self._budget.updates is not None:
            return min(1.0, num_updates / self._budget.updates)
        assert self._budget.minutes is not None
        return min(1.0, self.used_s / (60.0 * self._budget.minutes))
