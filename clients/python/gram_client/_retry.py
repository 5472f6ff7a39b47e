"""When to retry a call, and after how long. Knows no clock and does not sleep.

Safe for every call of this package: reads change nothing, and a solve carries a seed, so that a
second attempt is the same work with the same answer.
"""

import random
from dataclasses import dataclass, field

from gram_client._errors import ConnectionFailed, NoAnswer, StatusError


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
        """Return the seconds to wait before the next attempt, or None to stop.

        Args:
            error: What the attempt ended with.
            attempt: Attempts made before it.
        """
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
