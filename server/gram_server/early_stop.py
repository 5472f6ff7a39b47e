"""What SIGTERM does until a command has its own way of stopping: it ends the process at once.

The kernel gives process 1 of a container no default action, so a signal without a handler is lost.
Imports nothing that takes time.
"""

import os
import signal
import sys
from types import FrameType

SERVICES = ("serve", "worker")
"""Commands that have not begun with anything yet, so that ending them is no failure."""


def stop_early() -> None:
    """End at SIGTERM from now on, and a service at Ctrl-C too, until others handle them."""
    signal.signal(signal.SIGTERM, _end)
    if _is_service():
        signal.signal(signal.SIGINT, _end)


def _end(number: int, frame: FrameType | None) -> None:
    os._exit(0 if _is_service() else 128 + number)


def _is_service() -> bool:
    return any(word in SERVICES for word in sys.argv[1:2])
