"""Ends the process at once on SIGTERM, until a command installs its own handler.

The kernel gives process 1 of a container no default action, so a signal without a handler is lost.
Imports only fast modules.
"""

import os
import signal
import sys
from types import FrameType

SERVICES = ("serve", "worker")
"""Commands that exit with status 0 when stopped during their start."""


def stop_early() -> None:
    """Exit on SIGTERM, and a service also on Ctrl-C, until other handlers are set."""
    signal.signal(signal.SIGTERM, _end)
    if _is_service():
        signal.signal(signal.SIGINT, _end)


def _end(number: int, frame: FrameType | None) -> None:
    os._exit(0 if _is_service() else 128 + number)


def _is_service() -> bool:
    return any(word in SERVICES for word in sys.argv[1:2])
