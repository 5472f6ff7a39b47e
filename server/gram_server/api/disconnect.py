"""Notices that a client went away while its answer is being made."""

import asyncio
from collections.abc import Coroutine
from typing import TypeVar

from starlette.types import Receive

_T = TypeVar("_T")


class ClientLeft(Exception):
    """The client closed the connection: nobody waits for the answer."""


async def run_while_connected(work: Coroutine[None, None, _T], receive: Receive) -> _T:
    """Return what work returns; cancel it and raise ``ClientLeft`` when the client leaves first.

    The body of the request must have been read to its end.
    """
    working = asyncio.create_task(work)
    leaving = asyncio.create_task(_until_disconnect(receive))
    try:
        await asyncio.wait((working, leaving), return_when=asyncio.FIRST_COMPLETED)
        if working.done():
            return working.result()
        raise ClientLeft
    finally:
        for task in (working, leaving):
            task.cancel()
        await asyncio.gather(working, leaving, return_exceptions=True)


async def _until_disconnect(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
