"""Raises the limit of file descriptors, and logs when few are left.

Every connection takes one; without one, the event loop closes new connections silently.
"""

import asyncio
import logging
import os
import resource
import sys
from collections.abc import Callable

POLL_S = 1.0
RESERVE = 32
"""Descriptors left below which an error is logged."""

logger = logging.getLogger(__name__)


def raise_limit() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        except (OSError, ValueError) as error:
            logger.debug("the limit of open files stays at %d: %s", soft, error)


def num_left() -> int:
    """Return a cheap lower bound of the descriptors left."""
    limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if limit == resource.RLIM_INFINITY:
        return sys.maxsize
    try:
        # dup returns the lowest free descriptor.
        lowest = os.dup(2)
    except OSError:
        return 0
    os.close(lowest)
    return limit - lowest


async def watch_descriptors(count_left: Callable[[], int] = num_left) -> None:
    """Log when descriptors run short and when they suffice again, until cancelled."""
    is_short = False
    while True:
        left = count_left()
        if left < RESERVE and not is_short:
            is_short = True
            logger.error(
                "%d file descriptors are left: new connections will be closed unheard until others "
                "end (ulimit -n)",
                left,
            )
        elif left > 2 * RESERVE and is_short:
            is_short = False
            logger.info("there are enough file descriptors again")
        await asyncio.sleep(POLL_S)
