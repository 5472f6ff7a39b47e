"""The file descriptors of a server: as many as it may have, and a word when they run out.

Every connection takes one. Without one the event loop closes new connections unheard.
"""

import asyncio
import logging
import os
import resource
import sys
from collections.abc import Callable

POLL_S = 1.0
RESERVE = 32
"""So few are left when the log says so."""

logger = logging.getLogger(__name__)


def raise_limit() -> None:
    """Take as many descriptors as the system allows us."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        except (OSError, ValueError) as error:
            logger.debug("the limit of open files stays at %d: %s", soft, error)


def num_left() -> int:
    """Return how many descriptors are left at least; costs next to nothing."""
    limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if limit == resource.RLIM_INFINITY:
        return sys.maxsize
    try:
        # The system gives out the lowest that is free.
        lowest = os.dup(2)
    except OSError:
        return 0
    os.close(lowest)
    return limit - lowest


async def watch_descriptors(count_left: Callable[[], int] = num_left) -> None:
    """Log when few descriptors are left, and when there are enough again, until cancelled."""
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
