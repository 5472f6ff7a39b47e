"""What is read of a caller, when spans are recorded, and what log lines carry."""

import asyncio
import json
import logging
import time
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from opentelemetry import trace as otel
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from gram_server.doctor import examine
from gram_server.errors import ConfigError
from gram_server.logs import JsonFormatter, also_logged_with, logged_with
from gram_server.settings import HttpConfig, Settings
from gram_server.tracing import TraceContext, open_tracer, recording
from gram_server.tracing.choice import is_wanted
from gram_server.tracing.recording import RecordingTracer

PARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
HEX = "0123456789abcdef"
ID = st.text(HEX, min_size=1, max_size=33)


@given(
    version=st.sampled_from(["00", "01", "cc", "ff", "0", "FF", ""]),
    trace_id=st.text(HEX, min_size=32, max_size=32) | ID,
    span_id=st.text(HEX, min_size=16, max_size=16) | ID,
    flags=st.sampled_from(["00", "01", "02", "03", "ff", "1", "zz", ""]),
    more=st.sampled_from(["", "-", "-x", "-00", "x"]),
)
@example(version="00", trace_id="0" * 32, span_id="1" * 16, flags="01", more="")
@example(version="00", trace_id="1" * 32, span_id="0" * 16, flags="01", more="")
@example(version="00", trace_id="A" * 32, span_id="1" * 16, flags="01", more="")
def test_a_caller_is_read_as_opentelemetry_reads_it(
    version: str, trace_id: str, span_id: str, flags: str, more: str
) -> None:
    text = f"{version}-{trace_id}-{span_id}-{flags}{more}"
    carried = TraceContextTextMapPropagator().extract({"traceparent": text})
    theirs = otel.get_current_span(carried).get_span_context()
    ours = TraceContext.read(text)
    assert (ours is not None) == theirs.is_valid
    if ours is not None:
        assert int(ours.trace_id, 16) == theirs.trace_id
        assert int(ours.span_id, 16) == theirs.span_id
        assert ours.is_sampled == theirs.trace_flags.sampled


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
    context = TraceContext.read(PARENT, state)
    assert context is not None
    assert (context.parent, context.state) == (PARENT, kept)


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
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TIMEOUT", "3")
    monkeypatch.setattr(recording, "FAREWELL_S", 0.2)
    tracer = open_tracer("gram-server")
    assert isinstance(tracer, RecordingTracer)
    with tracer.span("lost"):
        pass
    started_s = time.monotonic()
    tracer.close()
    assert time.monotonic() - started_s < 2.5


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
