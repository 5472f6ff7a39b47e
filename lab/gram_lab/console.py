"""A progress line for long commands; needs nothing but a terminal."""

import sys
import time
from typing import TextIO

WIDTH = 30
INTERVAL_S = 0.5


class ProgressBar:
    """Draws itself on a terminal and stays silent elsewhere."""

    def __init__(self, stream: TextIO = sys.stderr) -> None:
        self._stream = stream
        self._start_s = time.monotonic()
        self._drawn_s = 0.0

    def show(self, share: float, text: str) -> None:
        """Show the done share in 0..1, the expected end, and a few words."""
        now_s = time.monotonic()
        if not self._stream.isatty() or (now_s - self._drawn_s < INTERVAL_S and share < 1.0):
            return
        self._drawn_s = now_s
        filled = round(WIDTH * share)
        bar = "#" * filled + "." * (WIDTH - filled)
        left_s = (now_s - self._start_s) * (1.0 - share) / share if share else 0.0
        line = f"\r[{bar}] {100 * share:5.1f} % {left_s:6.0f} s left  {text}"
        self._stream.write(line[:160].ljust(100))
        self._stream.flush()

    def close(self) -> None:
        """End the line."""
        if self._drawn_s:
            self._stream.write("\n")
