"""What is read of a caller, when spans are recorded, and what log lines carry."""

import asyncio
import json
import logging
import time
from typing import Any

import pytest
from opentelemetry import trace as otel

from gram_server import tracing
from gram_server.doctor import examine
from gram_server.errors import ConfigError
from gram_server.logs import JsonFormatter, also_logged_with, logged_with
from gram_server.settings import HttpConfig, Settings
from gram_server.tracing import headers_of, is_wanted, open_tracer, read_trace

PARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


@pytest.mark.parametrize(
    ("state", "kept"),
    [
        ("a=1,b=2", "a=1,b=2"),
        (" a=1 , ,b=2 ", "a=1,b=2"),
        ("nonsense", ""),
        ("a=1,=", ""),
        ("a=\x00", ""),
        ("a=" + "x" * 600, ""),
        (None, ""),
    ],
)
def test_what_vendors_carry_along_is_kept_or_left_out_whole(state: str | None, kept: str) -> None:
    span = otel.get_current_span(read_trace(PARENT, state))
    headers = {"traceparent": PARENT, "tracestate": kept}
    assert headers_of(span) == {name: value for name, value in headers.items() if value}


@pytest.mark.parametrize(
    "parent",
    [
        None,
        "",
        "nonsense",
        f"{PARENT}-more",
        f"cc{PARENT[2:]}-{'x' * 100}",
        f"00-{'0' * 32}-b7ad6b7169203331-01",
    ],
)
def test_a_caller_that_names_no_span_is_in_no_trace(parent: str | None) -> None:
    assert not headers_of(otel.get_current_span(read_trace(parent, "a=1")))


ON = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9"}


@pytest.mark.parametrize(
    ("environ", "is_on"),
    [
        ({}, False),
        (ON, True),
        ({"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://127.0.0.1:9"}, True),
        ({"OTEL_TRACES_EXPORTER": "otlp"}, True),
        ({**ON, "OTEL_TRACES_EXPORTER": "none"}, False),
        ({**ON, "OTEL_SDK_DISABLED": "true"}, False),
        ({**ON, "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf"}, True),
    ],
)
def test_the_standard_names_switch_traces_on(environ: dict[str, str], is_on: bool) -> None:
    assert is_wanted(environ) == is_on


@pytest.mark.parametrize(
    "environ",
    [{"OTEL_TRACES_EXPORTER": "zipkin"}, {**ON, "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}],
)
def test_what_cannot_be_sent_stops_the_start(environ: dict[str, str]) -> None:
    with pytest.raises(ConfigError, match="must be"):
        open_tracer("gram-server", environ=environ)


@pytest.mark.parametrize(
    ("environ", "health"),
    [({}, "ok"), (ON, "ok"), ({**ON, "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}, "failed")],
)
def test_the_doctor_says_whether_traces_can_be_sent(
    environ: dict[str, str], health: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    [finding] = [one for one in examine(Settings(http=HttpConfig(port=0))) if one.check == "traces"]
    assert (finding.check, finding.health) == ("traces", health)
    assert ("opentelemetry" in finding.detail) == (environ is ON)


def test_a_collector_that_is_gone_does_not_keep_a_process_from_ending(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TIMEOUT", "15")
    monkeypatch.setattr(tracing, "CLOSE_S", 0.2)
    tracer = open_tracer("gram-server")
    with tracer.span("lost") as span:
        assert span.is_recording()
    started_s = time.monotonic()
    tracer.close()
    assert time.monotonic() - started_s < 10.0


def test_lines_carry_the_ids_of_what_they_are_about_and_tasks_do_not_mix_them() -> None:
    def line() -> dict[str, Any]:
        record = logging.LogRecord("x", logging.INFO, "", 0, "words", (), None)
        found: dict[str, Any] = json.loads(JsonFormatter().format(record))
        return {name: found[name] for name in found if name.endswith("_id")}

    async def request(number: str) -> list[dict[str, Any]]:
        with logged_with(request_id=number, trace_id=None):
            await asyncio.sleep(0.001)
            before = line()
            await asyncio.create_task(accept(number))
            return [before, line()]

    async def accept(number: str) -> None:
        also_logged_with(job_id=f"job-{number}")

    async def scenario() -> list[list[dict[str, Any]]]:
        return list(await asyncio.gather(*(request(number) for number in "ab")))

    assert asyncio.run(scenario()) == [
        [{"request_id": name}, {"request_id": name, "job_id": f"job-{name}"}] for name in "ab"
    ]
    assert line() == {}
