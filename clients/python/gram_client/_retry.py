"""When to retry a call, and after how long. Knows no clock and does not sleep.

Safe for every call of this package: reads change nothing, and a solve carries a seed, so that a
second attempt is the same work with the same answer.
"""

import random
from dataclasses import dataclass, field

from gram_client._errors import (
    ConnectionFailed,
    GramError,
    NoAnswer,
    ServerUnavailable,
    StatusError,
    TooManyRequests,
)

DEFAULT_PATIENCE_S = 600.0
BUSY_S = 1.0
"""Wait for a busy server that does not say how long."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Retry:
    """Capped exponential backoff with jitter; ``Retry-After`` takes precedence."""

    max_retries: int
    base_s: float = 0.25
    max_backoff_s: float = 8.0
    max_retry_after_s: float = 60.0
    """A longer ``Retry-After`` ends the retries."""
    rng: random.Random = field(default_factory=random.Random)

    def delay_s(self, error: NoAnswer | StatusError, *, attempt: int) -> float | None:
        """Return the seconds to wait after the ``attempt``-th failure, from 0, or None to stop."""
        if isinstance(error, StatusError):
            can_help, asked_s = error.is_retryable, error.retry_after_s
        else:
            # A timeout is not retried: the caller's time is used up.
            can_help, asked_s = isinstance(error, ConnectionFailed), None
        if attempt >= self.max_retries or not can_help:
            return None
        if asked_s is not None:
            return asked_s if asked_s <= self.max_retry_after_s else None
        # Jitter over the upper half: clients that failed together do not retry together.
        ceiling_s = min(self.max_backoff_s, self.base_s * 2.0**attempt)
        return ceiling_s * self.rng.uniform(0.5, 1.0)


@dataclass(slots=True)
class Patience:
    """How long a run of many calls asks again where the server is too busy for one of them."""

    limit_s: float
    """Waits of all calls together, while none of them comes to anything."""
    waited_s: float = 0.0

    def delay_s(self, error: GramError) -> float | None:
        """Return the seconds to wait before the call is made again, or None to give it up."""
        if not is_busy(error):
            self.waited_s = 0.0
            return None
        asked_s = error.retry_after_s if isinstance(error, StatusError) else None
        delay_s = BUSY_S if asked_s is None else asked_s
        if self.waited_s + delay_s > self.limit_s:
            return None
        self.waited_s += delay_s
        return delay_s


def is_busy(error: GramError) -> bool:
    """Return whether the server would take the same call later."""
    return isinstance(error, TooManyRequests | ServerUnavailable) and error.is_retryable
