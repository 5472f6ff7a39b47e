"""The parts of ``map``: a bound on concurrent work, and a progress bar."""

import sys
from collections import deque
from collections.abc import Callable, Collection, Generator, Iterable
from typing import Generic, TypeVar

import click

from gram_client._errors import ConfigInvalid
from gram_client._options import MapOptions
from gram_client._retry import DEFAULT_PATIENCE_S, Patience

DEFAULT_CONCURRENCY = 8

Item = TypeVar("Item")
Work = TypeVar("Work")


class Window(Generic[Work]):
    """Bounds concurrent work, and returns it in order."""

    def __init__(self, options: MapOptions) -> None:
        self.size = options.get("max_concurrency", DEFAULT_CONCURRENCY)
        if self.size < 1:
            raise ConfigInvalid(f"max_concurrency={self.size}: must be at least 1")
        self.patience = Patience(self.size * options.get("patience_s", DEFAULT_PATIENCE_S))
        self._has_bar = options.get("progress", False)
        self.open: deque[Work] = deque()

    def run(self, items: Iterable[Item], start: Callable[[Item], Work]) -> Generator[Work]:
        """Yield the oldest work whenever the window is full, then the rest."""
        if not self._has_bar:
            yield from self._run(items, start)
            return
        # The length of the bar: items without one are counted.
        counted: Collection[Item] = items if isinstance(items, Collection) else list(items)
        with click.progressbar(
            length=len(counted), label="solving", show_pos=True, file=sys.stderr
        ) as bar:
            for work in self._run(counted, start):
                yield work
                bar.update(1)

    def _run(self, items: Iterable[Item], start: Callable[[Item], Work]) -> Generator[Work]:
        for item in items:
            self.open.append(start(item))
            if len(self.open) >= self.size:
                yield self.open.popleft()
        while self.open:
            yield self.open.popleft()
