"""Random streams of events through the client's readers, compared with the standard's rules."""

import asyncio
import json
import random
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, NamedTuple

import httpx

from gram_client import AnyEvent, AsyncClient, Client, GramError
from gram_client._events import EventDecoder
from tests.clients.standard_events import BOM, Read, read_all

LETTERS = "ab:{}\"' é€\u0085\u2028\u000b\u000c\0\ufeff\U0001f600"
KINDS = ("accepted", "progress", "solution")
LARGE, SMALL, CHUNK = 4 << 20, 1 << 18, 4 << 10
MAX_RATIO = 4.0 * LARGE / SMALL
"""How much longer the large event may take: linear time gives a quarter of it, quadratic four times
as much."""


class Piece(NamedTuple):
    """Some bytes that belong together, and how those are cut."""

    content: bytes
    cuts: tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Stream:
    """Everything that will be sent; of ``events`` the clients' typed events are made."""

    steps: tuple[Piece, ...]
    is_typed: bool


class Outcome(NamedTuple):
    """What was wrong, and how much was tried."""

    differences: list[str]
    counts: Counter[str]


def plan(seed: int) -> Stream:
    """Return a stream; the same for the same seed."""
    chance = random.Random(seed)
    is_typed = chance.random() < 0.3
    ends = chance.choice([[b"\n"], [b"\r\n"], [b"\r"], [b"\n", b"\r\n", b"\r"]])
    make = _typed_block if is_typed else _block
    blocks = [make(number, chance) for number in range(chance.randrange(1, 9))]
    pieces = []
    for block in blocks:
        # A CR and an LF of two lines would be one end: an event of the server has one kind of end.
        one = [chance.choice(ends)] if is_typed else ends
        pieces.append(b"".join(line + chance.choice(one) for line in block))
    if chance.random() < 0.3:
        pieces[0] = BOM + pieces[0]
    if not is_typed and chance.random() < 0.3:
        pieces.append(chance.choice([b"data: cut", b"data: cut\n", b"data: cut\r", b"\xe2\x82"]))
    if is_typed:
        end = chance.choice(ends)
        pieces.append(b"event: done" + end + b'data: {"state": "done"}' + end + end)
    sizes = chance.choice([[1], [1, 2, 3], [7, 50], [1000]])
    return Stream(
        steps=tuple(
            Piece(piece, tuple(chance.choice(sizes) for _ in range(9))) for piece in pieces
        ),
        is_typed=is_typed,
    )


def play(stream: Stream, keep: Sequence[int] | None = None) -> Outcome:
    """Send a stream, or some of its pieces, to the decoder and, if they are typed, both clients."""
    pieces = stream.steps if keep is None else [stream.steps[place] for place in keep]
    chunks = list(_chunks(pieces))
    expected = read_all(b"".join(chunks))
    outcome = Outcome([], Counter({"streams": 1, "events": len(expected), "chunks": len(chunks)}))
    outcome.differences.extend(_decode(chunks, expected))
    if stream.is_typed:
        outcome.counts["typed streams"] += 1
        told = [_typed(event) for event in expected if event.kind in (*KINDS, "done")]
        for read in (_by_client, _by_async):
            try:
                got: object = read(chunks)
            except (GramError, httpx.HTTPError) as error:
                got = repr(error)
            if got != told:
                outcome.differences.append(f"{read.__name__}: {got}, not {told}")
    return outcome


def time_of_a_large_event() -> Outcome:
    """Compare one event of 4 MB in chunks of 4 kB with one of a sixteenth of it."""
    ratio = min(_decoding_s(LARGE) / _decoding_s(SMALL) for _ in range(3))
    outcome = Outcome([], Counter({"large events": 3}))
    if ratio > MAX_RATIO:
        outcome.differences.append(
            f"an event {LARGE // SMALL} times as large took {ratio:.0f} times as long"
        )
    return outcome


def _decode(chunks: Sequence[bytes], expected: Sequence[Read]) -> Iterator[str]:
    """Yield how the decoder differs: in what it reads, or in when it tells of it."""
    decoder, got, sent = EventDecoder(), list[Any](), 0
    num_bytes = sum(map(len, chunks))
    for chunk in chunks:
        got += decoder.feed(chunk)
        sent += len(chunk)
        # After a CR it may wait for the LF that may follow, while more is to come.
        is_open = sent < num_bytes and chunk.endswith(b"\r")
        complete = sum(event.end <= sent for event in expected)
        if len(got) != complete and not (is_open and len(got) == complete - 1):
            yield f"after {sent} bytes {len(got)} events, not {complete}"
            return
    for event, read in zip(got, expected, strict=True):
        number = int(read.last_id) if read.last_id.isdecimal() else 0
        numbers = {number} if read.has_id else {number, 0}
        if (event.kind, event.data) != (read.kind, read.data) or event.id not in numbers:
            yield f"{event}, not {read}"


def _decoding_s(size: int) -> float:
    line = b"data: " + b"x" * size + b"\n\n"
    decoder, started_s = EventDecoder(), time.process_time()
    events = [
        event
        for start in range(0, len(line), CHUNK)
        for event in decoder.feed(line[start : start + CHUNK])
    ]
    assert [len(event.data) for event in events] == [size]
    return max(time.process_time() - started_s, 1e-4)


def _chunks(pieces: Sequence[Piece]) -> Iterator[bytes]:
    for piece in pieces:
        start, place = 0, 0
        while start < len(piece.content):
            size = piece.cuts[place % len(piece.cuts)]
            yield piece.content[start : start + size]
            start, place = start + size, place + 1


def _block(number: int, chance: random.Random) -> list[bytes]:
    """Return lines that may or may not be an event."""
    lines = []
    for _ in range(chance.randrange(1, 6)):
        text = "".join(chance.choice(LETTERS) for _ in range(chance.randrange(8))).encode()
        name = chance.choice([b"data", b"data", b"data", b"event", b"id", b"retry", b"", b"other"])
        value = str(number + 1).encode() if name == b"id" and chance.random() < 0.7 else text
        lines.append(name + chance.choice([b":", b": ", b": ", b":  "]) + value)
    if chance.random() < 0.2:
        lines.append(chance.choice([b"data", b"event", b"id", b":", b"\xff\xfe", b"data:\xe2\x82"]))
    chance.shuffle(lines)
    return [*lines, *[b""] * chance.choice([1, 1, 1, 2])]


def _typed_block(number: int, chance: random.Random) -> list[bytes]:
    """Return the lines of an event as a server sends it, in some order, with noise."""
    kind = chance.choice([*KINDS, "of-tomorrow"])
    data = json.dumps(_data(kind, number, chance), indent=chance.choice([None, 1]))
    colon = chance.choice([":", ": "])
    lines = [f"data{colon}{line}" for line in data.splitlines()]
    lines.insert(chance.randrange(len(lines) + 1), f"event{colon}{kind}")
    if chance.random() < 0.9:
        lines.insert(chance.randrange(len(lines) + 1), f"id{colon}{number + 1}")
    if chance.random() < 0.3:
        noise = chance.choice([": alive", ":", "retry: 1000", "other: 1"])
        lines.insert(chance.randrange(len(lines) + 1), noise)
    if chance.random() < 0.3:
        lines += ["", ": alive"]
    return [*(line.encode() for line in lines), b""]


def _data(kind: str, number: int, chance: random.Random) -> dict[str, Any]:
    grid = "".join(chance.choice("1234") for _ in range(16))
    if kind == "accepted":
        return {
            "id": "j",
            "puzzle": "sudoku",
            "model": "m é",
            "width": 4,
            "depth": 8,
            "seed": number,
        }
    if kind == "solution":
        first = {"trajectory": number, "step": 2, "ms": 3.5}
        return {"answer": grid, "votes": 1, "source": "model", "value": 0.5, "first": first}
    sight = {"trajectory": 0, "step": 2, "answer": grid, "state": "running"}
    return {"step": number, "live": 3, "solved": 1, "trajectories": [sight]}


def _typed(read: Read) -> tuple[str, dict[str, Any]]:
    return read.kind, _known(read.kind, json.loads(read.data))


def _known(kind: str, data: dict[str, Any]) -> dict[str, Any]:
    """Return what tells one event from another."""
    if kind == "accepted":
        return {"seed": data["seed"], "model": data["model"]}
    if kind == "solution":
        return {"answer": data["answer"], "first": data["first"]}
    return (
        {"step": data["step"], "answer": data["trajectories"][0]["answer"]}
        if kind == "progress"
        else {}
    )


def _told(event: AnyEvent) -> tuple[str, dict[str, Any]]:
    data = event.model_dump(mode="json")
    kind = {"Accepted": "accepted", "Found": "solution", "Progress": "progress", "Done": "done"}
    name = kind[type(event).__name__]
    return name, _known(name, data["solution"] if name == "solution" else data)


@cache
def _client() -> Client:
    """Return a client, whose connection is replaced by what is to be read."""
    return Client(BASE_URL, max_retries=0)


@cache
def _async_client() -> AsyncClient:
    return AsyncClient(BASE_URL, max_retries=0)


def _by_client(chunks: Sequence[bytes]) -> list[tuple[str, dict[str, Any]]]:
    def answer(request: httpx.Request) -> httpx.Response:
        return httpx.Response(200, headers=HEADERS, content=iter(chunks))

    client = _client()
    with httpx.Client(base_url=BASE_URL, transport=httpx.MockTransport(answer)) as client._http:
        return [_told(event) for event in client.jobs.events("j")]


def _by_async(chunks: Sequence[bytes]) -> list[tuple[str, dict[str, Any]]]:
    async def content() -> AsyncIterator[bytes]:
        for chunk in chunks:
            yield chunk

    async def answer(request: httpx.Request) -> httpx.Response:
        return httpx.Response(200, headers=HEADERS, content=content())

    async def read() -> list[tuple[str, dict[str, Any]]]:
        client, transport = _async_client(), httpx.MockTransport(answer)
        async with httpx.AsyncClient(base_url=BASE_URL, transport=transport) as client._http:
            return [_told(event) async for event in client.jobs.events("j")]

    return asyncio.run(read())


BASE_URL = "http://stress.invalid"
HEADERS = {"Content-Type": "text/event-stream"}
