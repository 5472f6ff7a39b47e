"""Many puzzles at once, over real HTTP: in order, within bounds, with and without errors."""

import asyncio
import itertools
import threading
import time
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import assert_type

import pytest

import gram_client
from gram_client import AsyncClient, Client, GramError, SolveResult
from tests.clients.scripted import PUZZLE, RESULT, Caller, Received, Reply, ScriptedServer, problem


class Counting:
    """Answers each puzzle with itself after a moment, and counts how many it holds at once."""

    def __init__(self, server: ScriptedServer) -> None:
        self._lock = threading.Lock()
        self._held = 0
        self.most = 0
        server.next_reply = self._answer  # type: ignore[method-assign]  # a server of its own kind

    def _answer(self, received: Received) -> Reply:
        with self._lock:
            self._held += 1
            self.most = max(self.most, self._held)
        text = received.body.decode()
        # The first ones take longest: order must not depend on it.
        time.sleep(0.03 if text < "0005" else 0.01)
        with self._lock:
            self._held -= 1
        solution = {**RESULT["solutions"][0], "answer": text}
        return Reply(body={**RESULT, "solutions": [solution]})


def test_results_come_in_the_order_of_the_puzzles_and_within_the_bound(
    server: ScriptedServer, call: Caller
) -> None:
    counting = Counting(server)
    puzzles = [f"{number:04}" for number in range(30)]
    results = call("map", puzzles, max_concurrency=5, width=2)
    assert [one.best.answer for one in results] == puzzles
    assert 2 <= counting.most <= 5


def test_no_more_puzzles_are_taken_than_are_being_solved(server: ScriptedServer) -> None:
    server.say(Reply(body=RESULT))
    taken: list[int] = []

    def endless() -> Iterator[str]:
        for number in itertools.count():
            taken.append(number)
            yield PUZZLE

    with Client(server.url) as client:
        results = client.map(endless(), max_concurrency=3)
        next(results)
        results.close()
    assert len(taken) <= 4

    async def take_one() -> None:
        taken.clear()
        async with AsyncClient(server.url) as client:
            results = client.map(endless(), max_concurrency=3)
            await anext(results)
            await results.aclose()

    asyncio.run(take_one())
    assert len(taken) <= 4


def test_results_are_typed_as_results_unless_errors_are_to_be_returned(
    server: ScriptedServer,
) -> None:
    server.say(Reply(body=RESULT))
    with Client(server.url) as client:
        # mypy holds these, on all tests.
        results = client.map([PUZZLE], width=2)
        assert_type(results, Generator[SolveResult])
        assert [result.is_solved for result in results] == [True]
        outcomes = client.map([PUZZLE], on_error="return")
        assert_type(outcomes, Generator[SolveResult | GramError])
        assert [isinstance(outcome, SolveResult) for outcome in outcomes] == [True]


def test_an_error_ends_it_or_takes_the_place_of_a_result(call: Caller) -> None:
    script = (Reply(body=RESULT), problem(422, "puzzle_invalid"), Reply(body=RESULT))
    call.say(*script)
    with pytest.raises(gram_client.BadRequest):
        call("map", [PUZZLE] * 3, max_concurrency=1)
    call.received.clear()
    results = call("map", [PUZZLE] * 3, max_concurrency=1, on_error="return")
    kinds = (gram_client.SolveResult, gram_client.BadRequest, gram_client.SolveResult)
    assert len(results) == 3
    assert all(isinstance(one, kind) for one, kind in zip(results, kinds, strict=True))


def test_what_was_taken_before_the_puzzles_failed_is_solved(
    server: ScriptedServer, call: Caller
) -> None:
    def failing() -> Iterator[str]:
        yield from [PUZZLE] * 3
        raise OSError("the disk is gone")

    call.say(Reply(body=RESULT))
    with pytest.raises(OSError, match="the disk is gone"):
        call("map", failing())
    server.say(Reply(body=RESULT))
    with Client(server.url) as client:
        results = client.map(failing(), max_concurrency=8)
        assert [next(results).is_solved for _ in range(3)] == [True] * 3
        with pytest.raises(OSError, match="the disk is gone"):
            next(results)


def test_a_bar_counts_the_puzzles(call: Caller, capsys: pytest.CaptureFixture[str]) -> None:
    call.say(Reply(body=RESULT))
    assert len(call("map", iter([PUZZLE] * 3), progress=True)) == 3
    shown = capsys.readouterr()
    assert shown.out == ""
    assert "solving" in shown.err


def test_a_window_of_nothing_is_refused(call: Caller) -> None:
    with pytest.raises(gram_client.ConfigInvalid, match="max_concurrency"):
        call("map", [PUZZLE], max_concurrency=0)


def test_what_is_read_from_a_file_can_be_solved(call: Caller, tmp_path: Path) -> None:
    path = tmp_path / "puzzles.txt"
    path.write_text(f"{PUZZLE}\nno puzzle\n{PUZZLE}\n", encoding="utf-8")
    call.say(Reply(body=RESULT))
    results = call("map", gram_client.read_file(path), on_error="return", max_concurrency=1)
    assert [isinstance(one, SolveResult) for one in results] == [True, False, True]
    assert str(results[1]) == f"{path}:2: is no puzzle: no puzzle"
    assert [received.body.decode() for received in call.received] == [PUZZLE, PUZZLE]


def test_map_waits_for_a_busy_server_as_long_as_it_asks(call: Caller) -> None:
    busy = problem(429, "queue_full", headers={"Retry-After": "7"}, retryable=True)
    call.say(*[busy] * 5, Reply(body=RESULT))
    assert len(call("map", [PUZZLE], max_concurrency=1)) == 1
    assert call.slept_s == [7.0] * 5
    call.received.clear()
    call.say(busy)
    [error] = call("map", [PUZZLE], max_concurrency=1, patience_s=20.0, on_error="return")
    assert error.code == "queue_full"
    # Two attempts more by themselves, and again after each of two waits.
    assert len(call.received) == 9
