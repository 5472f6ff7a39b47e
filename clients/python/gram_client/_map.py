"""What ``map`` needs besides a client: a bound on works under way, and a progress bar."""

import sys
from collections import deque
from collections.abc import Callable, Collection, Generator, Iterable, Iterator
from contextlib import contextmanager
from typing import Generic, TypeVar

import click

from gram_client._errors import ConfigInvalid

DEFAULT_CONCURRENCY = 8

Item = TypeVar("Item")
Work = TypeVar("Work")


class Window(Generic[Work]):
    """Keeps a bounded number of works under way, and gives them back in their order."""

    def __init__(self, size: int) -> None:
        if size < 1:
            raise ConfigInvalid(f"max_concurrency={size}: must be at least 1")
        self._size = size
        self.open: deque[Work] = deque()

    def run(self, items: Iterable[Item], start: Callable[[Item], Work]) -> Generator[Work]:
        """Yield the oldest work whenever the window is full, then the rest."""
        for item in items:
            self.open.append(start(item))
            if len(self.open) >= self._size:
                yield self.open.popleft()
        while self.open:
            yield self.open.popleft()


@contextmanager
def bar(
    items: Iterable[Item], *, is_shown: bool
) -> Iterator[tuple[Iterable[Item], Callable[[], None]]]:
    """Show a bar on standard error while the context lasts; items without a length are counted."""
    if not is_shown:
        yield items, lambda: None
        return
    counted: Collection[Item] = items if isinstance(items, Collection) else list(items)
    with click.progressbar(
        length=len(counted), label="solving", show_pos=True, file=sys.stderr
    ) as shown:

        def step() -> None:
            shown.update(1)

        yield counted, step
