"""Rate-limits repeated log lines, and counts the suppressed ones."""

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass

EVERY_S = 60.0
"""Least seconds between equal lines."""
MAX_TEXTS = 100
"""Lines that are remembered; beyond it the oldest is dropped."""


@dataclass(slots=True)
class _Said:
    at_s: float
    num_unsaid: int = 0


class SparseLog:
    """Writes each line at most once a minute, with the number suppressed since then."""

    def __init__(
        self, logger: logging.Logger, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._logger = logger
        self._clock = clock
        self._said: dict[str, _Said] = {}

    def say(
        self, level: int, text: str, *arguments: object, exc_info: BaseException | None = None
    ) -> bool:
        """Write a line, unless it was written recently; return whether it was written."""
        line = text % arguments
        now_s = self._clock()
        said = self._said.pop(line, None)
        if said is not None and now_s < said.at_s + EVERY_S:
            said.num_unsaid += 1
            self._said[line] = said
            return False
        if said is not None and said.num_unsaid:
            passed_s = now_s - said.at_s
            more = f" ({said.num_unsaid} times more in the last {passed_s:.0f} s)"
            self._logger.log(level, "%s%s", line, more, exc_info=exc_info)
        else:
            self._logger.log(level, "%s", line, exc_info=exc_info)
        self._said[line] = _Said(now_s)
        if len(self._said) > MAX_TEXTS:
            del self._said[next(iter(self._said))]
        return True

    def forget(self, text: str, *arguments: object) -> None:
        """Let the next such line through at once: its condition has ended."""
        self._said.pop(text % arguments, None)
