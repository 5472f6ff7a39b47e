"""Whatever a stranger sends is read in a time that its length bounds.

Times are of the processor, and the least of a few, so that other processes do not lengthen them.
"""

import asyncio
import json
import time
from collections.abc import Callable, Coroutine, Mapping
from contextlib import suppress
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI

from gram_core.errors import CoreError
from gram_core.puzzles import families, task
from gram_server.api.body import parse_puzzle
from gram_server.api.decoding import load_json
from gram_server.api.keys import KeyFile
from gram_server.api.queries import (
    EventHeaders,
    GenerateQuery,
    JobQuery,
    PageQuery,
    Query,
    bounded,
    describe,
    read_query,
)
from gram_server.app import create_app
from gram_server.connections import MAX_TARGET_BYTES
from gram_server.errors import ServerError
from gram_server.jobs.memory_store import MemoryStore
from gram_server.settings import HttpConfig, Settings
from gram_server.tracing import read_trace
from tests.server.api.conftest import http_scope, key_entry, write_keys

NUM_CHARS = 64 << 10
LIMIT_S = 0.010
MANY_LIMIT_S = 0.060
"""For a body of thousands of things that are what they should be: four times what the slowest takes
on a quiet core, and what grows faster than its text takes seconds."""
REPEATS = 8

PARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"

SHAPES: Mapping[str, str] = {
    "equals, then a bad byte": "=" * NUM_CHARS + "\x80",
    "members that end badly": "a=b," * (NUM_CHARS // 4) + "\x80",
    "digits": "9" * NUM_CHARS,
    "digits of another script": "٣" * NUM_CHARS,
    "superscripts": "²" * NUM_CHARS,
    "letters": "a" * NUM_CHARS,
    "spaces": " " * NUM_CHARS,
    "spaces round a word": " " * (NUM_CHARS // 2) + "x" + " " * (NUM_CHARS // 2),
    "line ends": "\n" * NUM_CHARS,
    "line ends round a word": "\n" * (NUM_CHARS // 2) + "S" + "\n" * (NUM_CHARS // 2),
    # Not longer than any drawing may be.
    "line ends before a word": "\n" * 16000 + "S",
    "line ends after a word": "S" + "\n" * 16000,
    "commas": "," * NUM_CHARS,
    "semicolons": ";" * NUM_CHARS,
    "slashes": "/" * NUM_CHARS,
    "colons": ":" * NUM_CHARS,
    "hyphens": "-" * NUM_CHARS,
    "percent signs": "%" * NUM_CHARS,
    "NULs": "\0" * NUM_CHARS,
    "quotes": '"' * NUM_CHARS,
    "backslashes": "\\" * NUM_CHARS,
    "open brackets": "[" * NUM_CHARS,
    "brackets": "[" * (NUM_CHARS // 2) + "]" * (NUM_CHARS // 2),
    "open braces": "{" * NUM_CHARS,
    "fields in fields": '{"a":' * (NUM_CHARS // 5),
    "a fraction": "1." + "1" * NUM_CHARS,
    "a small fraction": "0." + "0" * NUM_CHARS + "1",
    "an exponent": "1e" + "9" * NUM_CHARS,
    "at signs": "@" * NUM_CHARS,
    "dots": "." * NUM_CHARS,
    "surrogates": "\ud800" * NUM_CHARS,
}

QUERIES = [bounded(query, Settings()) for query in (JobQuery, GenerateQuery)]
QUERIES += [PageQuery, EventHeaders]
FIELDS = (
    *("grid", "n", "queens", "vertices", "edges", "adjacency"),
    *("fixed", "colors", "dimacs", "puzzle", "less", "regions", "train", "test"),
)
BASES: Mapping[str, dict[str, object]] = {
    "sudoku": {},
    "nqueens": {"n": 8},
    "graph-coloring": {"vertices": 8, "edges": []},
    "maze": {},
    "futoshiki": {"grid": [[0, 0], [0, 0]]},
    "light-up": {},
    "jigsaw": {"grid": ["..."] * 3},
    "arc": {"train": [{"input": [[1]], "output": [[2]]}], "test": [{"input": [[1]]}]},
}

Reader = Callable[[str], object]


def body_reader(media_type: str) -> Reader:
    def read(text: str) -> object:
        raw = text.encode("utf-8", "surrogatepass")
        return parse_puzzle(raw, JobQuery(), media_type=media_type)

    return read


def field_reader(name: str, field: str, wrap: Callable[[str], object]) -> Reader:
    rules, base = families()[name], BASES[name]
    return lambda text: rules.parse({**base, field: wrap(text)})


def parameter_reader(query: type[Query], name: str) -> Reader:
    return lambda text: read_query(query, [(name, text)])


def task_reader(name: str) -> Reader:
    return lambda text: task(f"{name}-{text}")


WRAPS: Mapping[str, Callable[[str], object]] = {
    "": lambda text: text,
    "in a list": lambda text: [text],
    # Made once for all readings of a text: it is not what is timed.
    "by character": lru_cache(maxsize=1)(list),
    "as a field": lambda text: {text: text},
}

READERS: Mapping[str, Reader] = {
    "traceparent": read_trace,
    "traceparent of a version to come": lambda text: read_trace("cc" + PARENT[2:] + text),
    "tracestate": lambda text: read_trace(PARENT, text),
    "JSON": load_json,
    "a JSON body": body_reader("application/json"),
    "a body of unknown form": body_reader(""),
    **{f"text of {name}": rules.parse_text for name, rules in families().items()},
    **{
        f"{field} of {name} {how}".strip(): field_reader(name, field, wrap)
        for name in families()
        for field in FIELDS
        for how, wrap in WRAPS.items()
    },
    **{f"a task of {name}": task_reader(name) for name in families()},
    **{
        f"parameter {parameter['name']} of {query.__name__}": parameter_reader(
            query, parameter["name"]
        )
        for query in QUERIES
        for parameter in describe(query)
    },
}


@pytest.mark.parametrize("read", READERS.values(), ids=READERS)
def test_hostile_text_is_read_at_once(read: Reader) -> None:
    slow = {
        shape: took_s
        for shape, text in SHAPES.items()
        if (took_s := least_s(partial(read, text))) >= LIMIT_S
    }
    assert not slow


def least_s(call: Callable[[], object], limit_s: float = LIMIT_S) -> float:
    """Return the least processor time of a few calls."""
    least = float("inf")
    for _ in range(REPEATS):
        started_s = time.process_time()
        with suppress(ServerError, CoreError):
            call()
        least = min(least, time.process_time() - started_s)
        if least < limit_s:
            break
    return least


def many(head: str, item: str, tail: str, *, num_chars: int = NUM_CHARS) -> str:
    """Return a text of so many characters; ``%d`` in the item counts them."""
    parts, size = [head], len(head)
    while size < num_chars:
        parts.append(item.replace("%d", str(len(parts))))
        size += len(parts[-1])
    return "".join(parts).rstrip(",") + tail


GRAPH = '{"puzzle": "graph-coloring", "vertices": 256, "edges": ['
QUEENS = '{"puzzle": "nqueens", "n": 64, "queens": ['
LONG_BODIES: Mapping[str, str] = {
    "unknown fields": many('{"puzzle": "sudoku", ', '"k%d":0,', "}"),
    "fields without a family": many("{", '"k%d":0,', "}"),
    "a field many times": many("{", '"a":0,', "}"),
    "loops": many(GRAPH, "[0,0],", "]}"),
    "one edge": many(GRAPH, "[0,1],", "]}"),
    "both directions": many(GRAPH, "[0,1],[1,0],", "]}"),
    "all edges": GRAPH
    + ",".join(f"[{one},{other}]" for one in range(256) for other in range(one))[
        :NUM_CHARS
    ].rpartition(",[")[0]
    + "]}",
    "empty edges": many(GRAPH, "[],", "]}"),
    "edges of text": many(GRAPH, '["1","2"],', "]}"),
    "fixed colours": many(GRAPH + '], "fixed": {', '"%d":0,', "}}"),
    "one queen": many(QUEENS, "[0,0],", "]}", num_chars=24000),
    "all queens": QUEENS + ",".join(f"[{n // 64},{n % 64}]" for n in range(4096)) + "]}",
    "a board of queens": json.dumps({"puzzle": "nqueens", "grid": ["Q" * 64] * 64}),
    "a board of nonsense": json.dumps({"puzzle": "nqueens", "grid": ["?" * 64] * 64}),
    "a maze of starts": json.dumps({"puzzle": "maze", "grid": ["S" * 64] * 64}),
    "a maze of nonsense": json.dumps({"puzzle": "maze", "grid": ["?" * 64] * 64}),
    "a maze of empty rows": many('{"puzzle": "maze", "grid": [', '"",', "]}"),
    "a maze of line ends": json.dumps({"puzzle": "maze", "grid": "\n" * 16000 + "S"}),
    "a maze before line ends": json.dumps({"puzzle": "maze", "grid": "S" + "\n" * 16000}),
    "a sudoku of ones": json.dumps({"puzzle": "sudoku", "grid": "1" * 81}),
    "integers as long as may be": many('{"n": [', "9" * 4300 + ",", "]}"),
    "escapes": many('{"puzzle": "', "\\u0000", '"}'),
    "escaped surrogates": many('{"puzzle": "', "\\ud800", '"}'),
    "nesting that is read": '{"puzzle": "sudoku", "grid": ' + "[" * 900 + "]" * 900 + "}",
    "DIMACS edges": many("p edge 256 1\n", "e 1 2\n", ""),
    "DIMACS edges with zeros": many("p edge 256 1\n", "e 01 02\n", ""),
    "DIMACS comments": many("", "c\n", "p edge 3 1\n"),
    "DIMACS problem lines": many("", "p edge 3 1\n", ""),
    "DIMACS words": many("p edge 3 1\ne ", "1 ", ""),
    "a batch of nothing": many('{"instances": [', '"",', "]}"),
}


@pytest.mark.parametrize("body", LONG_BODIES.values(), ids=LONG_BODIES)
def test_a_body_of_many_things_is_read_in_a_time_linear_in_its_length(body: str) -> None:
    read = body_reader("application/json" if body.startswith("{") else "text/plain")
    assert least_s(lambda: read(body), MANY_LIMIT_S) < MANY_LIMIT_S


HEADERS = (
    *("accept", "accept-encoding", "accept-language", "authorization", "content-encoding"),
    *("content-length", "content-type", "cookie", "forwarded", "host", "idempotency-key"),
    *("if-none-match", "last-event-id", "origin", "range", "referer", "sec-fetch-site"),
    *("traceparent", "tracestate", "user-agent", "x-forwarded-for", "x-forwarded-proto"),
    "x-request-id",
)
KEY = [(b"authorization", b"Bearer token")]
ROUTES = (("GET", "/"), ("GET", "/jobs/x/events"), ("POST", "/jobs"), ("GET", "/livez"))


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Return an application with keys: what a stranger sends is read before a key is asked for."""
    entry = key_entry("a", "jobs", token="token")
    path = write_keys(tmp_path_factory.mktemp("keys") / "keys.json", entry)
    settings = Settings(http=HttpConfig(keys=str(path)))
    assert KeyFile(Path(path)).find("token") is not None
    return create_app(settings, store=MemoryStore(settings.queue))


async def ask(
    app: FastAPI, method: str, path: str, *, query: bytes = b"", headers: list[tuple[bytes, bytes]]
) -> int:
    """Return the status of an answer, without what a client would do to the headers."""
    status = 0

    async def receive() -> dict[str, object]:
        return {"type": "http.request", "body": b"." * 16, "more_body": False}

    async def send(message: Mapping[str, Any]) -> None:
        nonlocal status
        status = message.get("status", status)

    await app(http_scope(method, path, query=query, headers=headers), receive, send)
    return status


def answered_s(call: Callable[[], Coroutine[Any, Any, int]]) -> float:
    """Return the least processor time of an answer that is no failure."""

    def once() -> None:
        # 503: without a worker no work is taken.
        assert asyncio.run(call()) not in (0, 500)

    once()
    return least_s(once)


def assert_quick(
    request: Callable[[str], Coroutine[Any, Any, int]], shapes: Mapping[str, str] = SHAPES
) -> None:
    took_s = {shape: answered_s(partial(request, text)) for shape, text in shapes.items()}
    assert not {shape: each_s for shape, each_s in took_s.items() if each_s >= LIMIT_S}


@pytest.mark.slow
@pytest.mark.parametrize(("method", "path"), ROUTES)
@pytest.mark.parametrize("name", HEADERS)
def test_no_header_holds_up_the_process(app: FastAPI, name: str, method: str, path: str) -> None:
    known = [(b"authorization", b"Bearer token"), (b"traceparent", PARENT.encode())]
    known = [(other, value) for other, value in known if other != name.encode()]

    def request(text: str) -> Coroutine[Any, Any, int]:
        value = text.encode("latin-1", "ignore")[:NUM_CHARS]
        return ask(app, method, path, headers=[*known, (name.encode(), value)])

    assert_quick(request)


@pytest.mark.parametrize("name", ["", "cursor=", "limit=", "wait="])
def test_no_query_holds_up_the_process(app: FastAPI, name: str) -> None:
    def request(text: str) -> Coroutine[Any, Any, int]:
        query = (name.encode() + text.encode("latin-1", "ignore"))[:MAX_TARGET_BYTES]
        return ask(app, "GET", "/jobs", query=query, headers=KEY)

    assert_quick(request, {**SHAPES, "pairs": "a=b&" * NUM_CHARS, "ands": "&" * NUM_CHARS})


@pytest.mark.parametrize("start", ["/", "/jobs/", "/problems/", "/page/", "/docs/"])
def test_no_path_holds_up_the_process(app: FastAPI, start: str) -> None:
    assert_quick(lambda text: ask(app, "GET", (start + text)[:MAX_TARGET_BYTES], headers=KEY))
