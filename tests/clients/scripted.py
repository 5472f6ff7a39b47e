"""A real HTTP server that answers from a script, and one way to call both clients and ``gram``."""

import asyncio
import json
import sys
import threading
from collections.abc import AsyncGenerator, Callable, Generator, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from operator import attrgetter
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from click.testing import CliRunner, Result

from gram_client import AsyncClient, Client
from gram_client.cli import main

PUZZLE = "12.4341221434321"
BOARD = """\
+-----+-----+
| 1 2 | 3 4 |
| 3 4 | 1 2 |
+-----+-----+
| 2 1 | 4 3 |
| 4 3 | 2 1 |
+-----+-----+
"""
RESULT: dict[str, Any] = {
    "id": "job-1",
    "puzzle": "sudoku",
    "status": "solved",
    "verified": True,
    "candidates": [],
    "solutions": [
        {
            "answer": "1234341221434321",
            "votes": 15,
            "source": "model",
            "value": 0.98,
            "first": {"trajectory": 3, "step": 2, "ms": 12.3},
        }
    ],
    "distinct": 1,
    "valid_trajectories": 15,
    "width": 16,
    "depth": 8,
    "completeness": {
        "estimate": 1.0,
        "total": None,
        "method": "good_turing",
        "total_status": "not_asked",
        "at_least": 1,
    },
    "exact_search": None,
    "best_attempt": None,
    "usage": {"queue_ms": 0.5, "engine_ms": 31.4, "supervision_steps": 40, "wasted_steps": 2},
    "seed": 7,
    "model": "sudoku-4x4@0123abcd",
    "unsolvable": None,
    "padded_to": None,
}

BOARDS: dict[str, Any] = {
    "id": "job-2",
    "puzzle": "sudoku",
    "task": "sudoku-4x4",
    "status": "complete",
    "boards": [
        {
            "answer": "1234341221434321",
            "puzzle": None,
            "clues": None,
            "value": 0.98,
            "trajectory": 3,
            "step": 2,
            "ms": 12.3,
        }
    ],
    "count": 1,
    "trajectories": 4,
    "valid_trajectories": 1,
    "distinct": 1,
    "validity": 0.25,
    "uniqueness": 1.0,
    "max_trajectories": 16,
    "depth": 8,
    "usage": {"queue_ms": 0.5, "engine_ms": 31.4, "supervision_steps": 40, "wasted_steps": 2},
    "seed": 7,
    "model": "sudoku-4x4-generate@0123abcd",
}

JOB: dict[str, Any] = {
    "id": "job-1",
    "state": "queued",
    "puzzle": "sudoku",
    "model": "sudoku-4x4",
    "width": 16,
    "seed": 7,
    "priority": "normal",
    "attempt": 0,
    "submitted_at": "2026-01-01T00:00:00.000+00:00",
    **dict.fromkeys(("started_at", "finished_at", "batch", "result", "error")),
    "parts": [],
}

UNSOLVED: dict[str, Any] = {**RESULT, "status": "unsolved", "solutions": [], "distinct": 0}

MODEL: dict[str, Any] = {
    "id": "sudoku-9x9@0123abcd",
    "name": "sudoku-9x9",
    "task": "sudoku-9x9",
    "fingerprint": "0123abcd",
    "depth": 16,
    "num_parameters": 190_000,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    status: int = 200
    body: object = None
    headers: Mapping[str, str] = field(default_factory=dict)
    delay_s: float = 0.0
    """Say nothing for so long."""
    is_dropped: bool = False
    """Close the connection without a word."""
    is_silent: bool = False
    """Say nothing until the server closes."""
    is_cut: bool = False
    """Close the connection before the body is complete."""

    @property
    def content(self) -> bytes:
        return self.body if isinstance(self.body, bytes) else json.dumps(self.body).encode()


@dataclass(frozen=True, slots=True, kw_only=True)
class Received:
    method: str
    path: str
    params: Mapping[str, str]
    headers: Mapping[str, str]
    body: bytes


class _QuietServer(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: object, client_address: object) -> None:
        """Pass over clients that left: the next test may already look at what is printed."""
        if not isinstance(sys.exc_info()[1], ConnectionError):
            super().handle_error(request, client_address)  # type: ignore[arg-type]


class ScriptedServer:
    """Answers each request with the next reply; the last one is repeated."""

    def __init__(self) -> None:
        self.script: list[Reply] = []
        self.received: list[Received] = []
        self.closing = threading.Event()
        self._http = _QuietServer(("127.0.0.1", 0), _handler(self))
        self._thread = threading.Thread(target=self._http.serve_forever, args=(0.02,))
        self._thread.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._http.server_port}"

    def say(self, *script: Reply) -> None:
        self.script = list(script)

    def next_reply(self, received: Received) -> Reply:
        self.received.append(received)
        return self.script[min(len(self.received), len(self.script)) - 1]

    def close(self) -> None:
        self.closing.set()
        self._http.shutdown()
        self._thread.join()
        self._http.server_close()


@dataclass(kw_only=True)
class Caller:
    """Calls a method of a fresh client, such as ``jobs.get``; of a stream, returns all of it.

    The waits between attempts are only written down.
    """

    is_async: bool
    base_url: str
    slept_s: list[float] = field(default_factory=list)
    received: list[Received] = field(default_factory=list)
    """What the scripted server was asked, if that is the one."""
    say: Callable[..., None] = lambda *script: None

    def __call__(
        self, method: str, *args: object, client: Mapping[str, Any] | None = None, **options: Any
    ) -> Any:
        settings: dict[str, Any] = {"base_url": self.base_url, **(client or {})}
        if self.is_async:
            return asyncio.run(self._await(method, args, settings, options))
        with Client(sleep=self.slept_s.append, **settings) as opened:
            outcome = attrgetter(method)(opened)(*args, **options)
            return list(outcome) if isinstance(outcome, Generator) else outcome

    async def _await(
        self, method: str, args: tuple[object, ...], settings: Any, options: Any
    ) -> Any:
        async def sleep(delay_s: float) -> None:
            self.slept_s.append(delay_s)

        async with AsyncClient(sleep=sleep, **settings) as opened:
            outcome = attrgetter(method)(opened)(*args, **options)
            if isinstance(outcome, AsyncGenerator):
                return [item async for item in outcome]
            return await outcome


def problem(
    status: int, code: str, *, headers: Mapping[str, str] | None = None, **more: object
) -> Reply:
    body = {"type": "about:blank", "title": "No", "status": status, "code": code, **more}
    sent = {"Content-Type": "application/problem+json", **(headers or {})}
    return Reply(status=status, body=body, headers=sent)


def stream(*events: tuple[int, str, object], is_cut: bool = False) -> Reply:
    """Return a stream of (id, kind, data); ``is_cut`` breaks it off at its end."""
    blocks = [
        f"id: {number}\nevent: {kind}\ndata: {json.dumps(data)}\n\n"
        for number, kind, data in events
    ]
    return Reply(
        body="".join([": hello\n\n", *blocks]).encode(),
        headers={"Content-Type": "text/event-stream; charset=utf-8"},
        is_cut=is_cut,
    )


def gram(server: ScriptedServer, *args: str, stdin: str | None = None, **extra: Any) -> Result:
    """Run the console script."""
    return CliRunner(env={"GRAM_BASE_URL": server.url}).invoke(main, args, input=stdin, **extra)


def _handler(server: ScriptedServer) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            self._answer()

        def do_POST(self) -> None:
            self._answer()

        def do_DELETE(self) -> None:
            self._answer()

        def _answer(self) -> None:
            reply = server.next_reply(self._received())
            server.closing.wait(reply.delay_s)
            if reply.is_silent:
                server.closing.wait(10)
            if reply.is_dropped or reply.is_silent:
                self.close_connection = True
                return
            self.send_response(reply.status)
            for name, value in reply.headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(reply.content) + reply.is_cut))
            self.close_connection = reply.is_cut
            self.end_headers()
            self.wfile.write(reply.content)

        def _received(self) -> Received:
            url = urlsplit(self.path)
            return Received(
                method=self.command,
                path=url.path,
                params=dict(parse_qsl(url.query, strict_parsing=True)) if url.query else {},
                headers=dict(self.headers.items()),
                body=self.rfile.read(int(self.headers.get("Content-Length", 0))),
            )

        def log_message(self, format: str, *args: object) -> None:
            pass

    return Handler
