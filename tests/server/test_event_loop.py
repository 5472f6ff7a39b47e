"""The loop of worker processes."""

import asyncio
import sys
import threading

import pytest

from gram_server import event_loop


async def kind_of_loop() -> str:
    return type(asyncio.get_running_loop()).__module__


def test_runs_on_the_faster_loop_in_any_thread() -> None:
    found: list[str] = []
    thread = threading.Thread(target=lambda: found.append(event_loop.run(kind_of_loop())))
    thread.start()
    thread.join()
    assert found == [event_loop.run(kind_of_loop())] == ["uvloop"]


def test_does_without_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "uvloop", None)
    assert event_loop.run(kind_of_loop()).startswith("asyncio")


def test_passes_errors_on() -> None:
    async def fail() -> None:
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        event_loop.run(fail())
