"""Real processes, each sending its spans to a collector of the test's own, and what they log."""

import json
import os
import secrets
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Status

pytestmark = [pytest.mark.redis, pytest.mark.slow]

QUEUE = "traced"
GRID = "1.34341221434321"
"""No other text in a log looks like it."""
CONTENT = (GRID, "1234341221434321", "1, 0, 3, 4", "[1, 2, 3, 4]", "1134341221434321", "34341")
ERROR = Status.StatusCode.STATUS_CODE_ERROR
START_S = 60.0
WAIT_S = 20.0


class Seen(NamedTuple):
    """A span that reached the collector."""

    service: str
    name: str
    span_id: str
    parent_id: str
    start_ns: int
    end_ns: int
    attributes: dict[str, Any]
    events: tuple[str, ...]
    is_error: bool


@dataclass(slots=True)
class Collector:
    """Takes spans by OTLP over HTTP."""

    spans: dict[str, list[Seen]] = field(default_factory=dict)
    """By trace."""

    def take(self, body: bytes) -> None:
        for part in ExportTraceServiceRequest.FromString(body).resource_spans:
            resource = {item.key: item.value.string_value for item in part.resource.attributes}
            for span in (span for scope in part.scope_spans for span in scope.spans):
                seen = Seen(
                    service=resource["service.name"],
                    name=span.name,
                    span_id=span.span_id.hex(),
                    parent_id=span.parent_span_id.hex(),
                    start_ns=span.start_time_unix_nano,
                    end_ns=span.end_time_unix_nano,
                    attributes={item.key: _value(item.value) for item in span.attributes},
                    events=tuple(event.name for event in span.events),
                    is_error=span.status.code == ERROR,
                )
                self.spans.setdefault(span.trace_id.hex(), []).append(seen)

    def trace(self, trace_id: str, *, until: Callable[[list[Seen]], bool]) -> list[Seen]:
        """Return the spans of a trace once they are as they should be."""
        wait_for(lambda: until(self.spans.get(trace_id, [])), lambda: str(self.spans.get(trace_id)))
        return list(self.spans[trace_id])


def _value(value: Any) -> Any:
    return getattr(value, value.WhichOneof("value"))


def wait_for(
    condition: Callable[[], bool], explain: Callable[[], str], *, timeout_s: float = WAIT_S
) -> None:
    end_s = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < end_s, explain()
        time.sleep(0.02)


@dataclass(slots=True)
class Running:
    """A process of ours, and the file it logs to."""

    process: "subprocess.Popen[bytes]"
    log: Path

    @property
    def lines(self) -> list[dict[str, Any]]:
        texts = self.log.read_text().splitlines(keepends=True)
        return [json.loads(text) for text in texts if text.endswith("\n")]

    def line(self, is_wanted: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        """Return the only line of a kind, which may be a moment behind what it is about."""

        def found() -> list[dict[str, Any]]:
            return [line for line in self.lines if is_wanted(line)]

        wait_for(lambda: bool(found()), self.log.read_text, timeout_s=START_S)
        [line] = found()
        return line

    def access(self, request_id: str) -> dict[str, Any]:
        """Return the line about a request that has its answer."""
        return self.line(lambda line: line.get("request_id") == request_id and "status" in line)

    def url(self) -> str:
        words = "listening on "
        return str(self.line(lambda line: words in line["message"])["message"]).removeprefix(words)


@dataclass(slots=True)
class Site:
    """Two ways to serve, side by side: through Redis, and with a worker beside the server."""

    collector: Collector
    redis: str
    running: dict[str, Running]
    blind_url: str
    """Of an API process without OpenTelemetry, on the same queue."""
    urls: dict[str, str]


@pytest.fixture(scope="module")
def collector() -> Iterator[tuple[Collector, str]]:
    taken = Collector()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            if self.path == "/v1/traces":
                taken.take(body)
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Keep quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield taken, f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()
    thread.join(5.0)


@pytest.fixture(scope="module")
def site(
    collector: tuple[Collector, str], redis_url: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Site]:
    taken, endpoint = collector
    folder = tmp_path_factory.mktemp("traced")
    traced = {
        **os.environ,
        "OTEL_EXPORTER_OTLP_ENDPOINT": endpoint,
        "OTEL_BSP_SCHEDULE_DELAY": "50",
    }
    # Stands in the way of the package, as if it were not installed: FastAPI brings the API alone.
    absent = folder / "opentelemetry/sdk"
    absent.mkdir(parents=True)
    (absent / "__init__.py").write_text("raise ImportError('not installed')\n")
    blind = {**traced, "PYTHONPATH": os.pathsep.join([str(folder), *sys.path])}
    model = ("--model", "sudoku-4x4", "--num-threads", "1", "--log-level", "debug")
    queue = ("--store", redis_url, "--queue-name", QUEUE, "--log-level", "debug")
    commands = {
        "api": (("serve", "--port", "0", *queue), traced),
        "worker": (("worker", *queue, *model), traced),
        "alone": (("serve", "--port", "0", *model), traced),
        "blind": (("serve", "--port", "0", *queue), blind),
    }
    running = {name: start(folder / name, *command) for name, command in commands.items()}
    try:
        urls = {name: running[name].url() for name in ("api", "alone", "blind")}
        for url in urls.values():
            wait_until_ready(url)
        yield Site(taken, redis_url, running, urls.pop("blind"), urls)
    finally:
        for each in running.values():
            each.process.terminate()
        for each in running.values():
            each.process.wait(30.0)


def wait_until_ready(url: str) -> None:
    wait_for(
        lambda: httpx.get(f"{url}/readyz").is_success,
        lambda: httpx.get(f"{url}/readyz").text,
        timeout_s=START_S,
    )


def start(log: Path, arguments: tuple[str, ...], environ: dict[str, str]) -> Running:
    command = [sys.executable, "-m", "gram_server.cli", *arguments]
    with log.open("wb") as output:
        process = subprocess.Popen(command, stdout=output, stderr=output, env=environ)
    return Running(process, log)


class Caller(NamedTuple):
    """A trace that began before our server."""

    trace_id: str
    span_id: str
    flags: str = "01"

    @property
    def headers(self) -> dict[str, str]:
        return {"traceparent": f"00-{self.trace_id}-{self.span_id}-{self.flags}"}


def new_caller(flags: str = "01") -> Caller:
    return Caller(secrets.token_hex(16), secrets.token_hex(8), flags)


def is_whole(num_jobs: int, num_spans: int) -> Callable[[list[Seen]], bool]:
    """Say whether each job has been told to its end."""

    def judge(spans: list[Seen]) -> bool:
        ended = sum(span.name == "solve" for span in spans)
        return ended == num_jobs and len(spans) >= num_spans

    return judge


SPANS = ("POST /solve", "enqueue", "queue", "solve", "engine", "admission", "steps", "store result")


@pytest.mark.parametrize("way", ["api", "alone"])
def test_a_request_is_one_connected_trace_from_its_caller_to_the_stored_result(
    site: Site, way: str
) -> None:
    caller = new_caller()
    url = site.urls[way]
    response = httpx.post(f"{url}/solve?width=4", content=GRID, headers=caller.headers)
    assert response.json()["status"] == "solved"
    spans = site.collector.trace(caller.trace_id, until=is_whole(1, len(SPANS)))
    by_name = {span.name: span for span in spans}
    assert sorted(by_name) == sorted(SPANS)
    assert len(spans) == len(SPANS)
    above = {span.name: _name_of(span.parent_id, spans) for span in spans}
    assert above == {
        "POST /solve": None,
        "enqueue": "POST /solve",
        "queue": "enqueue",
        "solve": "enqueue",
        "engine": "solve",
        "admission": "engine",
        "steps": "engine",
        "store result": "solve",
    }
    assert by_name["POST /solve"].parent_id == caller.span_id
    api = {span.name for span in spans if span.service == "gram-server"}
    assert api == {"POST /solve", "enqueue"}
    assert {span.service for span in spans} == {"gram-server", "gram-worker"}
    assert not any(span.is_error for span in spans)
    _check_facts(by_name, response.json())


def _name_of(span_id: str, spans: list[Seen]) -> str | None:
    return next((span.name for span in spans if span.span_id == span_id), None)


def _check_facts(spans: dict[str, Seen], answer: dict[str, Any]) -> None:
    request, engine = spans["POST /solve"], spans["engine"]
    assert request.attributes["http.route"] == "/solve"
    assert request.attributes["http.response.status_code"] == 200
    assert spans["solve"].attributes["messaging.message.id"] == answer["id"]
    assert spans["solve"].attributes["gram.outcome"] == "solved"
    usage = answer["usage"]
    assert engine.attributes["gram.supervision_steps"] == usage["supervision_steps"]
    assert spans["steps"].events == ("first solution",)
    steps_ms = (spans["steps"].end_ns - spans["steps"].start_ns) / 1e6
    assert steps_ms == pytest.approx(usage["engine_ms"], abs=0.01)
    assert all(request.start_ns <= span.start_ns <= span.end_ns for span in spans.values())
    everything = json.dumps([span.attributes for span in spans.values()])
    assert not [text for text in CONTENT if text in everything]


def test_the_jobs_of_a_batch_are_in_the_trace_of_its_request(site: Site) -> None:
    caller = new_caller()
    body = {"instances": [GRID, GRID, GRID]}
    url = f"{site.urls['api']}/jobs?puzzle=sudoku&width=1"
    accepted = httpx.post(url, json=body, headers=caller.headers)
    assert accepted.status_code == 202
    spans = site.collector.trace(caller.trace_id, until=is_whole(3, 2 + 3 * 6))
    [enqueue] = [span for span in spans if span.name == "enqueue"]
    assert enqueue.attributes["messaging.batch.message_count"] == 3
    solves = [span for span in spans if span.name == "solve"]
    assert {span.parent_id for span in solves} == {enqueue.span_id}
    assert len({span.attributes["messaging.message.id"] for span in solves}) == 3
    headers = {"X-Request-ID": "asks-later"}
    httpx.get(f"{site.urls['api']}{accepted.headers['location']}", headers=headers)
    asked = site.running["api"].access("asks-later")
    assert (asked["route"], asked["job_id"]) == ("/jobs/{job_id}", accepted.json()["id"])


def test_a_server_without_opentelemetry_passes_the_trace_on(site: Site) -> None:
    caller = new_caller()
    url = f"{site.blind_url}/solve?width=1"
    headers = {**caller.headers, "X-Request-ID": "blind-request"}
    assert httpx.post(url, content=GRID, headers=headers).status_code == 200
    spans = site.collector.trace(caller.trace_id, until=is_whole(1, 6))
    assert {span.service for span in spans} == {"gram-worker"}
    assert {span.parent_id for span in spans if span.name in ("queue", "solve")} == {caller.span_id}
    access = site.running["blind"].access("blind-request")
    assert access["trace_id"] == caller.trace_id
    assert "span_id" not in access
    assert site.running["blind"].line(lambda line: "gram-server[otel]" in line["message"])


@pytest.mark.parametrize("flags", ["00", "xx"])
def test_a_caller_that_records_nothing_or_says_nonsense_is_answered_all_the_same(
    site: Site, flags: str
) -> None:
    caller = new_caller(flags)
    url = f"{site.urls['api']}/solve?width=1"
    request_id = secrets.token_hex(8)
    headers = {**caller.headers, "X-Request-ID": request_id}
    assert httpx.post(url, content=GRID, headers=headers).status_code == 200
    access = site.running["api"].access(request_id)
    if flags == "xx":
        # A trace of its own.
        site.collector.trace(access["trace_id"], until=is_whole(1, len(SPANS)))
    assert (access["trace_id"] == caller.trace_id) == (flags == "00")
    assert caller.trace_id not in site.collector.spans


@pytest.mark.parametrize(("way", "worker"), [("api", "worker"), ("alone", "alone")])
def test_every_line_about_a_request_or_a_job_carries_its_ids(
    site: Site, way: str, worker: str
) -> None:
    caller = new_caller()
    headers = {**caller.headers, "X-Request-ID": f"to-{way}"}
    response = httpx.post(f"{site.urls[way]}/solve?width=1", content=GRID, headers=headers)
    job_id = response.json()["id"]
    access = site.running[way].access(f"to-{way}")
    assert access["message"] == "POST /solve 200"
    assert (access["method"], access["route"], access["status"]) == ("POST", "/solve", 200)
    assert access["duration_ms"] > 0
    assert (access["job_id"], access["trace_id"]) == (job_id, caller.trace_id)
    words = f"job={job_id} state=done"
    ended = site.running[worker].line(lambda line: words in line["message"])
    assert ended["job_id"] == job_id
    assert (ended["request_id"], ended["trace_id"]) == (f"to-{way}", caller.trace_id)
    site.collector.trace(caller.trace_id, until=lambda spans: access["span_id"] in ids(spans))


def ids(spans: list[Seen]) -> set[str]:
    return {span.span_id for span in spans}


def test_no_line_holds_a_puzzle_or_an_answer(site: Site) -> None:
    rows = [[1, 0, 3, 4], [3, 4, 1, 2], [2, 1, 4, 3], [4, 3, 2, 1]]
    bodies = [
        json.dumps({"puzzle": "sudoku", "grid": rows}),
        json.dumps({"puzzle": "sudoku", "grid": "1134341221434321"}),
        json.dumps({"puzzle": "sudoku", "grid": GRID})[:-1],
        GRID + "9",
        GRID,
    ]
    for url in site.urls.values():
        for query in ("?width=2&fallback=exact&count=exact", f"?grid={GRID}"):
            for body in bodies:
                headers = {"content-type": "application/json" if body[0] == "{" else "text/plain"}
                httpx.post(f"{url}/solve{query}", content=body, headers=headers)
        httpx.post(f"{url}/jobs?width=2", json={"puzzle": "sudoku", "grid": rows})
        httpx.get(f"{url}/jobs/{GRID}")
    logs = {name: running.log.read_text() for name, running in site.running.items()}
    assert all("POST /solve 422" in logs[name] for name in site.urls)
    held = {(name, text) for name, log in logs.items() for text in CONTENT if text in log}
    assert held == set()


def test_a_job_whose_worker_is_killed_stays_in_its_trace(
    collector: tuple[Collector, str], redis_url: str, tmp_path: Path
) -> None:
    taken, endpoint = collector
    traced = {
        **os.environ,
        "OTEL_EXPORTER_OTLP_ENDPOINT": endpoint,
        "OTEL_BSP_SCHEDULE_DELAY": "50",
    }
    queue = ("--store", redis_url, "--queue-name", "killed", "--log-level", "debug")
    lease = ("--lease-s", "2", "--model", "sudoku-4x4", "--num-threads", "1")
    caller = new_caller()
    running = [start(tmp_path / "api", ("serve", "--port", "0", *queue), traced)]
    try:
        url = running[0].url()
        running.append(start(tmp_path / "first", ("worker", *queue, *lease), traced))
        wait_until_ready(url)
        # Seconds of work: no trajectory leaves before its depth.
        path = f"{url}/jobs?width=64&depth=1024&halt=never"
        accepted = httpx.post(path, content=GRID, headers=caller.headers)
        state = f"{url}{accepted.headers['location']}"
        wait_for(
            lambda: httpx.get(state).json()["state"] == "running", lambda: httpx.get(state).text
        )
        running[1].process.kill()
        assert running[1].process.wait(10.0) == -signal.SIGKILL
        assert httpx.get(state).json()["state"] == "running"
        running.append(start(tmp_path / "second", ("worker", *queue, *lease), traced))
        spans = taken.trace(caller.trace_id, until=is_whole(1, len(SPANS)))
        assert httpx.get(state).json()["state"] == "done"
    finally:
        for each in running:
            each.process.terminate()
        for each in running:
            each.process.wait(30.0)
    [request] = [span for span in spans if span.name.startswith("POST")]
    [enqueue] = [span for span in spans if span.name == "enqueue"]
    [solve] = [span for span in spans if span.name == "solve"]
    assert request.parent_id == caller.span_id
    assert (enqueue.parent_id, solve.parent_id) == (request.span_id, enqueue.span_id)
    assert solve.attributes["gram.attempt"] == 1
    assert solve.attributes["gram.outcome"] == "solved"
    assert "redelivered" in solve.events
    # The first worker told of the wait before it was lost, the second one of the longer wait.
    assert {span.parent_id for span in spans if span.name == "queue"} == {enqueue.span_id}
    assert not any(span.is_error for span in spans)
