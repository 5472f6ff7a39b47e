"""A queue that serves clients in rotation, however many items one adds. Knows no clock."""

from collections import deque
from typing import Generic, TypeVar

_T = TypeVar("_T")


class FairQueue(Generic[_T]):
    """Items by client; clients are served one item each, in rotation."""

    def __init__(self, *, max_items: int) -> None:
        self._max_items = max_items
        # Clients in the order of service; none without items.
        self._items: dict[str, deque[_T]] = {}

    def __len__(self) -> int:
        return sum(map(len, self._items.values()))

    def push(self, client: str, item: _T) -> _T | None:
        """Add an item; if full, drop and return the last item of the client with the most."""
        self._items.setdefault(client, deque()).append(item)
        if len(self) <= self._max_items:
            return None
        # On a tie, the client that pushed.
        most = max(self._items, key=lambda name: (len(self._items[name]), name == client))
        last = self._items[most][-1]
        self.remove(most, last)
        return last

    def push_first(self, client: str, item: _T) -> None:
        self._items = {client: self._items.pop(client, deque()), **self._items}
        self._items[client].appendleft(item)

    def pop(self) -> _T | None:
        if not self._items:
            return None
        client = next(iter(self._items))
        items = self._items.pop(client)
        item = items.popleft()
        if items:
            self._items[client] = items
        return item

    def remove(self, client: str, item: _T) -> None:
        items = self._items.get(client)
        if items is None or item not in items:
            return
        items.remove(item)
        if not items:
            del self._items[client]
