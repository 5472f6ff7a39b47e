"""Records what a real server answers to a fixed list of requests, and compares two recordings.

    python tests/contract/answers.py record before.json
    python tests/contract/answers.py compare before.json after.json --renamed old=new

What differs from run to run (ids, moments, durations) is replaced by its kind.
"""

import argparse
import hashlib
import json
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from difflib import unified_diff
from pathlib import Path
from typing import Any, NamedTuple

import httpx

MODELS = (
    *("sudoku-4x4", "sudoku-6x6", "sudoku-9x9", "nqueens-8", "graph-coloring-8", "maze-30x30"),
    "sudoku-9x9-generate",
)
KEYS = {"admin": ("admin", None), "solver": ("solve", None), "slow": ("solve", 1)}
START_S = 300.0
STREAM = {"Accept": "text/event-stream"}
HEADERS = (
    *("allow", "cache-control", "content-type", "content-security-policy", "etag", "location"),
    *("retry-after", "server-timing", "www-authenticate", "x-accel-buffering"),
)

VARIABLE = (
    *("id", "request_id", "submitted_at", "started_at", "finished_at", "cursor", "ms"),
    *("queue_ms", "engine_ms", "supervision_steps", "wasted_steps", "retry_after_s"),
)

EASY, HARDER = ".234341221434321", "1...............".ljust(16, ".")
NINE = "53..7....6..195....98....6.8...6...34..8.3..17...2...6.6....28....419..5....8..79"
SIX = "1....." + "." * 30
ROWS = [[1, 2, 0, 4], [3, 4, 1, 2], [2, 1, 4, 3], [4, 3, 2, 1]]
QUEENS = {"puzzle": "nqueens", "n": 8, "queens": [[0, 3]]}
BOARD = ["Q......."] + ["........"] * 7
GRAPH = {"puzzle": "graph-coloring", "vertices": 8, "edges": [[0, 1], [1, 2], [2, 0], [3, 4]]}
DIMACS = "p edge 8 3\ne 1 2\ne 2 3\ne 1 3\n"
MAZE = ["S" + "." * 29, *("." * 30,) * 28, "." * 29 + "G"]

PUZZLES: Mapping[str, object] = {
    "4x4 text": EASY,
    "4x4 open": HARDER,
    "4x4 lines": "12.4\n3412\n2143\n4321\n",
    "4x4 JSON": {"puzzle": "sudoku", "grid": EASY},
    "4x4 rows": {"puzzle": "sudoku", "grid": ["12.4", "3412", "2143", "4321"]},
    "4x4 numbers": {"puzzle": "sudoku", "grid": ROWS},
    "6x6": SIX,
    "9x9": NINE,
    "queens": QUEENS,
    "queens grid": {"puzzle": "nqueens", "grid": BOARD},
    "queens text": "\n".join(BOARD),
    "graph": GRAPH,
    "graph fixed": {**GRAPH, "colors": 3, "fixed": {"0": 1}},
    "graph text": DIMACS,
    "maze": {"puzzle": "maze", "grid": MAZE},
    "maze text": "\n".join(MAZE),
}
OPTIONS = (
    *("width=1", "width=64", "depth=1", "depth=3&width=4", "max_solutions=1", "max_solutions=3"),
    *("augment=false", "halt=act", "halt=never", "fallback=exact&depth=1&width=1", "count=exact"),
    *("puzzle=sudoku", "model=sudoku-4x4", "decodes=2", "deadline_ms=60000", "seed=0"),
)
WRONG_SOLVES = (
    *("width=0", "width=1025", "width=x", "width=", "width=4&width=5", "depth=0", "depth=9999"),
    *("max_solutions=0", "deadline_ms=0", "seed=-1", "seed=9223372036854775808", "augment=True"),
    *("halt=soon", "halt=", "fallback=luck", "count=all", "puzzle=chess", "puzzle=nqueens"),
    *("model=", "model=none", "model=nqueens-8", "model=sudoku-4x4%40ffff", "decodes=65"),
    *("widht=6", "=6", "width=%FF", "priority=high", "width=99999999999999999999"),
)
WRONG_BODIES: tuple[str | bytes, ...] = (
    *(
        "",
        "  \n",
        b"\xff\xfe",
        "{",
        '{"puzzle": "sudoku",}',
        "{}{}",
        "[[1]]",
        "{}",
        '{"puzzle": 7}',
    ),
    *('{"puzzle": "chess"}', '{"puzzle": "sudoku"}', '{"puzzle": "a", "puzzle": "b"}', "11" + EASY),
    *("11..............", "please solve", "." * 25, '{"puzzle": "nqueens", "n": 12}', "S.G"),
    *(
        '{"puzzle": "nqueens", "n": 8, "queens": [[0, 0], [0, 5]]}',
        '{"puzzle": "nqueens", "n": "8"}',
    ),
    *('{"puzzle": "graph-coloring", "vertices": 8, "edges": [[2, 2]]}', "p edge 3 1\ne 1 1\n"),
    *('{"puzzle": "maze", "grid": ["S#G"]}', '{"puzzle": "sudoku", "grid": [[NaN]]}', "[" * 9999),
)
GENERATES = (
    *("", "seed=3&count=2", "seed=3&size=9", "seed=3&clues=unique", "seed=3&clues=40&count=2"),
    *("seed=3&distinct=false", "seed=3&halt=act&max_trajectories=4", "seed=3&augment=true"),
    *("seed=3&depth=1", "seed=3&model=sudoku-4x4", "seed=3&deadline_ms=60000"),
    *("count=0", "count=65&clues=unique", "count=9&max_trajectories=8", "size=65", "size=8"),
    *("clues=all", "clues=0", "halt=never", "puzzle=maze", "width=4", "model=maze-30x30"),
    *("max_trajectories=4097", "distinct=1", "seed=1&seed=2", "fallback=exact"),
)
BATCHES: tuple[Mapping[str, object], ...] = (
    {"instances": [EASY, QUEENS, {"puzzle": "maze", "grid": MAZE}]},
    {"instances": []},
    {"instances": [EASY], "width": 4},
    {"instances": [7]},
    {"instances": [EASY, "nothing"]},
    {"instances": "x"},
    {"instances": [EASY, {"puzzle": "nqueens", "n": 0}]},
)
READS = (
    *("/", "/docs", "/page/app.js", "/docs/docs.js", "/page/none.js", "/redoc", "/nothing/here"),
    *("/puzzles", "/models", "/livez", "/readyz", "/startupz", "/openapi.json", "/metrics"),
    *("/problems/queue_full", "/problems/puzzle_invalid", "/problems/none", "/solve", "/generate"),
    *("/jobs/none", "/jobs/none/events", f"/jobs/{'x' * 99}", "/jobs?limit=0", "/jobs?limit=201"),
    *("/jobs?cursor=x", "/jobs?x=1", "/jobs/none?wait=-1", "/jobs/none?wait=x"),
)


class Call(NamedTuple):
    """One request; ``{job}`` in its path is the id of the last job that was accepted."""

    method: str
    path: str
    body: object = None
    headers: Mapping[str, str] = {}
    key: str | None = "admin"


def calls() -> Iterator[Call]:
    """Return the requests in their order."""
    for puzzle in PUZZLES.values():
        yield Call("POST", "/solve?seed=7&width=8", puzzle)
        yield Call("POST", "/solve?seed=7&width=4", puzzle, STREAM)
    for query in OPTIONS:
        seed = "" if "seed=" in query else "&seed=5"
        yield Call("POST", f"/solve?{query}{seed}", HARDER)
    yield Call("POST", "/solve?seed=1&width=4&count=exact&fallback=exact", PUZZLES["maze"])
    yield Call("POST", "/solve?seed=1&width=4&decodes=4", PUZZLES["queens"], STREAM)
    yield Call("POST", "/solve?seed=1&width=1024&deadline_ms=1", NINE)
    yield from (Call("POST", f"/solve?{query}", EASY) for query in WRONG_SOLVES)
    yield from (Call("POST", "/solve", body) for body in WRONG_BODIES)
    for media_type in ("image/png", "text/html", "application/json"):
        yield Call("POST", "/solve", EASY, {"Content-Type": media_type})
    yield Call("POST", "/solve", EASY, {"Content-Encoding": "gzip"})
    yield Call("POST", "/solve", "." * (2 << 20))
    yield Call("POST", "/solve?width=0", EASY, STREAM)
    for query in GENERATES:
        yield Call("POST", f"/generate?{query}" if "seed" in query else f"/generate?{query}&seed=1")
    yield Call("POST", "/generate?seed=3&count=2", None, STREAM)
    yield Call("POST", "/generate", "a body")
    yield from job_calls()
    yield from (Call("GET", path) for path in READS)
    yield from (Call(method, "/solve") for method in ("PATCH", "OPTIONS", "HEAD"))
    yield from (Call("HEAD", path) for path in ("/models", "/readyz"))
    yield from key_calls()


def job_calls() -> Iterator[Call]:
    """Return the requests of what goes on without its client."""
    for puzzle in (EASY, QUEENS, GRAPH):
        yield Call("POST", "/jobs?seed=7&width=4&priority=low", puzzle)
        yield from _follow()
    again = {"Idempotency-Key": "again"}
    yield Call("POST", "/jobs?seed=7&width=4", EASY, again)
    yield Call("GET", "/jobs/{job}?wait=30")
    yield Call("POST", "/jobs?width=4&seed=7", EASY, again)
    yield Call("POST", "/jobs?seed=8", EASY, again)
    yield Call("POST", "/jobs", EASY, {"Idempotency-Key": "a b"})
    for batch in BATCHES:
        yield Call("POST", "/jobs?seed=7&width=2", batch)
    yield from _follow()
    yield Call("POST", "/jobs?width=1024", {"instances": [EASY] * 5})
    for query in ("priority=urgent", "width=0", "wait=3"):
        yield Call("POST", f"/jobs?{query}", EASY)
    yield Call("GET", "/jobs")
    yield Call("GET", "/jobs?limit=2")
    yield Call("POST", "/jobs?width=1024&depth=1024&halt=never&seed=1", NINE)
    yield Call("DELETE", "/jobs/{job}")
    yield Call("GET", "/jobs/{job}/events")
    yield Call("DELETE", "/jobs/{job}?x=1")
    yield Call("DELETE", "/jobs/none")


def key_calls() -> Iterator[Call]:
    """Return the requests that a key must allow."""
    for key in (None, "unknown", "solver", "slow"):
        yield Call("POST", "/solve?seed=1&width=16", EASY, key=key)
        yield Call("GET", "/jobs", key=key)
        yield Call("GET", "/puzzles", key=key)
        yield Call("GET", "/jobs/{job}", key=key)
    yield Call("POST", "/solve?seed=1&width=64", EASY, key="slow")


def _follow() -> Iterator[Call]:
    yield Call("GET", "/jobs/{job}?wait=60")
    yield Call("GET", "/jobs/{job}/events")
    yield Call("GET", "/jobs/{job}/events", headers={"Last-Event-ID": "1"})
    yield Call("GET", "/jobs/{job}/events", headers={"Last-Event-ID": "99"})
    yield Call("GET", "/jobs/{job}/events", headers={"Last-Event-ID": "x"})


def record() -> dict[str, Any]:
    """Return the answers of a server that is started for it, by request."""
    with tempfile.TemporaryDirectory() as folder:
        keys = Path(folder) / "keys.json"
        keys.write_text(json.dumps({"keys": [_key(name) for name in KEYS]}), "utf-8")
        options = [f"--model={model}" for model in MODELS]
        fixed = ("--port=0", "--num-threads=1", "--device=cpu", f"--keys={keys}")
        command = [sys.executable, "-m", "gram_server", "serve", *fixed, *options]
        log = Path(folder) / "log"
        with log.open("w") as stderr:
            process = subprocess.Popen(command, stderr=stderr)
        try:
            with httpx.Client(base_url=_address(log), timeout=60.0) as client:
                _wait(lambda: client.get("/readyz").status_code == 200)
                return dict(_ask_all(client))
        finally:
            process.terminate()
            process.wait(60.0)


def _key(name: str) -> dict[str, object]:
    scope, rate = KEYS[name]
    entry: dict[str, object] = {
        "name": name,
        "sha256": hashlib.sha256(name.encode()).hexdigest(),
        "scopes": [scope],
    }
    return entry if rate is None else {**entry, "trajectories_per_s": rate}


def _address(log: Path) -> str:
    pattern = re.compile(r"listening on (http://[\w.:]+)")
    _wait(lambda: pattern.search(log.read_text()) is not None)
    found = pattern.search(log.read_text())
    assert found is not None
    return found[1]


def _wait(is_there: Callable[[], bool]) -> None:
    end_s = time.monotonic() + START_S
    while not is_there():
        assert time.monotonic() < end_s
        time.sleep(0.1)


def _ask_all(client: httpx.Client) -> Iterator[tuple[str, object]]:
    job = "none"
    for number, call in enumerate(calls()):
        headers = {**call.headers}
        if call.key is not None:
            headers["Authorization"] = f"Bearer {call.key}"
        body = call.body if isinstance(call.body, str | bytes | None) else json.dumps(call.body)
        path = call.path.replace("{job}", job)
        response = client.request(call.method, path, content=body, headers=headers)
        if response.status_code in (200, 202) and call.path.startswith("/jobs?"):
            job = response.json().get("id", job)
        stream = " as a stream" if call.headers == STREAM else ""
        yield f"{number:03} {call.method} {call.path}{stream}", _answer(call, response)


def _answer(call: Call, response: httpx.Response) -> dict[str, object]:
    headers = {name: response.headers[name] for name in HEADERS if name in response.headers}
    media_type = headers.get("content-type", "")
    body: object = response.text
    if "json" in media_type and response.content:
        body = plain(response.json())
    elif "event-stream" in media_type:
        body = _events(response.text)
    elif call.path == "/metrics":
        names = (line.rsplit(" ", 1)[0] for line in response.text.splitlines())
        body = sorted({re.sub(r'pid="\d+"|worker="[^"]+"', "", name) for name in names})
    elif len(response.text) > 500:
        body = hashlib.sha256(response.content).hexdigest()
    return {"status": response.status_code, "headers": plain(headers), "body": body}


def _events(text: str) -> list[object]:
    """Return the events of a stream; how often a job was looked at is a matter of time."""
    events = []
    for block in text.split("\n\n"):
        fields = dict(line.split(": ", 1) for line in block.splitlines() if line[:1] not in ":r")
        if fields:
            data = json.loads(fields["data"])
            if "trajectories" in data and fields["event"] == "progress":
                data = {"fields": sorted(data), "sight": sorted(data["trajectories"][0])}
            event = {"event": fields["event"], "data": plain(data)}
            if event not in events:
                events.append(event)
    return sorted(events, key=lambda event: json.dumps(event, sort_keys=True))


def plain(value: Any, name: str = "") -> Any:
    """Return a JSON value without what differs from run to run."""
    if isinstance(value, dict):
        if value.get("status") == "partial":
            # How far it came by its deadline.
            value = {**value, "solutions": [], "best_attempt": None}
        return {key: plain(inner, key) for key, inner in value.items()}
    if isinstance(value, list):
        return [plain(inner) for inner in value]
    if name in VARIABLE and value is not None:
        return f"<{type(value).__name__.replace('int', 'number').replace('float', 'number')}>"
    if name == "state" and value in ("queued", "running"):
        return "<open>"
    if name == "retry-after":
        return "<number>"
    if isinstance(value, str):
        value = re.sub(r"[0-9a-f]{32}", "<hex>", value)
        return re.sub(r"dur=[\d.]+", "dur=<number>", value)
    return value


def renamed(value: Any, names: Mapping[str, str]) -> Any:
    """Return a JSON value whose fields have their new names."""
    if isinstance(value, dict):
        return {names.get(key, key): renamed(inner, names) for key, inner in value.items()}
    return [renamed(inner, names) for inner in value] if isinstance(value, list) else value


def compare(before: dict[str, Any], after: dict[str, Any], names: Mapping[str, str]) -> int:
    """Write what differs; return how many answers do."""
    num_different = 0
    for call in [*before, *(call for call in after if call not in before)]:
        old, new = (
            json.dumps(answer, indent=1, sort_keys=True, ensure_ascii=False).splitlines()
            for answer in (renamed(before.get(call), names), after.get(call))
        )
        if old != new:
            num_different += 1
            lines = unified_diff(old, new, call, call, lineterm="", n=1)
            sys.stdout.write("\n".join(lines) + "\n\n")
    sys.stdout.write(f"{num_different} of {len(before)} answers differ\n")
    return num_different


def main() -> None:
    """Record, or compare."""
    parser = argparse.ArgumentParser(description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    recording = commands.add_parser("record")
    recording.add_argument("path", type=Path)
    comparing = commands.add_parser("compare")
    comparing.add_argument("before", type=Path)
    comparing.add_argument("after", type=Path)
    comparing.add_argument("--renamed", action="append", default=[], metavar="OLD=NEW")
    options = parser.parse_args()
    if options.command == "record":
        options.path.write_text(json.dumps(record(), indent=1, ensure_ascii=False), "utf-8")
        return
    before, after = (json.loads(path.read_text()) for path in (options.before, options.after))
    names = dict(pair.split("=", 1) for pair in options.renamed)
    sys.exit(compare(before, after, names) > 0)


if __name__ == "__main__":
    main()
