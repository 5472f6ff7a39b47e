"""A log for what may happen again and again: said at once, and then now and then with how often.

Knows the logging module and nothing of the server.
"""

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass

EVERY_S = 60.0
"""How often the same is said."""
MAX_TEXTS = 100
"""Different lines that are known; beyond it the oldest is forgotten."""


@dataclass(slots=True)
class _Said:
    at_s: float
    num_unsaid: int = 0


class SparseLog:
    """Writes each line at most once a minute, with how often it was due since then."""

    def __init__(
        self, logger: logging.Logger, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._logger = logger
        self._clock = clock
        self._said: dict[str, _Said] = {}

    def say(
        self, level: int, text: str, *arguments: object, exc_info: BaseException | None = None
    ) -> bool:
        """Write a line, unless the same was written a moment ago; return whether it was."""
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
        """Write a line at once when it is next due: what it says was over."""
        self._said.pop(text % arguments, None)
