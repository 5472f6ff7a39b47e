"""Notices that a client goes away, or has to, while its answer is being made."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Coroutine
from typing import TypeVar

from starlette.types import Receive

_T = TypeVar("_T")


class ClientLeft(Exception):
    """The client closed the connection: nobody waits for the answer."""


class Released(Exception):
    """Whoever looks on is to go: the server stops."""


async def run_while_connected(work: Coroutine[None, None, _T], receive: Receive) -> _T:
    """Return what work returns; cancel it and raise ``ClientLeft`` when the client leaves first.

    The body of the request must have been read to its end.
    """
    return await _race(work, _until_disconnect(receive), ClientLeft)


async def run_until_released(work: Coroutine[None, None, _T], released: asyncio.Event) -> _T:
    """Return what work returns; cancel it and raise ``Released`` when that is set first."""
    return await _race(work, _until_set(released), Released)


async def followed(events: AsyncIterator[_T], released: asyncio.Event) -> AsyncGenerator[_T]:
    """Yield the events; raise ``Released`` when that is set before the last."""
    while (event := await run_until_released(_next(events), released)) is not None:
        yield event


async def _race(
    work: Coroutine[None, None, _T],
    other: Coroutine[None, None, None],
    error: type[Exception],
) -> _T:
    working, ending = asyncio.create_task(work), asyncio.create_task(other)
    try:
        await asyncio.wait((working, ending), return_when=asyncio.FIRST_COMPLETED)
        if working.done():
            return working.result()
        raise error
    finally:
        for task in (working, ending):
            task.cancel()
        await asyncio.gather(working, ending, return_exceptions=True)


async def _next(events: AsyncIterator[_T]) -> _T | None:
    return await anext(events, None)


async def _until_set(event: asyncio.Event) -> None:
    await event.wait()


async def _until_disconnect(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
