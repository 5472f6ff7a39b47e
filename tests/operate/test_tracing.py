"""Real processes, each sending its spans to a collector of the test's own, and what they log."""

import json
import os
import secrets
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any
from urllib.parse import urljoin

import httpx
import pytest

from tests.operate.traced import GRID, SPANS, Collector, Seen, collecting, is_whole, new_caller
from tests.processes import Running, running, wait_until_ready

pytestmark = [pytest.mark.redis, pytest.mark.slow]

QUEUE = "traced"
CONTENT = (GRID, "1234341221434321", "1, 0, 3, 4", "[1, 2, 3, 4]", "1134341221434321", "34341")


@dataclass(slots=True)
class Site:
    """Two ways to serve, side by side: through Redis, and with a worker beside the server."""

    collector: Collector
    running: dict[str, Running]
    blind_url: str
    """Of an API process without OpenTelemetry, on the same queue."""
    urls: dict[str, str]


@pytest.fixture(scope="module")
def site(redis_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    folder = tmp_path_factory.mktemp("traced")
    # Stands in the way of the package, as if it were not installed: FastAPI brings the API alone.
    absent = folder / "opentelemetry/sdk"
    absent.mkdir(parents=True)
    (absent / "__init__.py").write_text("raise ImportError('not installed')\n")
    model = ("--model", "sudoku-4x4", "--num-threads", "1", "--log-level", "debug")
    queue = ("--store", redis_url, "--queue-name", QUEUE, "--log-level", "debug")
    commands = {
        "api": ("serve", "--port", "0", *queue),
        "worker": ("worker", *queue, *model),
        "alone": ("serve", "--port", "0", *model),
        "blind": ("serve", "--port", "0", *queue),
    }
    with collecting() as (taken, endpoint), ExitStack() as stack:
        traced = {
            **os.environ,
            "OTEL_EXPORTER_OTLP_ENDPOINT": endpoint,
            "OTEL_BSP_SCHEDULE_DELAY": "50",
        }
        blind = {**traced, "PYTHONPATH": os.pathsep.join([str(folder), *sys.path])}
        started = {
            name: stack.enter_context(
                running(folder / name, *command, environ=blind if name == "blind" else traced)
            )
            for name, command in commands.items()
        }
        urls = {name: started[name].url() for name in ("api", "alone", "blind")}
        for url in urls.values():
            wait_until_ready(url)
        yield Site(taken, started, urls.pop("blind"), urls)


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
    httpx.get(urljoin(site.urls["api"], accepted.headers["location"]), headers=headers)
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
    assert site.running["blind"].line(lambda line: "the extra otel" in line["message"])


@pytest.mark.parametrize("flags", ["00", "xx"])
def test_a_caller_that_records_nothing_or_says_nonsense_is_answered_all_the_same(
    site: Site, flags: str
) -> None:
    caller = new_caller(flags)
    url = f"{site.urls['api']}/solve?width=1"
    request_id = secrets.token_hex(8)
    headers = {**caller.headers, "X-Request-ID": request_id, "tracestate": "no member"}
    assert httpx.post(url, content=GRID, headers=headers).status_code == 200
    assert "no member" not in site.running["api"].log.read_text()
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
        # The first exact search of a worker waits until the solver is loaded.
        with httpx.Client(base_url=url, timeout=60.0) as client:
            for query in ("?width=2&fallback=exact&count_solutions=exact", f"?grid={GRID}"):
                for body in bodies:
                    kind = "application/json" if body[0] == "{" else "text/plain"
                    client.post(f"/solve{query}", content=body, headers={"content-type": kind})
            client.post("/jobs?width=2", json={"puzzle": "sudoku", "grid": rows})
            client.get(f"/jobs/{GRID}")
    logs = {name: each.log.read_text() for name, each in site.running.items()}
    assert all("POST /solve 422" in logs[name] for name in site.urls)
    held = {(name, text) for name, log in logs.items() for text in CONTENT if text in log}
    assert held == set()
