"""The event loop of processes that uvicorn does not run: uvloop where it is installed."""

import asyncio
from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import Any, TypeVar

_T = TypeVar("_T")


def run(main: Coroutine[Any, Any, _T]) -> _T:
    factory: Callable[[], asyncio.AbstractEventLoop] | None = None
    # uvloop does not support Windows.
    with suppress(ModuleNotFoundError):
        import uvloop

        factory = uvloop.new_event_loop
    with asyncio.Runner(loop_factory=factory) as runner:
        return runner.run(main)
