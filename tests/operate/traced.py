"""A collector of spans of the tests' own, and a trace that began before our server."""

import secrets
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Status

from tests.processes import wait_for

GRID = "1.34341221434321"
"""No other text in a log looks like it."""
ERROR = Status.StatusCode.STATUS_CODE_ERROR
SPANS = ("POST /solve", "enqueue", "queue", "solve", "engine", "admission", "steps", "store result")


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


@contextmanager
def collecting() -> Iterator[tuple[Collector, str]]:
    """Take spans for as long as the context is open; yield what takes them and its address."""
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
