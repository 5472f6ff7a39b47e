"""A queue that serves clients in turns, however much one of them asks for. Knows no clock."""

from collections import deque
from typing import Generic, TypeVar

_T = TypeVar("_T")


class FairQueue(Generic[_T]):
    """Items by client: each client with any is served one, then waits for all others."""

    def __init__(self, *, max_items: int) -> None:
        self._max_items = max_items
        # Clients in the order of their turns; none without items.
        self._items: dict[str, deque[_T]] = {}

    def __len__(self) -> int:
        """Return how many items wait."""
        return sum(map(len, self._items.values()))

    def push(self, client: str, item: _T) -> _T | None:
        """Add an item; return one for which there is no room: the last of whoever has most."""
        self._items.setdefault(client, deque()).append(item)
        if len(self) <= self._max_items:
            return None
        # The client itself where it has as many as any other.
        most = max(self._items, key=lambda name: (len(self._items[name]), name == client))
        last = self._items[most][-1]
        self.remove(most, last)
        return last

    def push_first(self, client: str, item: _T) -> None:
        """Put back what was taken, to be the next that is taken."""
        self._items = {client: self._items.pop(client, deque()), **self._items}
        self._items[client].appendleft(item)

    def pop(self) -> _T | None:
        """Take the next item of the client whose turn it is, or return None."""
        if not self._items:
            return None
        client = next(iter(self._items))
        items = self._items.pop(client)
        item = items.popleft()
        if items:
            self._items[client] = items
        return item

    def remove(self, client: str, item: _T) -> None:
        """Forget an item, where it still waits."""
        items = self._items.get(client)
        if items is None or item not in items:
            return
        items.remove(item)
        if not items:
            del self._items[client]
