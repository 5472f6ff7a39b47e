"""What an API key may ask for: trajectories per second, counted where all API processes see it."""

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from starlette.types import Scope

from gram_server.api.access import key_of
from gram_server.api.context import Context
from gram_server.errors import (
    JobGone,
    JobInterrupted,
    KeyConflict,
    NotReady,
    QueueFull,
    RateLimited,
    StoreUnavailable,
)

BURST_S = 10.0
"""A key that rested may ask for the share of this many seconds at once."""
MAX_WAIT_S = 86400.0
"""Longest wait that an answer speaks of."""
NOT_DONE = (QueueFull, KeyConflict, JobGone, NotReady, JobInterrupted, StoreUnavailable)
"""Refusals after which nothing was done for the key."""

logger = logging.getLogger(__name__)


@asynccontextmanager
async def charged(context: Context, scope: Scope, width: int) -> AsyncIterator[None]:
    """Take trajectories off the share of the request's key; raise ``RateLimited`` when it is out.

    What is asked for at once may be more than the share: the key then waits for longer. Who is
    refused inside gets them back.
    """
    await _charge(context, scope, width)
    try:
        yield
    except NOT_DONE:
        await give_back(context, scope, width)
        raise


async def give_back(context: Context, scope: Scope, width: int) -> None:
    """Put trajectories that were charged and not taken back into the share."""
    try:
        await _spend(context, scope, -width)
    except StoreUnavailable as error:
        logger.warning("%d trajectories stay charged: %s", width, error)


async def _charge(context: Context, scope: Scope, width: int) -> None:
    wait_s = await _spend(context, scope, width)
    key = key_of(scope)
    if key is not None and wait_s > 0:
        raise RateLimited(
            f"key {key.name} may ask for {key.trajectories_per_s:g} trajectories per second",
            retry_after_s=round(min(max(1.0, wait_s + 0.5), MAX_WAIT_S)),
        )


async def _spend(context: Context, scope: Scope, width: int) -> float:
    key = key_of(scope)
    if key is None or key.trajectories_per_s is None:
        return 0.0
    rate = key.trajectories_per_s
    return await context.store.spend(key.name, width, rate=rate, burst=rate * BURST_S)
