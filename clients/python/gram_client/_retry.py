"""When to try a call again, and after how long. Knows no clock and does not sleep itself.

Safe for every call of this package: reads change nothing, and a solve carries a seed, so that a
second attempt is the same work with the same answer.
"""

import random
from dataclasses import dataclass, field

import httpx
from pydantic import ValidationError

from gram_client._errors import ConnectionFailed, NoAnswer, StatusError, is_retryable
from gram_client._models import Problem

Outcome = httpx.Response | NoAnswer | StatusError
"""What an attempt ended with; an error that came in a stream says itself whether to try again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Retry:
    """Capped exponential backoff with jitter; ``Retry-After`` goes before it."""

    max_retries: int
    base_s: float = 0.25
    max_backoff_s: float = 8.0
    max_retry_after_s: float = 60.0
    """A server that asks for more is not waited for."""
    rng: random.Random = field(default_factory=random.Random)

    def delay_s(self, outcome: Outcome, *, attempt: int) -> float | None:
        """Return the seconds to wait before the next attempt, or None to stop.

        Args:
            outcome: What the attempt ended with.
            attempt: Attempts made before it.
        """
        if attempt >= self.max_retries or not _can_help(outcome):
            return None
        asked_s = _asked_s(outcome)
        if asked_s is None:
            return self._backoff_s(attempt)
        return asked_s if asked_s <= self.max_retry_after_s else None

    def _backoff_s(self, attempt: int) -> float:
        # Full jitter above a half: clients that failed together do not come back together.
        ceiling_s = min(self.max_backoff_s, self.base_s * 2.0**attempt)
        return ceiling_s * self.rng.uniform(0.5, 1.0)


def retry_after_s(response: httpx.Response) -> float | None:
    """Return the header ``Retry-After`` where it is a number of seconds."""
    try:
        seconds = float(response.headers.get("Retry-After", ""))
    except ValueError:
        return None
    return seconds if seconds >= 0 else None


def _asked_s(outcome: Outcome) -> float | None:
    """Return how long the server asked to be left alone."""
    if isinstance(outcome, NoAnswer):
        return None
    return outcome.retry_after_s if isinstance(outcome, StatusError) else retry_after_s(outcome)


def _can_help(outcome: Outcome) -> bool:
    if isinstance(outcome, StatusError):
        return outcome.is_retryable
    # A call that timed out is not repeated: the caller's patience is used up.
    if isinstance(outcome, NoAnswer):
        return isinstance(outcome, ConnectionFailed)
    return is_retryable(outcome.status_code, _stated(outcome))


def _stated(response: httpx.Response) -> bool | None:
    """Return what a problem document says of trying again; None for everything else."""
    if response.is_success:
        return False
    try:
        return Problem.model_validate_json(response.content).retryable
    except ValidationError:
        return None
